//! Taking seats and giving them up.

use pkg_definition::TeamName;
use pkg_middleware::Actor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Attempt, Errand, Former, JoinCode, LeaveReason, MAX_ERRANDS, MAX_FORMER, Refused, Seat, Session, SessionEvent,
    State, Visibility,
};

/// Who takes a seat, and by whose wish.
#[derive(Debug, Clone)]
pub struct Joining {
    pub player: Uuid,
    /// The one with the fewest players without.
    pub team: Option<TeamName>,
    pub code: Option<JoinCode>,
    pub by: Actor,
    /// What the record of the seat's end is known by.
    pub record: Uuid,
}

impl Session {
    /// Takes a seat, unless the player has one.
    pub fn join(&mut self, joining: &Joining, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        if !self.is_visible_to(joining.by) && (joining.code.is_none() || joining.code != self.join_code) {
            return Err(Refused::Hidden);
        }
        if self.seat(joining.player).is_some() && !self.is_over() {
            return Ok(Vec::new());
        }
        if self.kicked.contains(&joining.player) {
            return Err(Refused::Kicked);
        }
        if !self.takes_players() {
            return Err(self.refuse(Attempt::Join));
        }
        if self.errands.len() >= MAX_ERRANDS {
            return Err(Refused::Backlogged);
        }
        let team = self.find_team(joining.team.as_ref())?;
        let mut events = vec![self.sit_down(joining, team, now)];
        if joining.by.is_server() {
            self.errands.push(Errand::TellPlayer { id: joining.record, player: joining.player, lost: None });
        }
        if self.state == State::Created {
            events.push(self.enter(State::Waiting));
        }
        if self.owner.is_none() && self.owned_by_players {
            events.push(self.own(Some(joining.player)));
        }
        Ok(events)
    }

    /// Gives the caller's seat up. Who has none has nothing to give up.
    pub fn leave(&mut self, player: Uuid, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        if self.seat(player).is_none() {
            return Ok(Vec::new());
        }
        if self.is_over() {
            return Err(self.refuse(Attempt::Leave));
        }
        Ok(self.vacate(player, LeaveReason::Left, "", now))
    }

    /// Takes a player's seat away, for good.
    pub fn kick(
        &mut self,
        player: Uuid,
        words: &str,
        by: Actor,
        now: OffsetDateTime,
    ) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        if self.is_over() {
            return Err(self.refuse(Attempt::Kick));
        }
        if self.owner == Some(player) {
            return Err(Refused::OwnerKicked);
        }
        if !self.kicked.contains(&player) {
            remember(&mut self.kicked, player);
        }
        Ok(self.vacate(player, LeaveReason::Kicked, words, now))
    }

    /// Gives the seat up of a player whose account is gone. What is over stays as it is.
    pub fn lose_account(&mut self, player: Uuid, now: OffsetDateTime) -> Vec<SessionEvent> {
        if self.is_over() { Vec::new() } else { self.vacate(player, LeaveReason::AccountGone, "", now) }
    }

    /// Hands the session to another player in it.
    pub fn transfer(&mut self, to: Uuid, by: Actor) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        if self.is_over() {
            return Err(self.refuse(Attempt::Transfer));
        }
        if self.seat(to).is_none() {
            return Err(Refused::NoSuchSeat);
        }
        if self.owner == Some(to) {
            return Ok(Vec::new());
        }
        self.owned_by_players = true;
        Ok(vec![self.own(Some(to))])
    }

    /// Gives up the seats whose players did not come in time.
    pub(super) fn expire_seats(&mut self, now: OffsetDateTime) -> Vec<SessionEvent> {
        let is_due = |seat: &&Seat| !seat.connected && seat.expires_at.is_some_and(|at| at <= now);
        let due: Vec<(Uuid, bool)> = self.seats.iter().filter(is_due).map(|seat| (seat.player, seat.came)).collect();
        let reason = |came| if came { LeaveReason::ConnectionLost } else { LeaveReason::NeverCame };
        due.into_iter().flat_map(|(player, came)| self.vacate(player, reason(came), "", now)).collect()
    }

    /// Whether its state lets players join.
    pub(super) fn takes_players(&self) -> bool {
        match self.state {
            State::Created | State::Waiting => true,
            State::Started | State::Paused => self.rules.join_after_start,
            State::Finishing | State::Finished | State::Deleted => false,
        }
    }

    /// Whether somebody may do what the owner may.
    pub(super) fn check_runs(&self, who: Actor) -> Result<(), Refused> {
        let Actor::Player(player) = who else { return Ok(()) };
        self.check_inside(player)?;
        if self.owner == Some(player) { Ok(()) } else { Err(Refused::NotOwner) }
    }

    /// Whether a player has a seat. Who has none is told of a private session as of none at all.
    pub(super) fn check_inside(&self, player: Uuid) -> Result<(), Refused> {
        match (self.seat(player), self.visibility) {
            (Some(_), _) => Ok(()),
            (None, Visibility::Public) => Err(Refused::NotInSession),
            (None, Visibility::Private) => Err(Refused::Hidden),
        }
    }

    pub(super) fn refuse(&self, attempt: Attempt) -> Refused {
        Refused::State { state: self.state, attempt }
    }

    fn find_team(&self, wanted: Option<&TeamName>) -> Result<Option<TeamName>, Refused> {
        let wanted = match wanted {
            None => None,
            Some(name) => Some(self.teams.iter().find(|team| team.name == *name).ok_or(Refused::NoSuchTeam)?),
        };
        if self.seats.len() >= self.max_players {
            return Err(Refused::SessionFull);
        }
        let free = |team: &&super::Team| self.team_size(&team.name) < team.max_players;
        match wanted {
            Some(team) if free(&team) => Ok(Some(team.name.clone())),
            Some(_) => Err(Refused::TeamFull),
            None if self.teams.is_empty() => Ok(None),
            None => {
                let smallest = self.teams.iter().filter(free).min_by_key(|team| self.team_size(&team.name));
                smallest.map(|team| Some(team.name.clone())).ok_or(Refused::SessionFull)
            }
        }
    }

    fn sit_down(&mut self, joining: &Joining, team: Option<TeamName>, now: OffsetDateTime) -> SessionEvent {
        let seat = Seat {
            player: joining.player,
            team,
            joined_at: now,
            came: false,
            connected: false,
            expires_at: Some(now + self.rules.reconnect_grace),
            record: joining.record,
        };
        self.former.retain(|former| former.player != joining.player);
        self.seats.push(seat.clone());
        SessionEvent::Joined { seat, version: self.next_version() }
    }

    /// Frees a seat, and does what follows from it.
    fn vacate(&mut self, player: Uuid, reason: LeaveReason, words: &str, now: OffsetDateTime) -> Vec<SessionEvent> {
        let Some(index) = self.seats.iter().position(|seat| seat.player == player) else { return Vec::new() };
        let seat = self.seats.remove(index);
        remember(&mut self.former, Former { player, team: seat.team });
        self.errands.push(Errand::RecordLeft { id: seat.record, player, reason, at: now });
        if reason != LeaveReason::Left {
            self.errands.push(Errand::TellPlayer { id: news_of_loss(seat.record), player, lost: Some(reason) });
        }
        let kick_reason = words.to_owned();
        let mut events = vec![SessionEvent::Left { player, reason, kick_reason, version: self.next_version() }];
        if self.owner == Some(player) {
            // Seats are in the order of joining.
            let heir = self.seats.first().map(|seat| seat.player);
            events.push(self.own(heir));
        }
        if self.seats.is_empty() && self.state == State::Waiting {
            events.push(self.enter(State::Created));
        }
        events
    }

    fn own(&mut self, new: Option<Uuid>) -> SessionEvent {
        let old = std::mem::replace(&mut self.owner, new);
        SessionEvent::OwnerChanged { old, new, version: self.next_version() }
    }
}

/// The news of a seat and of its loss are two events of one topic, which tells them apart by their ids.
fn news_of_loss(record: Uuid) -> Uuid {
    Uuid::from_u128(record.as_u128() ^ 1)
}

fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= MAX_FORMER {
        list.remove(0);
    }
    list.push(item);
}

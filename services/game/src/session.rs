//! A session: who is in it, what it does, and which moves it takes. Plain functions; time and ids are arguments.
//!
//! Every change returns the events that tell of it. The version rises by one with each event.

mod connections;
mod ending;
mod event;
mod parts;
#[cfg(test)]
mod properties;
mod refused;
mod rules;
mod running;
mod seats;
pub(crate) mod serial;
#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;
use pkg_definition::{Attributes, Region, TeamName};
use pkg_middleware::Actor;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

pub use ending::{End, EndReason, PlayerResult, Results};
pub use event::SessionEvent;
pub use parts::{Former, JoinCode, LeaveReason, Origin, Seat, State, Team, Visibility};
pub use refused::{Attempt, Refused, ResultProblem};
pub use rules::{EventLimits, Rules};
pub use running::Change;
pub use seats::Joining;

/// The most players who were in a session, and those kicked, that are remembered; the oldest are forgotten.
pub const MAX_FORMER: usize = 1_000;
/// The most errands that wait. While there are as many nobody can join, so that leaving always can be recorded.
pub const MAX_ERRANDS: usize = 1_024;
/// The most teams.
pub const MAX_TEAMS: usize = 16;

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub id: Uuid,
    pub game: Uuid,
    pub name: String,
    pub state: State,
    #[serde(with = "serial::region")]
    pub region: Region,
    pub visibility: Visibility,
    /// Of a private one.
    pub join_code: Option<JoinCode>,
    pub owner: Option<Uuid>,
    /// Whether players own it. Then the first one in an empty session does.
    pub owned_by_players: bool,
    pub max_players: usize,
    pub teams: Vec<Team>,
    /// In the order of joining.
    pub seats: Vec<Seat>,
    #[serde(with = "crate::attributes::serial")]
    pub attributes: Attributes,
    #[serde(with = "serial::bytes")]
    pub data: Bytes,
    pub attributes_version: i64,
    pub version: i64,
    pub definition_revision: i64,
    pub rules: Rules,
    /// The match that it is for.
    pub origin: Option<Origin>,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::milliseconds::option")]
    pub started_at: Option<OffsetDateTime>,
    /// Since when it is paused.
    #[serde(with = "time::serde::timestamp::milliseconds::option")]
    pub paused_at: Option<OffsetDateTime>,
    /// How long it has stood still before, in milliseconds.
    pub paused_ms: u64,
    /// Since when neither a player nor a game server is connected.
    #[serde(with = "time::serde::timestamp::milliseconds::option")]
    pub empty_since: Option<OffsetDateTime>,
    /// How it ended.
    pub end: Option<End>,
    /// Who had a seat; the oldest first.
    pub former: Vec<Former>,
    /// Who cannot join again; the oldest first.
    pub kicked: Vec<Uuid>,
    /// What is to be told outside, and was not yet.
    pub errands: Vec<Errand>,
    /// A digest of what was asked for, to know a repeated creation by.
    #[serde(with = "serial::bytes")]
    pub request: Bytes,
}

/// Something to tell outside of the session's own store: repeated until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// The log hears that the session has ended. Everything that it says is in the session, which changes no more.
    RecordEnd,
    /// The log hears that a seat was given up.
    RecordLeft {
        /// The record.
        id: Uuid,
        /// Whose seat.
        player: Uuid,
        /// Why.
        reason: LeaveReason,
        /// When.
        #[serde(with = "time::serde::timestamp::milliseconds")]
        at: OffsetDateTime,
    },
    /// A player hears that others gave them a seat, or took it.
    TellPlayer {
        /// The event.
        id: Uuid,
        /// Whom.
        player: Uuid,
        /// Why they lost it; they have got one without.
        lost: Option<LeaveReason>,
    },
}

/// What a session begins with.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub id: Uuid,
    pub game: Uuid,
    pub name: String,
    pub region: Region,
    pub visibility: Visibility,
    pub join_code: Option<JoinCode>,
    pub owned_by_players: bool,
    pub max_players: usize,
    pub teams: Vec<Team>,
    pub attributes: Attributes,
    pub data: Bytes,
    pub definition_revision: i64,
    pub rules: Rules,
    pub origin: Option<Origin>,
    pub request: Bytes,
}

impl Session {
    /// A session in which nobody is yet.
    pub fn create(new: NewSession, now: OffsetDateTime) -> (Self, Vec<SessionEvent>) {
        let mut session = Self {
            id: new.id,
            game: new.game,
            name: new.name,
            state: State::Created,
            region: new.region,
            visibility: new.visibility,
            join_code: new.join_code,
            owner: None,
            owned_by_players: new.owned_by_players,
            max_players: new.max_players,
            teams: new.teams,
            seats: Vec::new(),
            attributes: new.attributes,
            data: new.data,
            attributes_version: 1,
            version: 0,
            definition_revision: new.definition_revision,
            rules: new.rules,
            origin: new.origin,
            created_at: now,
            started_at: None,
            paused_at: None,
            paused_ms: 0,
            empty_since: Some(now),
            end: None,
            former: Vec::new(),
            kicked: Vec::new(),
            errands: Vec::new(),
            request: new.request,
        };
        let version = session.next_version();
        let begun = SessionEvent::StateChanged { old: None, new: State::Created, version };
        (session, vec![begun])
    }

    /// The seat of a player.
    #[must_use]
    pub fn seat(&self, player: Uuid) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.player == player)
    }

    /// Whether it has ended, with or without results, or is about to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Finishing | State::Finished | State::Deleted)
    }

    /// Whether it is played: started, perhaps paused.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Started | State::Paused)
    }

    /// Whether somebody finds it.
    #[must_use]
    pub fn is_visible_to(&self, who: Actor) -> bool {
        let inside = || who.person().is_some_and(|person| self.seat(person).is_some());
        self.visibility == Visibility::Public || who.is_server() || who.is_admin() || inside()
    }

    /// Whether somebody may see its join code.
    #[must_use]
    pub fn shows_code_to(&self, who: Actor) -> bool {
        let inside = || who.person().is_some_and(|person| self.seat(person).is_some());
        who.is_server() || who.is_admin() || inside()
    }

    /// Whether a player could find it in the list and join it now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.visibility == Visibility::Public && self.takes_players() && self.seats.len() < self.max_players
    }

    /// How many players a team has.
    #[must_use]
    pub fn team_size(&self, team: &TeamName) -> usize {
        self.seats.iter().filter(|seat| seat.team.as_ref() == Some(team)).count()
    }

    /// What was left to be told when the session was loaded.
    #[must_use]
    pub fn has_errands(&self) -> bool {
        !self.errands.is_empty()
    }

    /// Strikes out errands that are done. With the record of its end a session that is being finished is finished.
    pub fn settle(&mut self, done: &[Errand]) -> Vec<SessionEvent> {
        self.errands.retain(|errand| !done.contains(errand));
        if self.state == State::Finishing && !self.errands.contains(&Errand::RecordEnd) {
            return self.become_finished();
        }
        Vec::new()
    }

    fn next_version(&mut self) -> i64 {
        self.version += 1;
        self.version
    }

    fn enter(&mut self, new: State) -> SessionEvent {
        let old = Some(std::mem::replace(&mut self.state, new));
        SessionEvent::StateChanged { old, new, version: self.next_version() }
    }
}

//! Making matches: claim, record, and on to be dispatched.

use std::collections::HashMap;
use std::sync::Arc;

use pkg_definition::{Format, TeamName};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::room::waited;
use super::{Halt, Shared, Worker};
use crate::dispatch::Dispatch;
use crate::in_flight::Flight;
use crate::matcher::Proposal;
use crate::store::{
    Aborted, Claim, Claimed, EndReason, Fenced, GiveBack, Match, MatchPlayer, MatchState, MatchTeam, Recorded,
    RecordedMatch, SeatHolder, StoreError,
};
use crate::ticket::Ticket;

/// How many matches are claimed and recorded in one step.
const ROUND: usize = 128;
/// How long a match may take until its session is there; then a sweeper looks at it. What is under way in the process of
/// that sweeper has longer.
const CLAIM_TIME: time::Duration = time::Duration::seconds(5);

/// A match that is being made.
struct Making {
    flight: Flight,
    proposal: Proposal,
}

impl Worker {
    /// Makes these matches, as far as their tickets still wait. Each is handed on to be dispatched when it is recorded.
    pub(super) async fn make(&mut self, proposals: Vec<Proposal>) -> Result<(), Halt> {
        let mut proposals = proposals.into_iter().peekable();
        while proposals.peek().is_some() {
            let round: Vec<Proposal> = proposals.by_ref().take(ROUND).collect();
            self.round(round).await?;
        }
        Ok(())
    }

    async fn round(&mut self, proposals: Vec<Proposal>) -> Result<(), Halt> {
        let shared = self.shared.clone();
        let (matches, making) = shared.prepare(proposals).await?;
        let (matches, making, freed) = shared.claim(matches, making).await?;
        self.put_back(freed);
        if matches.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let record = || shared.tools.matches.record(&matches, shared.tools.ambient.now());
        let recorded = shared.persist("matches cannot be recorded", record).await?;
        shared.tools.counters.record_seconds.record(began.elapsed());
        let (mut aborted, mut conflicts) = (Vec::new(), Vec::new());
        for ((made, making), recorded) in matches.into_iter().zip(making).zip(recorded) {
            match recorded {
                Recorded::Done | Recorded::Known(MatchState::Made | MatchState::Dispatched) => {
                    shared.hand_on(made, making);
                }
                Recorded::Known(MatchState::Aborted) => aborted.push(GiveBack { match_id: made.id, end: Vec::new() }),
                Recorded::Conflict(holders) => conflicts.push((made, making, holders)),
            }
        }
        shared.give_back(aborted).await?;
        shared.settle_conflicts(conflicts).await
    }
}

impl Shared {
    /// Waits until these matches may be made.
    async fn prepare(&self, proposals: Vec<Proposal>) -> Result<(Vec<Match>, Vec<Making>), Halt> {
        let places = async {
            let places = self.tools.in_flight.places(proposals.len()).await;
            self.hold.good().await;
            places
        };
        let mut places = tokio::select! {
            places = places => places,
            () = self.stop.cancelled() => return Err(Halt::Stopped),
        };
        let now = self.tools.ambient.now().truncate_to_millisecond();
        let (mut matches, mut making) = (Vec::with_capacity(proposals.len()), Vec::with_capacity(proposals.len()));
        for proposal in proposals {
            let made = self.describe(&proposal, now);
            // There are as many places as proposals, and the id is new.
            if let Some(flight) = places.enter(&self.tools.in_flight, made.id) {
                matches.push(made);
                making.push(Making { flight, proposal });
            }
        }
        Ok((matches, making))
    }

    fn describe(&self, proposal: &Proposal, now: OffsetDateTime) -> Match {
        let (rules, revision) = match self.room().as_ref() {
            Some(room) => (Some(room.rules()), room.revision()),
            None => (None, 0),
        };
        let mut tickets = HashMap::new();
        for ticket in &proposal.tickets {
            tickets.extend(ticket.players.iter().map(|player| (player.id, (ticket.id, waited(ticket, now)))));
        }
        let has_names = rules.as_ref().is_some_and(|rules| matches!(rules.format, Format::Teams { .. }));
        let names = rules.as_ref().map(|rules| rules.session.team_names.as_slice()).unwrap_or_default();
        let name = |place: usize| names.get(place).cloned().unwrap_or_else(|| TeamName::numbered(place + 1));
        let player = |player: &Uuid| {
            let (ticket, wait) = tickets.get(player).copied().unwrap_or_default();
            MatchPlayer { player: *player, ticket, wait }
        };
        let teams = proposal.teams.iter().enumerate().map(|(place, team)| MatchTeam {
            name: has_names.then(|| name(place)),
            players: team.players.iter().map(player).collect(),
            win_probability: team.win_probability,
        });
        Match {
            id: self.tools.ambient.id(),
            queue: self.queue.clone(),
            session: self.tools.ambient.id(),
            region: proposal.region,
            teams: teams.collect(),
            definition_revision: revision,
            created: now,
        }
    }

    /// Claims the tickets of matches. Answers with those that have all of theirs, and with the tickets of others that still
    /// wait.
    async fn claim(
        &self,
        matches: Vec<Match>,
        making: Vec<Making>,
    ) -> Result<(Vec<Match>, Vec<Making>, Vec<Arc<Ticket>>), Halt> {
        let deadline = self.tools.ambient.now() + CLAIM_TIME;
        let tickets = |making: &Making| making.proposal.tickets.iter().map(|ticket| ticket.id).collect();
        let claims = matches.iter().zip(&making);
        let claims: Vec<Claim> =
            claims.map(|(made, making)| Claim { match_id: made.id, tickets: tickets(making), deadline }).collect();
        let claim = || self.claim_while_held(&claims);
        let answers = self.persist("tickets cannot be claimed", claim).await??;
        let (mut claimed, mut theirs, mut freed) = (Vec::new(), Vec::new(), Vec::new());
        for ((made, making), answer) in matches.into_iter().zip(making).zip(answers) {
            match answer {
                Claimed::Done => {
                    claimed.push(made);
                    theirs.push(making);
                }
                Claimed::NotWaiting(gone) => {
                    self.tools.counters.claims_refused.increment(1);
                    freed.extend(making.proposal.tickets.into_iter().filter(|ticket| !gone.contains(&ticket.id)));
                }
            }
        }
        Ok((claimed, theirs, freed))
    }

    async fn claim_while_held(&self, claims: &[Claim]) -> Result<Result<Vec<Claimed>, Fenced>, StoreError> {
        tokio::select! {
            () = self.hold.good() => self.tools.tickets.claim(&self.queue, self.hold.epoch(), claims).await,
            () = self.stop.cancelled() => Err(StoreError::unavailable("the lease has run out")),
        }
    }

    /// A match is recorded: its session is created beside what follows.
    fn hand_on(&self, made: Match, making: Making) {
        if let Some(room) = self.room().as_mut() {
            room.record_waits(&making.proposal, made.created);
        }
        if let Some(imbalance) = making.proposal.imbalance {
            self.tools.counters.imbalances.record(imbalance);
        }
        self.tools.dispatcher.begin(Dispatch { made, flight: making.flight, hold: self.hold.clone() });
    }

    /// Matches in which somebody has another open seat: that ticket ends, and the others wait again.
    async fn settle_conflicts(&self, conflicts: Vec<(Match, Making, Vec<SeatHolder>)>) -> Result<(), Halt> {
        if conflicts.is_empty() {
            return Ok(());
        }
        // A record whose outcome was not known may come late, and must find its match aborted.
        let ids: Vec<Uuid> = conflicts.iter().map(|(made, ..)| made.id).collect();
        let abort = || self.tools.matches.abort(&self.queue, &ids, self.tools.ambient.now());
        let aborted = self.persist("matches cannot be aborted", abort).await?;
        let mut seated = Vec::new();
        for ((made, making, holders), aborted) in conflicts.into_iter().zip(aborted) {
            match aborted {
                Aborted::Recorded(found) if found.state != MatchState::Aborted => self.hand_on(made, making),
                Aborted::Done | Aborted::Recorded(_) => seated.push((made, holders, making.flight)),
            }
        }
        let holding = |made: &Match, holders: &[SeatHolder]| -> Vec<Uuid> {
            let holds = |player: &&MatchPlayer| holders.iter().any(|holder| holder.player == player.player);
            let mut tickets: Vec<Uuid> = made.players().filter(holds).map(|player| player.ticket).collect();
            tickets.dedup();
            tickets
        };
        let tickets: Vec<Uuid> = seated.iter().flat_map(|(made, holders, _)| holding(made, holders)).collect();
        // The seat may be the ticket's own: the store of tickets has forgotten that it was matched.
        let find = || self.tools.matches.matches_of_tickets(&tickets);
        let found = self.persist("the matches of tickets cannot be read", find).await?;
        let is_matched = |ticket: &Uuid| found.iter().any(|found| found.ticket == *ticket);
        let ending: Vec<Uuid> = tickets.iter().copied().filter(|ticket| !is_matched(ticket)).collect();
        let give_back = seated.iter().map(|(made, holders, _)| {
            let ends = holding(made, holders).into_iter().filter(|ticket| !is_matched(ticket));
            GiveBack { match_id: made.id, end: ends.map(|ticket| (ticket, EndReason::AlreadyInMatch)).collect() }
        });
        self.give_back(give_back.collect()).await?;
        self.tools.endings.tell(&ending, EndReason::AlreadyInMatch).await;
        for found in found {
            self.settle(found.found).await;
        }
        Ok(())
    }

    /// Ends claims whose matches came to nothing.
    pub(super) async fn give_back(&self, claims: Vec<GiveBack>) -> Result<(), Halt> {
        if claims.is_empty() {
            return Ok(());
        }
        let now = self.tools.ambient.now();
        let give = || self.tools.tickets.give_back(&self.queue, self.hold.epoch(), &claims, now);
        self.persist("claims cannot be given back", give).await??;
        self.tools.counters.claims_returned.increment(claims.len() as u64);
        Ok(())
    }

    /// A recorded match whose claim was not acknowledged: what is missing is done, unless somebody is at it here.
    pub(super) async fn settle(&self, found: RecordedMatch) {
        match found.state {
            MatchState::Dispatched => self.tools.dispatcher.finish(&found).await,
            MatchState::Made => {
                if let Some(flight) = self.tools.in_flight.try_enter(found.made.id) {
                    let hold = self.hold.clone();
                    self.tools.dispatcher.begin(Dispatch { made: found.made, flight, hold });
                }
            }
            MatchState::Aborted => {}
        }
    }
}

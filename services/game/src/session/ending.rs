//! How a session ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pkg_definition::{Attributes, TeamName};
use pkg_middleware::Actor;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Attempt, Errand, Refused, ResultProblem, Session, SessionEvent, State, serial};

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// It was finished with results.
    Completed,
    /// Nobody was there any more.
    Abandoned,
    /// It reached its greatest duration.
    TooLong,
    /// It was deleted.
    Deleted,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub reason: EndReason,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub at: OffsetDateTime,
    /// Who ended it; nobody if it ended by itself.
    pub actor: Option<Uuid>,
    pub results: Option<Results>,
}

/// How a session ended for those in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub players: Vec<PlayerResult>,
    #[serde(with = "crate::attributes::serial")]
    pub attributes: Attributes,
}

/// How a session ended for one player.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlayerResult {
    pub player: Uuid,
    #[serde(with = "serial::team::option")]
    pub team: Option<TeamName>,
    /// 1 is the best.
    pub placement: u32,
    pub score: Option<i64>,
    #[serde(with = "crate::attributes::serial")]
    pub attributes: Attributes,
    pub left_early: bool,
}

impl Session {
    /// Finishes it with results, which are recorded next. Repeated with the same results it does nothing.
    pub fn finish(&mut self, results: &Results, by: Actor, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        if !by.is_server() && !self.rules.owner_may_finish {
            return Err(Refused::FinishNotAllowed);
        }
        match (self.state, self.end.as_ref().and_then(|end| end.results.as_ref())) {
            (State::Started | State::Paused, _) => {}
            (State::Finishing | State::Finished, Some(before)) => {
                let same = *before == self.complete(results)?;
                return if same { Ok(Vec::new()) } else { Err(Refused::ResultsDiffer) };
            }
            _ => return Err(self.refuse(Attempt::Finish)),
        }
        let results = self.complete(results)?;
        self.close_pause(now);
        self.end = Some(End { reason: EndReason::Completed, at: now, actor: Some(by.id()), results: Some(results) });
        self.errands.push(Errand::RecordEnd);
        Ok(vec![self.enter(State::Finishing)])
    }

    /// Ends it without results, and drops what is in it.
    pub fn delete(&mut self, by: Actor, now: OffsetDateTime) -> Result<Vec<SessionEvent>, Refused> {
        self.check_runs(by)?;
        match self.state {
            State::Created | State::Waiting => {}
            State::Started | State::Paused if by.is_server() => {}
            State::Deleted => return Ok(Vec::new()),
            State::Started | State::Paused | State::Finishing | State::Finished => {
                return Err(self.refuse(Attempt::Delete));
            }
        }
        self.close_pause(now);
        self.end = Some(End { reason: EndReason::Deleted, at: now, actor: Some(by.id()), results: None });
        self.attributes = Attributes::default();
        self.data = Bytes::new();
        self.errands.push(Errand::RecordEnd);
        let changed = self.enter(State::Deleted);
        Ok(vec![changed, self.last_event()])
    }

    pub(super) fn become_finished(&mut self) -> Vec<SessionEvent> {
        let changed = self.enter(State::Finished);
        vec![changed, self.last_event()]
    }

    fn last_event(&mut self) -> SessionEvent {
        let version = self.next_version();
        let end = self.end.as_ref();
        let reason = end.map_or(EndReason::Abandoned, |end| end.reason);
        SessionEvent::Ended { reason, results: end.and_then(|end| end.results.clone()), version }
    }

    /// The results with what the session knows better: the teams, and who left before the end.
    fn complete(&self, results: &Results) -> Result<Results, Refused> {
        let mut known: BTreeMap<Uuid, &Option<TeamName>> =
            self.former.iter().map(|former| (former.player, &former.team)).collect();
        known.extend(self.seats.iter().map(|seat| (seat.player, &seat.team)));
        let (mut named, mut placements) = (BTreeSet::new(), BTreeMap::new());
        let mut completed = results.clone();
        for (index, result) in completed.players.iter_mut().enumerate() {
            let refuse = |problem| Err(Refused::Result { index, problem });
            let Some(team) = known.get(&result.player) else { return refuse(ResultProblem::Stranger) };
            if !named.insert(result.player) {
                return refuse(ResultProblem::Twice);
            }
            if result.team.is_some() && result.team != **team {
                return refuse(ResultProblem::OtherTeam);
            }
            result.team.clone_from(team);
            result.left_early |= self.seat(result.player).is_none();
            if let Some(team) = &result.team
                && *placements.entry(team.clone()).or_insert(result.placement) != result.placement
            {
                return refuse(ResultProblem::TeamDivided);
            }
        }
        Ok(completed)
    }
}

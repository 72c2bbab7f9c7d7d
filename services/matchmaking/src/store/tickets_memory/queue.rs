//! One queue: what waits in it, and what is claimed.

use std::collections::HashMap;

use bytes::Bytes;
use pkg_db::{from_millis, to_millis};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::tickets::{Claim, Fenced, MadeClaim};
use super::entry::{Entry, Life};
use crate::runs::Runs;

/// A queue. Times are milliseconds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The tickets that wait, by the numbers of their arrivals.
    arrivals: Runs<(u64, Uuid)>,
    /// The numbers of the same arrivals, by when their tickets expire…
    expiring: Runs<(i64, u64)>,
    /// …and by the last signs of life.
    seen: Runs<(i64, u64)>,
    /// When somebody asked last why.
    asked: HashMap<Uuid, i64>,
    claims: HashMap<Uuid, MadeClaim>,
    last_number: u64,
    epoch: i64,
    pub(super) summary: Option<(Bytes, OffsetDateTime)>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.claims.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.arrivals.len()
    }

    /// A ticket waits from now on: the number of its arrival.
    pub(super) fn arrive(&mut self, id: Uuid, expires: i64, seen: i64, now: i64) -> u64 {
        const MICROS_PER_MILLI: u64 = 1_000;
        let now = u64::try_from(now).unwrap_or_default() * MICROS_PER_MILLI;
        let number = now.max(self.last_number + 1);
        self.last_number = number;
        self.arrivals.insert((number, id));
        self.expiring.insert((expires, number));
        self.seen.insert((seen, number));
        number
    }

    /// A ticket waits no more from now on, if it does.
    pub(super) fn leave(&mut self, entry: &Entry) {
        let Life::Queued(number) = entry.life else { return };
        let id = entry.ticket.id;
        self.arrivals.remove(&(number, id));
        self.expiring.remove(&(entry.expires, number));
        self.seen.remove(&(entry.seen, number));
        self.asked.remove(&id);
    }

    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = (u64, Uuid)> {
        self.arrivals.from(&(number.saturating_add(1), Uuid::nil())).copied()
    }

    pub(super) fn sign(&mut self, entry: &mut Entry, now: i64, asks: bool) {
        let before = entry.seen;
        entry.seen = before.max(now);
        let Life::Queued(number) = entry.life else { return };
        self.seen.remove(&(before, number));
        self.seen.insert((entry.seen, number));
        if asks {
            self.asked.insert(entry.ticket.id, entry.seen);
        }
    }

    pub(super) fn gone(&self, before: i64, max: usize) -> Vec<Uuid> {
        self.first_of(&self.seen, |seen| seen < before, max)
    }

    pub(super) fn expired(&self, now: i64, max: usize) -> Vec<Uuid> {
        self.first_of(&self.expiring, |expires| expires <= now, max)
    }

    /// The tickets that come first by a time, as long as it is one of these.
    fn first_of(&self, times: &Runs<(i64, u64)>, is_due: impl Fn(i64) -> bool, max: usize) -> Vec<Uuid> {
        let due = times.iter().take_while(|(time, _)| is_due(*time)).take(max);
        due.filter_map(|(_, number)| self.arrivals.from(&(*number, Uuid::nil())).next()).map(|(_, id)| *id).collect()
    }

    pub(super) fn asked(&mut self, since: i64, max: usize) -> Vec<Uuid> {
        self.asked.retain(|_, at| *at >= since);
        let mut asked: Vec<(i64, Uuid)> = self.asked.iter().map(|(id, at)| (*at, *id)).collect();
        asked.sort_unstable_by(|one, other| other.cmp(one));
        asked.into_iter().take(max).map(|(_, id)| id).collect()
    }

    pub(super) fn fence(&mut self, epoch: i64) -> Option<Fenced> {
        if self.epoch > epoch {
            return Some(Fenced { epoch: self.epoch });
        }
        self.epoch = epoch;
        None
    }

    pub(super) fn claim(&mut self, claim: &Claim) {
        let deadline = from_millis(to_millis(claim.deadline));
        let made = MadeClaim { match_id: claim.match_id, tickets: claim.tickets.clone(), deadline };
        self.claims.insert(claim.match_id, made);
    }

    /// The tickets of the claim; none if it is not there.
    pub(super) fn end_claim(&mut self, match_id: Uuid) -> Vec<Uuid> {
        self.claims.remove(&match_id).map(|claim| claim.tickets).unwrap_or_default()
    }

    pub(super) fn overdue(&self, now: i64, max: usize) -> Vec<MadeClaim> {
        let mut overdue: Vec<&MadeClaim> = self.claims.values().filter(|it| to_millis(it.deadline) <= now).collect();
        overdue.sort_unstable_by_key(|claim| (claim.deadline, claim.match_id));
        overdue.into_iter().take(max).cloned().collect()
    }
}

//! One queue: what waits in it, and what is claimed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use pkg_db::{from_millis, to_millis};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::tickets::{Claim, Fenced, MadeClaim};

/// A queue. Times are milliseconds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: HashMap<Uuid, Waiting>,
    by_number: BTreeMap<u64, Uuid>,
    expiring: BTreeSet<(i64, Uuid)>,
    seen: BTreeSet<(i64, Uuid)>,
    /// When somebody asked last why.
    asked: HashMap<Uuid, i64>,
    claims: HashMap<Uuid, MadeClaim>,
    last_number: u64,
    epoch: i64,
    pub(super) summary: Option<(Bytes, OffsetDateTime)>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    expires: i64,
    seen: i64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.claims.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn has(&self, id: Uuid) -> bool {
        self.waiting.contains_key(&id)
    }

    pub(super) fn arrive(&mut self, id: Uuid, expires: i64, seen: i64, now: i64) {
        const MICROS_PER_MILLI: u64 = 1_000;
        let now = u64::try_from(now).unwrap_or_default() * MICROS_PER_MILLI;
        let number = now.max(self.last_number + 1);
        self.last_number = number;
        self.by_number.insert(number, id);
        self.expiring.insert((expires, id));
        self.seen.insert((seen, id));
        self.waiting.insert(id, Waiting { number, expires, seen });
    }

    pub(super) fn leave(&mut self, id: Uuid) {
        let Some(Waiting { number, expires, seen }) = self.waiting.remove(&id) else { return };
        self.by_number.remove(&number);
        self.expiring.remove(&(expires, id));
        self.seen.remove(&(seen, id));
        self.asked.remove(&id);
    }

    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = (u64, Uuid)> {
        self.by_number.range(number.saturating_add(1)..).map(|(number, id)| (*number, *id))
    }

    pub(super) fn sign(&mut self, id: Uuid, now: i64, asks: bool) {
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        self.seen.remove(&(waiting.seen, id));
        self.seen.insert((now, id));
        waiting.seen = now;
        if asks {
            self.asked.insert(id, now);
        }
    }

    pub(super) fn gone(&self, before: i64, max: usize) -> Vec<Uuid> {
        self.seen.range(..(before, Uuid::nil())).take(max).map(|(_, id)| *id).collect()
    }

    pub(super) fn expired(&self, now: i64, max: usize) -> Vec<Uuid> {
        self.expiring.range(..=(now, Uuid::max())).take(max).map(|(_, id)| *id).collect()
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

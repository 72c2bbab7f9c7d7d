//! The tickets that a worker has in memory.

use std::sync::Arc;
use std::time::Duration;

use pkg_definition::Queue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::matcher::{Budget, Matcher, Proposal, Ticked, Unmet};
use crate::queues::QueueRules;
use crate::ticket::{Ticket, Unfit, place};
use crate::waits::{Summary, Waits};

/// How much is done in one go before others have their turn: a few milliseconds.
const STEPS: Budget = Budget { steps: 100_000 };

/// The tickets that wait, by the rules of their queue, and how long those waited who were matched lately.
pub struct Room {
    matcher: Matcher,
    revision: i64,
    waits: Waits,
}

impl Room {
    pub fn new(queue: &QueueRules, waits: Waits) -> Self {
        Self { matcher: Matcher::new(queue.rules.clone()), revision: queue.revision, waits }
    }

    /// A ticket arrives.
    pub fn insert(&mut self, ticket: Arc<Ticket>, now: OffsetDateTime) -> Option<Proposal> {
        self.matcher.insert(ticket, now)
    }

    /// A ticket comes back, or comes while no matches are made: a tick looks at it.
    pub fn restore(&mut self, ticket: Arc<Ticket>, now: OffsetDateTime) {
        self.matcher.restore(ticket, now);
    }

    pub fn remove(&mut self, id: Uuid) {
        self.matcher.remove(id);
    }

    pub fn contains(&self, id: Uuid) -> bool {
        self.matcher.get(id).is_some()
    }

    pub fn tick(&mut self, now: OffsetDateTime) -> Ticked {
        self.matcher.tick(now, STEPS)
    }

    /// When to tick next, as far as one can tell now.
    pub fn next_change(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.matcher.next_change(now)
    }

    /// Takes rules; says which tickets can never be in a match any more.
    pub fn follow(&mut self, queue: &QueueRules, now: OffsetDateTime) -> Vec<(Arc<Ticket>, Unfit)> {
        self.revision = queue.revision;
        if **self.matcher.rules() == *queue.rules {
            return Vec::new();
        }
        self.matcher.set_rules(queue.rules.clone(), now)
    }

    pub fn rules(&self) -> Arc<Queue> {
        self.matcher.rules().clone()
    }

    /// The revision of the definition that the rules are of.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    pub fn len(&self) -> usize {
        self.matcher.len()
    }

    pub fn players(&self) -> u64 {
        self.matcher.players()
    }

    /// All tickets, the oldest first.
    pub fn ids(&self) -> Vec<Uuid> {
        self.matcher.tickets().map(|ticket| ticket.id).collect()
    }

    /// A match was recorded.
    pub fn record_waits(&mut self, proposal: &Proposal, now: OffsetDateTime) {
        let waits = proposal.tickets.iter().map(|ticket| waited(ticket, now));
        self.waits.record(proposal.region, waits, now);
    }

    pub fn unmet(&self, id: Uuid, now: OffsetDateTime) -> Vec<Unmet> {
        self.matcher.unmet(id, now)
    }

    pub fn summary(&self, now: OffsetDateTime) -> Summary {
        let regions = self.matcher.region_players().filter(|(_, players)| *players > 0);
        Summary {
            counted_at: pkg_db::to_millis(now),
            tickets: self.matcher.len() as u64,
            players: self.matcher.players(),
            oldest: self.matcher.oldest().map(pkg_db::to_millis),
            regions: regions
                .filter_map(|(region, players)| Some((u8::try_from(place(region)).ok()?, players)))
                .collect(),
            recent: self.waits.clone(),
        }
    }
}

/// How long a ticket has waited, to the millisecond.
pub fn waited(ticket: &Ticket, now: OffsetDateTime) -> Duration {
    Duration::from_millis(u64::try_from((now - ticket.created).whole_milliseconds()).unwrap_or(0))
}

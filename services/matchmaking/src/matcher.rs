//! Which of the waiting tickets of a queue make a match: a function of the tickets, the rules and the time.
//!
//! # What holds
//!
//! - Every match keeps the rules as [`fits_rules`] reads them, and no ticket is in two.
//! - The same calls give the same answers; the order in which tickets came makes no difference to a tick.
//! - Limits loosen with each ticket's own age. A clock that goes back does not tighten them.
//! - The oldest ticket that has a match is in one, and so on with the tickets that remain: when a tick has not run out of
//!   its budget, those that still wait have no match. It ends here:
//!   - A match of more than a pair is searched for among the tickets nearest in skill: of 1,024 on a shelf the 128 nearest
//!     that fit (or twice as many as a match has players). Up to 12 tickets, the ticket itself among them, everything is
//!     tried (4,000,000 tries at most, which formats with many small teams could exceed); beyond that 20,000 tries for each
//!     region.
//!   - Two tickets of a pair find each other while less than 512 tickets on a shelf lie between them in skill.
//!   - A shelf holds the tickets of one region with the same values of all properties that must be equal for ever.
//! - A pair that fits on arrival is matched on arrival, with the oldest ticket that it fits; else both are looked at when they
//!   fit, to the millisecond. Larger matches are made by ticks.
//!
//! # What it prefers
//!
//! Full matches, then as many players as there are; partners of like skill; of all splits into teams the most equal one;
//! of all regions in common the one whose slowest connection is the fastest.

mod check;
mod fit;
mod limits;
mod pairs;
mod pool;
#[cfg(test)]
mod properties;
mod proposal;
mod search;
mod shelf;
mod shelves;
mod slots;
mod split;
mod sweep;
mod teams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod unmet;
mod waiting;

use std::sync::Arc;

use pkg_definition::{Queue, Region};
use time::OffsetDateTime;
use uuid::Uuid;

pub use check::{Broken, fits_rules};
pub use proposal::{Proposal, ProposedTeam};
pub use unmet::{Unmet, UnmetRule};

use self::limits::{Millis, millis, moment, span};
use self::pairs::{BULK, Pairs};
use self::pool::Pool;
use self::slots::Slot;
use self::sweep::sweep;
use self::teams::Teams;
use self::waiting::Waiting;
use crate::ticket::{Ticket, Unfit, place};

/// The tickets that wait in one queue.
#[derive(Debug)]
pub struct Matcher {
    pool: Pool,
    search: Search,
    /// The latest time that it was told.
    now: Millis,
}

#[derive(Debug)]
enum Search {
    Pairs(Pairs),
    Teams(Teams),
}

/// How much a tick may do. A step is one look at one waiting ticket, or one try at a place in a match; some 10–100 ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many steps.
    pub steps: u64,
}

/// What a tick found.
#[derive(Debug, Default, PartialEq)]
pub struct Ticked {
    /// The matches, in the order in which they were found: that with the oldest ticket first. Their tickets wait no more.
    pub proposals: Vec<Proposal>,
    /// How many steps it took.
    pub steps: u64,
    /// Whether the budget ran out before every ticket had its turn. The next tick gives half of its budget to the oldest again
    /// and goes on from there with the other half; it is over when all have had a turn. A turn that has begun is finished.
    pub ran_out: bool,
}

impl Budget {
    /// As many steps as it takes.
    pub const UNLIMITED: Self = Self { steps: u64::MAX };
}

impl Matcher {
    /// An empty queue with these rules.
    #[must_use]
    pub fn new(rules: Arc<Queue>) -> Self {
        let search = match rules.format.max_players() {
            2 => Search::Pairs(Pairs::default()),
            _ => Search::Teams(Teams::default()),
        };
        Self { pool: Pool::new(rules), search, now: Millis::MIN }
    }

    /// A ticket arrives. In a queue of pairs it is matched at once if it fits one that waits: with the oldest that it fits.
    /// In other queues the next tick looks at it. Nothing happens if a ticket with its id waits already. One that fits
    /// nobody by its own fault ([`Ticket::check`]) waits in vain.
    pub fn insert(&mut self, ticket: impl Into<Arc<Ticket>>, now: OffsetDateTime) -> Option<Proposal> {
        let now = self.clock(now);
        let slot = self.pool.add(ticket.into(), now)?;
        let Search::Pairs(pairs) = &mut self.search else { return None };
        let partner = pairs.meet(&self.pool, slot, now, &mut 0)?;
        pair(&mut self.pool, slot, partner, now, Pool::take)
    }

    /// A ticket comes from the store, into a queue that is just being loaded: matches are left to the next tick.
    pub fn restore(&mut self, ticket: impl Into<Arc<Ticket>>, now: OffsetDateTime) {
        let now = self.clock(now);
        let Some(slot) = self.pool.add(ticket.into(), now) else { return };
        let filed = self.pool.get(slot).is_some_and(|waiting| !waiting.filed.is_empty());
        if let Search::Pairs(pairs) = &mut self.search {
            pairs.begin(slot, filed);
        }
    }

    /// Takes a ticket out; `None` if it does not wait.
    pub fn remove(&mut self, id: Uuid) -> Option<Arc<Ticket>> {
        let slot = self.pool.slot(id)?;
        self.pool.take(slot).map(|waiting| waiting.ticket)
    }

    /// A ticket that waits.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Ticket> {
        self.pool.get(self.pool.slot(id)?).map(|waiting| &*waiting.ticket)
    }

    /// Looks for matches.
    pub fn tick(&mut self, now: OffsetDateTime, budget: Budget) -> Ticked {
        let now = self.clock(now);
        match &mut self.search {
            Search::Pairs(pairs) => tick_pairs(pairs, &mut self.pool, now, budget),
            Search::Teams(teams) => teams.tick(&mut self.pool, now, budget),
        }
    }

    /// When to call [`Self::tick`] next; `None`: not before another ticket arrives. In a queue of pairs that is when
    /// widening next may make two tickets fit, to the millisecond, or now if that has passed; in others a tick's interval
    /// from now, as long as anybody waits.
    #[must_use]
    pub fn next_change(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let next = match &self.search {
            Search::Pairs(pairs) => pairs.next_look(&self.pool)?,
            Search::Teams(_) if self.is_empty() => return None,
            Search::Teams(_) => millis(now).saturating_add(span(self.pool.rules.tick)),
        };
        Some(moment(next).max(now))
    }

    /// Why a ticket is not matched yet: the rule that excludes most first, but a lack of players before all. Counted among
    /// the 256 oldest others, and scaled up to all. Empty if the ticket does not wait, or nothing is in its way but time.
    #[must_use]
    pub fn unmet(&self, id: Uuid, now: OffsetDateTime) -> Vec<Unmet> {
        let now = self.now.max(millis(now));
        self.pool.slot(id).map(|slot| unmet::unmet(&self.pool, slot, now)).unwrap_or_default()
    }

    /// The rules have changed. Tickets that can never be in a match under the new ones come back, with the reason, the
    /// oldest first; the others are looked at in the next tick.
    pub fn set_rules(&mut self, rules: Arc<Queue>, now: OffsetDateTime) -> Vec<(Arc<Ticket>, Unfit)> {
        let mut changed = Self { now: self.now, ..Self::new(rules) };
        let mut unfit = Vec::new();
        for ticket in self.pool.drain() {
            match ticket.check(changed.rules()) {
                Ok(()) => changed.restore(ticket, now),
                Err(reason) => unfit.push((ticket, reason)),
            }
        }
        *self = changed;
        unfit
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Arc<Queue> {
        &self.pool.rules
    }

    /// How many tickets wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pool.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pool.len() == 0
    }

    /// How many players wait.
    #[must_use]
    pub fn players(&self) -> u64 {
        self.pool.players
    }

    /// When the oldest ticket was created.
    #[must_use]
    pub fn oldest(&self) -> Option<OffsetDateTime> {
        self.pool.by_age().next().map(|(_, waiting)| waiting.ticket.created)
    }

    /// All tickets, the oldest first.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.pool.by_age().map(|(_, waiting)| &*waiting.ticket)
    }

    /// How many players wait for each region on offer, where they could ever reach it; who takes several counts in each.
    pub fn region_players(&self) -> impl Iterator<Item = (Region, u64)> {
        let offered = self.pool.rules.region.regions.iter();
        offered.map(|region| (*region, self.pool.region_players[place(*region)]))
    }

    fn clock(&mut self, now: OffsetDateTime) -> Millis {
        self.now = self.now.max(millis(now));
        self.now
    }
}

/// All matches that these tickets make: the reference for what a [`Matcher`] does. It hangs on nothing but its arguments,
/// and not on the order of the tickets, whose ids differ.
#[must_use]
pub fn find_matches(tickets: &[Ticket], rules: &Arc<Queue>, now: OffsetDateTime) -> Vec<Proposal> {
    let mut matcher = Matcher::new(rules.clone());
    for ticket in tickets {
        matcher.restore(ticket.clone(), now);
    }
    matcher.tick(now, Budget::UNLIMITED).proposals
}

fn tick_pairs(pairs: &mut Pairs, pool: &mut Pool, now: Millis, budget: Budget) -> Ticked {
    let mut ticked = Ticked::default();
    let due = pairs.due(pool, now, &mut ticked.steps);
    let bulk = due.len() > pool.len() / BULK;
    if bulk && let Some(shelf) = pool.shelves.only() {
        let swept = sweep(pool, shelf, due, now, budget.steps, &mut ticked.steps);
        for (one, other) in swept.pairs {
            ticked.proposals.extend(pair(pool, one, other, now, Pool::take_in_sweep));
        }
        pool.end_sweep();
        swept.left.iter().for_each(|slot| pairs.look_at_once(*slot));
        ticked.ran_out = !swept.left.is_empty();
        // All that is left of their turns is to say when the next ones are.
        take_turns(pairs, pool, swept.lonely, now, Budget::UNLIMITED, Pool::take, &mut ticked);
    } else if bulk {
        take_turns(pairs, pool, due, now, budget, Pool::take_in_bulk, &mut ticked);
        pool.end_bulk();
    } else {
        take_turns(pairs, pool, due, now, budget, Pool::take, &mut ticked);
    }
    ticked
}

/// Gives tickets of a queue of pairs their turns, until the budget is spent.
fn take_turns(
    pairs: &mut Pairs,
    pool: &mut Pool,
    due: Vec<Slot>,
    now: Millis,
    budget: Budget,
    take: Take,
    ticked: &mut Ticked,
) {
    let mut turns = due.into_iter();
    while let Some(slot) = turns.next() {
        if ticked.steps >= budget.steps {
            ticked.ran_out = true;
            std::iter::once(slot).chain(turns).for_each(|left| pairs.look_at_once(left));
            return;
        }
        ticked.steps += 1;
        if let Some(partner) = pairs.partner(pool, slot, now, &mut ticked.steps) {
            ticked.proposals.extend(pair(pool, slot, partner, now, take));
        }
    }
}

/// Takes out two tickets that fit.
fn pair(pool: &mut Pool, one: Slot, other: Slot, now: Millis, take: Take) -> Option<Proposal> {
    let region = proposal::region([pool.get(one)?, pool.get(other)?].into_iter(), &pool.rules, now)?;
    let (one, other) = (take(pool, one)?, take(pool, other)?);
    Some(Proposal::pair(one, other, region, &pool.rules))
}

type Take = fn(&mut Pool, Slot) -> Option<Waiting>;

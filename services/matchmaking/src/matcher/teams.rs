//! Queues whose matches are more than a pair: tickets have their turns at every tick, the oldest first.
//!
//! One half of a tick's budget goes to the oldest; the other goes on where the last tick stopped, so that old tickets that
//! fit nobody do not keep the others from their turns.

use super::limits::Millis;
use super::pool::{Age, Pool};
use super::proposal::Proposal;
use super::search::{find, sizes};
use super::slots::Slot;
use super::{Budget, Ticked};

#[derive(Debug, Default)]
pub(super) struct Teams {
    /// The last ticket that had its turn in a round that was not finished.
    reached: Option<Age>,
}

impl Teams {
    pub fn tick(&mut self, pool: &mut Pool, now: Millis, budget: Budget) -> Ticked {
        let mut ticked = Ticked::default();
        pool.widen_regions(now);
        let half = budget.steps / 2;
        let Some(oldest) = turns(pool, None, now, half, &mut ticked) else {
            self.reached = None;
            return ticked;
        };
        self.reached = turns(pool, self.reached.max(Some(oldest)), now, half, &mut ticked);
        ticked.ran_out = self.reached.is_some();
        ticked
    }
}

/// Gives tickets their turns, from the one after this on: one at least, and as many as begin within so many steps. Which one
/// was the last, if not all had their turns.
fn turns(pool: &mut Pool, after: Option<Age>, now: Millis, steps: u64, ticked: &mut Ticked) -> Option<Age> {
    let end = ticked.steps.saturating_add(steps);
    let mut last = after;
    loop {
        let next = match last {
            // No ticket has that slot, so it is the one after.
            Some(last) => pool.ages.from(&(last, Slot::MAX)).next(),
            None => pool.ages.first(),
        };
        let (age, slot) = *next?;
        // Nobody has enough partners: no need to look for them.
        if pool.players < u64::from(*sizes(&pool.rules, Millis::MAX).start()) {
            return None;
        }
        ticked.steps += 1;
        if let Some(found) = find(pool, slot, now, &mut ticked.steps) {
            let members = found.members.into_iter();
            let members = members.filter_map(|(slot, team)| Some((pool.take(slot)?, team))).collect();
            ticked.proposals.push(Proposal::new(members, found.region, &pool.rules));
        }
        last = Some(age);
        if ticked.steps >= end {
            return last;
        }
    }
}

//! Queues whose matches are two tickets of one player each.
//!
//! Two tickets fit from a moment on that can be calculated, and that is kept with the older of them as the time of its next
//! look. So nothing happens between arrivals and those moments, however many wait; and at such a moment the tickets whose
//! time has come are just those that have a match as its older half, which is why the oldest comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::fit::fit_time;
use super::limits::{Millis, age, age_allowing, limit_at, span};
use super::pool::Pool;
use super::shelf::{Mark, Near};
use super::slots::Slot;
use super::waiting::Waiting;

/// How many tickets on a shelf are looked at for one ticket, the nearest first. Where more lie within its window, and none
/// of these fits, it is looked at again at the next tick.
pub(super) const LOOKS_MAX: usize = 512;

/// Looks that are overdue before the heap of looks is made anew, for each ticket that waits.
const STALE_MAX: usize = 4;
const STALE_ALWAYS: usize = 1_024;
/// One in so many is a good part of the queue.
pub(super) const BULK: usize = 8;

/// When to look at which ticket.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// A look counts if it is the next of the ticket in its slot.
    looks: BinaryHeap<Reverse<(Millis, Slot)>>,
    /// The next look at the ticket in each slot.
    nexts: Vec<Millis>,
    /// Looks without delay, of tickets that came in bulk.
    at_once: Vec<Slot>,
}

/// What lies around a ticket.
#[derive(Debug, Default)]
struct Neighbours<'a> {
    /// Those that fit now.
    fitting: Vec<Near<'a>>,
    /// Those that fit later, and when.
    later: Vec<(Near<'a>, Millis)>,
    /// Whether there were more than could be looked at.
    cut: bool,
}

impl Pairs {
    /// A ticket is new in its slot and on its shelves: who it is matched with, if it fits now. Those with which it fits later
    /// are told.
    pub fn meet(&mut self, pool: &Pool, slot: Slot, now: Millis, steps: &mut u64) -> Option<Slot> {
        self.forget(slot);
        let own = pool.get(slot)?;
        let fitting = neighbours(pool, own, now, age(own.created, now), steps).fitting;
        let oldest = fitting.into_iter().min_by_key(|near| (near.mark.created, near.mark.id));
        if let Some(oldest) = oldest {
            return Some(oldest.slot);
        }
        let neighbours = neighbours(pool, own, now, span(pool.rules.ticket_lifetime), steps);
        let mark = Mark::of(own);
        for (near, time) in neighbours.later {
            self.look(pool, if near.mark.is_older(&mark) { near.slot } else { slot }, time);
        }
        if neighbours.cut {
            self.look(pool, slot, next_tick(pool, now));
        }
        None
    }

    /// A ticket is new in its slot: it is looked at in the next tick, if it is filed anywhere.
    pub fn begin(&mut self, slot: Slot, filed: bool) {
        self.forget(slot);
        if filed {
            self.look_at_once(slot);
        }
    }

    /// A ticket is looked at in the next tick.
    pub fn look_at_once(&mut self, slot: Slot) {
        self.nexts[slot] = Millis::MIN;
        self.at_once.push(slot);
    }

    /// When to look next.
    pub fn next_look(&self, pool: &Pool) -> Option<Millis> {
        if !self.at_once.is_empty() {
            return Some(Millis::MIN);
        }
        let look = self.looks.peek().map(|Reverse((time, _))| *time);
        look.into_iter().chain(pool.next_widening()).min()
    }

    /// The tickets whose time has come, the oldest first, and each once.
    pub fn due(&mut self, pool: &mut Pool, now: Millis, steps: &mut u64) -> Vec<Slot> {
        for slot in pool.widen_regions(now) {
            self.tell_around(pool, slot, now, steps);
        }
        let mut due = std::mem::take(&mut self.at_once);
        while let Some(Reverse((time, slot))) = self.looks.peek().copied().filter(|Reverse((time, _))| *time <= now) {
            self.looks.pop();
            if pool.get(slot).is_some() && self.nexts[slot] == time {
                due.push(slot);
            }
        }
        if due.len() > pool.len() / BULK {
            // Most of them: they lie in the order of age already.
            let is_due = |slot: &Slot| self.nexts[*slot] <= now;
            return pool.ages.iter().map(|(_, slot)| *slot).filter(is_due).collect();
        }
        let mut due: Vec<_> =
            due.into_iter().filter_map(|slot| pool.get(slot).map(|waiting| (waiting.age(), slot))).collect();
        due.sort_unstable();
        due.dedup();
        due.into_iter().map(|(_, slot)| slot).collect()
    }

    /// The nearest that fits a ticket whose time has come; without one it gets another time.
    pub fn partner(&mut self, pool: &Pool, slot: Slot, now: Millis, steps: &mut u64) -> Option<Slot> {
        let own = pool.get(slot)?;
        if let Some(nearest) = nearest(pool, own, now, steps) {
            return Some(nearest);
        }
        self.forget(slot);
        let neighbours = neighbours(pool, own, now, span(pool.rules.ticket_lifetime), steps);
        let next = neighbours.later.into_iter().map(|(_, time)| time).min();
        let again = neighbours.cut.then(|| next_tick(pool, now));
        if let Some(time) = next.into_iter().chain(again).min() {
            self.look(pool, slot, time);
        }
        None
    }

    /// A ticket has come to new shelves: it and those around it are looked at when they fit, which may be now.
    fn tell_around(&mut self, pool: &Pool, slot: Slot, now: Millis, steps: &mut u64) {
        let Some(own) = pool.get(slot) else { return };
        let neighbours = neighbours(pool, own, now, span(pool.rules.ticket_lifetime), steps);
        self.look(pool, slot, now);
        let fitting = neighbours.fitting.into_iter().map(|near| (near, now));
        for (near, time) in fitting.chain(neighbours.later) {
            self.look(pool, near.slot, time);
        }
    }

    fn look(&mut self, pool: &Pool, slot: Slot, time: Millis) {
        if time < self.nexts[slot] {
            self.nexts[slot] = time;
            self.looks.push(Reverse((time, slot)));
        }
        if self.looks.len() > STALE_ALWAYS + STALE_MAX * pool.len() {
            self.looks.retain(|Reverse((time, slot))| pool.get(*slot).is_some() && self.nexts[*slot] == *time);
        }
    }

    /// There is no next look at what lies in a slot.
    fn forget(&mut self, slot: Slot) {
        if slot >= self.nexts.len() {
            self.nexts.resize(slot + 1, Millis::MAX);
        }
        self.nexts[slot] = Millis::MAX;
    }
}

fn next_tick(pool: &Pool, now: Millis) -> Millis {
    now.saturating_add(span(pool.rules.tick).max(1))
}

/// What lies on the shelves of a ticket within the window that it has at an age: the nearest first, and no more than can be
/// looked at.
fn neighbours<'a>(pool: &'a Pool, own: &Waiting, now: Millis, age: Millis, steps: &mut u64) -> Neighbours<'a> {
    let mut found = Neighbours::default();
    let (mark, reach) = (Mark::of(own), reach(pool, age));
    for shelf in pool.shelves.near(own, &pool.rules, own.filed) {
        for (looks, near) in shelf.around(&mark, reach).enumerate() {
            if looks == LOOKS_MAX {
                found.cut = true;
                break;
            }
            *steps += 1;
            match time(pool, own, &near) {
                Some(time) if time <= now => found.fitting.push(near),
                Some(time) => found.later.push((near, time)),
                None => {}
            }
        }
    }
    found
}

/// The nearest ticket that fits now; of equally near ones the oldest among the first of each shelf.
fn nearest(pool: &Pool, own: &Waiting, now: Millis, steps: &mut u64) -> Option<Slot> {
    let (mark, reach) = (Mark::of(own), reach(pool, age(own.created, now)));
    let mut best: Option<Near<'_>> = None;
    for shelf in pool.shelves.near(own, &pool.rules, own.filed) {
        let found = shelf.around(&mark, reach).take(LOOKS_MAX).find(|near| {
            *steps += 1;
            let nearer = best.as_ref().is_none_or(|best| is_nearer(near, best));
            // What is further away than the best ends the search of this shelf.
            !nearer || time(pool, own, near).is_some_and(|time| time <= now)
        });
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| is_nearer(&found, best))
        {
            best = Some(found);
        }
    }
    best.map(|near| near.slot)
}

fn is_nearer(one: &Near<'_>, other: &Near<'_>) -> bool {
    one.distance < other.distance || (one.distance <= other.distance && one.mark.is_older(other.mark))
}

/// How far away in skill a partner may be.
pub(super) fn reach(pool: &Pool, age: Millis) -> f64 {
    pool.rules.rating_window.as_ref().map_or(f64::INFINITY, |window| limit_at(window, age))
}

/// From when on two tickets fit. Where ratings decide alone, or say no, the other one need not be looked at.
pub(super) fn time(pool: &Pool, own: &Waiting, near: &Near<'_>) -> Option<Millis> {
    let rules = &*pool.rules;
    if let Some(window) = &rules.rating_window {
        let age = age_allowing(window, near.distance)?;
        if rules.balance.is_none() && rules.latency.is_none() && rules.properties.is_empty() {
            return Some(own.created.max(near.mark.created).saturating_add(age));
        }
    }
    fit_time(rules, own, pool.get(near.slot)?)
}

//! The tickets that wait in a queue, found by id, by age, and by skill.

use std::collections::HashMap;
use std::sync::Arc;

use pkg_definition::{Queue, Region};
use uuid::Uuid;

use super::limits::{Millis, span};
use super::shelves::Shelves;
use super::slots::{Slot, Slots};
use super::waiting::Waiting;
use crate::runs::Runs;
use crate::ticket::{Regions, Ticket, place};

/// The place of a ticket in the order of age: when it was created, and its id.
pub(super) type Age = (Millis, Uuid);

#[derive(Debug)]
pub(super) struct Pool {
    pub rules: Arc<Queue>,
    slots: Slots,
    ids: HashMap<Uuid, Slot>,
    pub ages: Runs<(Age, Slot)>,
    pub shelves: Shelves,
    pub players: u64,
    pub region_players: [u64; Region::ALL.len()],
    /// Up to which age tickets take every region.
    widened: Option<Age>,
}

impl Pool {
    pub fn new(rules: Arc<Queue>) -> Self {
        Self {
            slots: Slots::default(),
            ids: HashMap::new(),
            ages: Runs::default(),
            shelves: Shelves::new(&rules),
            players: 0,
            region_players: [0; Region::ALL.len()],
            widened: None,
            rules,
        }
    }

    /// `None` if one with its id waits already.
    pub fn add(&mut self, ticket: Arc<Ticket>, now: Millis) -> Option<Slot> {
        if self.ids.contains_key(&ticket.id) {
            return None;
        }
        let possible = ticket.check(&self.rules).is_ok();
        let mut waiting = Waiting::new(ticket, &self.rules);
        waiting.filed = if possible { waiting.regions(&self.rules, now) } else { Regions::NONE };
        let slot = self.slots.open();
        self.ids.insert(waiting.ticket.id, slot);
        self.ages.insert((waiting.age(), slot));
        self.file(&waiting, slot);
        self.slots.put(slot, waiting);
        Some(slot)
    }

    /// Takes out what lies in a slot.
    pub fn take(&mut self, slot: Slot) -> Option<Waiting> {
        let waiting = self.take_in_bulk(slot)?;
        self.slots.free([slot]);
        self.ids.remove(&waiting.ticket.id);
        self.ages.remove(&(waiting.age(), slot));
        Some(waiting)
    }

    /// The same where a good part of the queue goes: [`Self::end_bulk`] follows, and nothing is added before.
    pub fn take_in_bulk(&mut self, slot: Slot) -> Option<Waiting> {
        let waiting = self.slots.take(slot)?;
        self.shelves.take(&waiting, &self.rules);
        self.uncount(&waiting);
        Some(waiting)
    }

    /// The same where all lie on one shelf, and nobody looks at it before [`Self::end_sweep`].
    pub fn take_in_sweep(&mut self, slot: Slot) -> Option<Waiting> {
        let waiting = self.slots.take(slot)?;
        self.uncount(&waiting);
        Some(waiting)
    }

    /// Forgets those that were taken in a sweep.
    pub fn end_sweep(&mut self) {
        let slots = &self.slots;
        self.shelves.retain_only(|slot| slots.get(slot).is_some());
        self.end_bulk();
    }

    /// Forgets those that were taken in bulk: one pass over all is faster than a search for each.
    pub fn end_bulk(&mut self) {
        let waits = |slot: &Slot| self.slots.get(*slot).is_some();
        let freed: Vec<Slot> = self.ages.iter().map(|(_, slot)| *slot).filter(|slot| !waits(slot)).collect();
        if freed.len() == self.ids.len() {
            self.ids.clear();
            self.ages = Runs::default();
        } else {
            self.ids.retain(|_, slot| waits(slot));
            self.ages.retain(|(_, slot)| waits(slot));
        }
        self.slots.free(freed);
    }

    pub fn slot(&self, id: Uuid) -> Option<Slot> {
        self.ids.get(&id).copied()
    }

    pub fn get(&self, slot: Slot) -> Option<&Waiting> {
        self.slots.get(slot)
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// All tickets, the oldest first; the pool is empty then.
    pub fn drain(&mut self) -> Vec<Arc<Ticket>> {
        let ages = std::mem::take(&mut self.ages);
        ages.iter().filter_map(|(_, slot)| self.slots.take(*slot)).map(|waiting| waiting.ticket).collect()
    }

    /// All that wait, the oldest first.
    pub fn by_age(&self) -> impl Iterator<Item = (Slot, &Waiting)> {
        self.ages.iter().filter_map(|(_, slot)| Some((*slot, self.get(*slot)?)))
    }

    /// Files those anew that have waited long enough to take every region. Which ones.
    pub fn widen_regions(&mut self, now: Millis) -> Vec<Slot> {
        let Some(after) = self.rules.region.any_region_after else { return Vec::new() };
        let until = (now.saturating_sub(span(after)), Uuid::max());
        let from = self.widened.unwrap_or((Millis::MIN, Uuid::nil()));
        if until <= from {
            return Vec::new();
        }
        let due = self.ages.from(&(from, 0)).take_while(|(age, _)| *age <= until);
        let slots: Vec<Slot> = due.map(|(_, slot)| *slot).collect();
        self.widened = Some(until);
        slots.into_iter().filter(|slot| self.widen(*slot, now)).collect()
    }

    /// When the next ticket takes every region.
    pub fn next_widening(&self) -> Option<Millis> {
        let after = span(self.rules.region.any_region_after?);
        let from = self.widened.unwrap_or((Millis::MIN, Uuid::nil()));
        self.ages.from(&(from, 0)).next().map(|((created, _), _)| created.saturating_add(after))
    }

    fn widen(&mut self, slot: Slot, now: Millis) -> bool {
        let Some(mut waiting) = self.slots.take(slot) else { return false };
        let regions = waiting.regions(&self.rules, now);
        let possible = !waiting.filed.is_empty() || waiting.ticket.check(&self.rules).is_ok();
        let changed = possible && waiting.filed != regions;
        if changed {
            self.unfile(&waiting);
            waiting.filed = regions;
            self.file(&waiting, slot);
        }
        self.slots.put(slot, waiting);
        changed
    }

    fn file(&mut self, waiting: &Waiting, slot: Slot) {
        self.shelves.file(waiting, &self.rules, slot);
        self.players += u64::from(waiting.size());
        for region in waiting.filed.iter() {
            self.region_players[place(region)] += u64::from(waiting.size());
        }
    }

    fn unfile(&mut self, waiting: &Waiting) {
        self.shelves.take(waiting, &self.rules);
        self.uncount(waiting);
    }

    fn uncount(&mut self, waiting: &Waiting) {
        self.players -= u64::from(waiting.size());
        for region in waiting.filed.iter() {
            self.region_players[place(region)] -= u64::from(waiting.size());
        }
    }
}

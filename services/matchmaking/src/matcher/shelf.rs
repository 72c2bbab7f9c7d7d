//! Tickets in the order of their skill.

use std::cmp::Ordering;

use uuid::Uuid;

use super::limits::Millis;
use super::slots::Slot;
use super::waiting::Waiting;
use crate::runs::{Place, Runs};

/// The place of a ticket in an order by skill; of equal ones the oldest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    skill: Skill,
    pub created: Millis,
    pub id: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Skill(f64);

/// Tickets in the order of their marks.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    runs: Runs<(Mark, Slot)>,
}

/// A ticket on a shelf, and how far away its skill is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near<'a> {
    pub distance: f64,
    pub mark: &'a Mark,
    pub slot: Slot,
}

impl Mark {
    pub fn of(waiting: &Waiting) -> Self {
        Self { skill: Skill(waiting.skill()), created: waiting.created, id: waiting.ticket.id }
    }

    /// How far apart the skills are.
    pub fn distance(&self, other: &Self) -> f64 {
        (self.skill.0 - other.skill.0).abs()
    }

    /// Whether it is of an older ticket; of two of one moment the id decides.
    pub fn is_older(&self, other: &Self) -> bool {
        (self.created, self.id) < (other.created, other.id)
    }
}

impl Eq for Skill {}

impl PartialOrd for Skill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Skill {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Shelf {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &(Mark, Slot)> {
        self.runs.iter()
    }

    /// Takes out all but some.
    pub fn retain(&mut self, keep: impl Fn(Slot) -> bool) {
        self.runs.retain(|(_, slot)| keep(*slot));
    }

    pub fn insert(&mut self, mark: Mark, slot: Slot) {
        let place = self.find(&mark);
        self.runs.insert_at(place, (mark, slot));
    }

    pub fn remove(&mut self, mark: &Mark) {
        let place = self.find(mark);
        if self.has(place, mark) {
            self.runs.remove_at(place);
        }
    }

    /// All that are not further away from a mark than `reach`, the nearest first; of two that are equally far the one with
    /// more skill. Without the one with this mark itself.
    pub fn around(&self, mark: &Mark, reach: f64) -> Around<'_> {
        let place = self.find(mark);
        let itself = self.has(place, mark);
        let (skill, runs) = (mark.skill.0, &self.runs);
        let mut around = Around { runs, skill, reach, up: place, down: place, above: None, below: None };
        around.above = if itself { around.next_above() } else { runs.settled(place).and_then(|up| around.begin(up)) };
        around.below = around.next_below();
        around
    }

    /// Where a mark is, or would be.
    fn find(&self, mark: &Mark) -> Place {
        self.runs
            .find(|list| search(list, mark, |there| there < mark), |list| search(list, mark, |there| there <= mark))
    }

    fn has(&self, place: Place, mark: &Mark) -> bool {
        self.runs.at(place).is_some_and(|(there, _)| there == mark)
    }
}

/// How many at the beginning of a sorted list are `before` a mark. Skills alone are compared as long as they differ: that
/// needs no guesses of the processor.
fn search(list: &[(Mark, Slot)], mark: &Mark, before: impl Fn(&Mark) -> bool) -> usize {
    let lower = list.partition_point(|(there, _)| there.skill.0 < mark.skill.0);
    let equal = list.get(lower).is_some_and(|(there, _)| before(there));
    if equal { lower + list[lower..].partition_point(|(there, _)| before(there)) } else { lower }
}

/// What lies around a place on a shelf.
pub(super) struct Around<'a> {
    runs: &'a Runs<(Mark, Slot)>,
    skill: f64,
    reach: f64,
    /// The places of the two that come next.
    up: Place,
    down: Place,
    above: Option<Near<'a>>,
    below: Option<Near<'a>>,
}

impl<'a> Around<'a> {
    fn begin(&mut self, up: Place) -> Option<Near<'a>> {
        self.up = up;
        self.near(up)
    }

    fn next_above(&mut self) -> Option<Near<'a>> {
        let (run, at) = self.up;
        let up = self.runs.settled((run, at + 1))?;
        self.begin(up)
    }

    fn next_below(&mut self) -> Option<Near<'a>> {
        self.down = self.runs.previous(self.down)?;
        self.near(self.down)
    }

    fn near(&self, place: Place) -> Option<Near<'a>> {
        let (mark, slot) = self.runs.at(place)?;
        Some(Near { distance: (mark.skill.0 - self.skill).abs(), mark, slot: *slot })
    }
}

impl<'a> Iterator for Around<'a> {
    type Item = Near<'a>;

    fn next(&mut self) -> Option<Near<'a>> {
        let upwards = match (&self.above, &self.below) {
            (None, None) => return None,
            (Some(above), Some(below)) => above.distance <= below.distance,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let found = if upwards {
            let next = self.next_above();
            std::mem::replace(&mut self.above, next)
        } else {
            let next = self.next_below();
            std::mem::replace(&mut self.below, next)
        };
        found.filter(|near| near.distance <= self.reach)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn mark(skill: u16, id: u16) -> Mark {
        Mark { skill: Skill(f64::from(skill)), created: 0, id: Uuid::from_u128(id.into()) }
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            changes in prop::collection::vec((0_u16..300, 0_u16..3, 0_u8..5), 0..3_000),
            places in prop::collection::vec((0_u16..310, 0_u16..3, 0_u16..100), 20),
        ) {
            let (mut shelf, mut map) = (Shelf::default(), BTreeMap::new());
            for (slot, (skill, id, what)) in changes.into_iter().enumerate() {
                let mark = mark(skill, id);
                if what == 0 {
                    shelf.remove(&mark);
                    map.remove(&mark);
                } else if map.insert(mark, slot).is_none() {
                    shelf.insert(mark, slot);
                } else {
                    shelf.remove(&mark);
                    shelf.insert(mark, slot);
                }
            }
            prop_assert_eq!(shelf.is_empty(), map.is_empty());
            shelf.retain(|slot| slot % 7 != 0);
            map.retain(|_, slot| *slot % 7 != 0);
            prop_assert!(shelf.iter().map(|(mark, slot)| (mark, slot)).eq(&map));
            for (skill, id, reach) in places {
                let (mark, reach) = (mark(skill, id), f64::from(reach));
                let mut expected: Vec<_> = map
                    .iter()
                    .filter(|(there, _)| **there != mark)
                    .map(|(there, slot)| ((there.skill.0 - mark.skill.0).abs(), *slot))
                    .filter(|(distance, _)| *distance <= reach)
                    .collect();
                expected.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
                let around: Vec<_> = shelf.around(&mark, reach).map(|near| (near.distance, near.slot)).collect();
                prop_assert!(around.is_sorted_by(|one, other| one.0 <= other.0));
                let mut found = around;
                found.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
                prop_assert_eq!(found, expected);
            }
        }
    }
}

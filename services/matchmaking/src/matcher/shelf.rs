//! Tickets in the order of their skill.
//!
//! A list of short sorted lists: one search finds a ticket with both its neighbours, and all lies close together in
//! memory, which is twice as fast as a tree here.

use std::cmp::Ordering;

use uuid::Uuid;

use super::limits::Millis;
use super::waiting::Waiting;

/// Where a ticket lies in the memory of its queue. Never an order: it hangs on who came and went before.
pub(super) type Slot = usize;

/// How long a short list gets before it is cut into two.
const RUN_MAX: usize = 128;

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
    /// The first mark of each run.
    firsts: Vec<Mark>,
    /// None is empty.
    runs: Vec<Vec<(Mark, Slot)>>,
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
        self.runs.iter().flatten()
    }

    /// Takes out all but some.
    pub fn retain(&mut self, keep: impl Fn(Slot) -> bool) {
        for run in &mut self.runs {
            run.retain(|(_, slot)| keep(*slot));
        }
        self.runs.retain(|run| !run.is_empty());
        self.firsts = self.runs.iter().map(|run| run[0].0).collect();
    }

    pub fn insert(&mut self, mark: Mark, slot: Slot) {
        let (run, at) = self.find(&mark);
        let Some(list) = self.runs.get_mut(run) else {
            self.firsts.push(mark);
            self.runs.push(vec![(mark, slot)]);
            return;
        };
        list.insert(at, (mark, slot));
        self.firsts[run] = list[0].0;
        if list.len() > RUN_MAX {
            let rest = list.split_off(RUN_MAX / 2);
            self.firsts.insert(run + 1, rest[0].0);
            self.runs.insert(run + 1, rest);
        }
    }

    pub fn remove(&mut self, mark: &Mark) {
        let (run, at) = self.find(mark);
        let Some(list) = self.runs.get_mut(run) else { return };
        if list.get(at).is_none_or(|(there, _)| there != mark) {
            return;
        }
        list.remove(at);
        if let Some((first, _)) = list.first() {
            self.firsts[run] = *first;
        } else {
            self.firsts.remove(run);
            self.runs.remove(run);
        }
    }

    /// All that are not further away from a mark than `reach`, the nearest first; of two that are equally far the one with
    /// more skill. Without the one with this mark itself.
    pub fn around(&self, mark: &Mark, reach: f64) -> Around<'_> {
        let (run, at) = self.find(mark);
        let itself = self.at(run, at).is_some_and(|(there, _)| there == mark);
        let mut around = Around {
            shelf: self,
            skill: mark.skill.0,
            reach,
            up: (run, at),
            down: (run, at),
            above: None,
            below: None,
        };
        around.above = if itself { around.next_above() } else { self.settled(run, at).and_then(|up| around.begin(up)) };
        around.below = around.next_below();
        around
    }

    /// The run and the place in it where a mark is, or would be.
    fn find(&self, mark: &Mark) -> (usize, usize) {
        let run = search(&self.firsts, mark, |first| first, |first| first <= mark).saturating_sub(1);
        let place = |list: &Vec<(Mark, Slot)>| search(list, mark, |(there, _)| there, |there| there < mark);
        (run, self.runs.get(run).map_or(0, place))
    }

    fn at(&self, run: usize, at: usize) -> Option<&(Mark, Slot)> {
        self.runs.get(run)?.get(at)
    }

    /// The same place, or the beginning of the next run if that is past the end of one.
    fn settled(&self, run: usize, at: usize) -> Option<(usize, usize)> {
        let past = at >= self.runs.get(run)?.len();
        Some(if past { (run + 1, 0) } else { (run, at) })
    }
}

/// How many at the beginning of a sorted list are `before` a mark. Skills alone are compared as long as they differ: that
/// needs no guesses of the processor.
fn search<T>(list: &[T], mark: &Mark, mark_of: impl Fn(&T) -> &Mark, before: impl Fn(&Mark) -> bool) -> usize {
    let lower = list.partition_point(|there| mark_of(there).skill.0 < mark.skill.0);
    let equal = list.get(lower).is_some_and(|there| before(mark_of(there)));
    if equal { lower + list[lower..].partition_point(|there| before(mark_of(there))) } else { lower }
}

/// What lies around a place on a shelf.
pub(super) struct Around<'a> {
    shelf: &'a Shelf,
    skill: f64,
    reach: f64,
    /// The places of the two that come next.
    up: (usize, usize),
    down: (usize, usize),
    above: Option<Near<'a>>,
    below: Option<Near<'a>>,
}

impl<'a> Around<'a> {
    fn begin(&mut self, up: (usize, usize)) -> Option<Near<'a>> {
        self.up = up;
        self.near(up)
    }

    fn next_above(&mut self) -> Option<Near<'a>> {
        let up = self.shelf.settled(self.up.0, self.up.1 + 1)?;
        self.begin(up)
    }

    fn next_below(&mut self) -> Option<Near<'a>> {
        let (run, at) = self.down;
        self.down = match (run, at) {
            (0, 0) => return None,
            (run, 0) => (run - 1, self.shelf.runs[run - 1].len() - 1),
            (run, at) => (run, at - 1),
        };
        self.near(self.down)
    }

    fn near(&self, (run, at): (usize, usize)) -> Option<Near<'a>> {
        let (mark, slot) = self.shelf.at(run, at)?;
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

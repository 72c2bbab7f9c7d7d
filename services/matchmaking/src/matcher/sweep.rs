//! Pairs among so many tickets that links along the shelf are faster than a search for each.

use super::limits::{Millis, age};
use super::pairs::{LOOKS_MAX, reach, time};
use super::pool::Pool;
use super::shelf::{Mark, Near, Shelf};
use super::slots::Slot;

const NONE: usize = usize::MAX;

/// What came of a sweep.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Tickets that fit, each once.
    pub pairs: Vec<(Slot, Slot)>,
    /// Those that had their turn and found nobody.
    pub lonely: Vec<Slot>,
    /// Those that had none, because the steps ran out.
    pub left: Vec<Slot>,
}

/// Gives tickets their turns, in the order given: each takes the nearest that fits it. Nothing is taken from the shelf.
pub(super) fn sweep(pool: &Pool, shelf: &Shelf, due: Vec<Slot>, now: Millis, end: u64, steps: &mut u64) -> Swept {
    let mut links = Links::new(shelf);
    let mut swept = Swept::default();
    let mut turns = due.into_iter();
    while let Some(slot) = turns.next() {
        if *steps >= end {
            swept.left = std::iter::once(slot).chain(turns).collect();
            break;
        }
        *steps += 1;
        let Some(place) = links.place(slot) else { continue };
        match links.nearest(pool, place, now, steps) {
            Some(other) => {
                swept.pairs.push((slot, links.order[other].1));
                links.unlink(place);
                links.unlink(other);
            }
            None => swept.lonely.push(slot),
        }
    }
    swept
}

/// The tickets of a shelf, with links from each to those beside it that are still there.
struct Links<'a> {
    order: Vec<&'a (Mark, Slot)>,
    above: Vec<usize>,
    below: Vec<usize>,
    /// The place in the order of what lies in each slot, as long as it is there.
    places: Vec<usize>,
}

impl<'a> Links<'a> {
    fn new(shelf: &'a Shelf) -> Self {
        let order: Vec<_> = shelf.iter().collect();
        let slots = order.iter().map(|(_, slot)| slot + 1).max().unwrap_or(0);
        let mut places = vec![NONE; slots];
        for (place, (_, slot)) in order.iter().enumerate() {
            places[*slot] = place;
        }
        let above = (1..order.len()).chain([NONE]).collect();
        let below = std::iter::once(NONE).chain(0..order.len()).collect();
        Self { order, above, below, places }
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        self.places.get(slot).copied().filter(|place| *place != NONE)
    }

    fn unlink(&mut self, place: usize) {
        let (above, below) = (self.above[place], self.below[place]);
        if let Some(it) = self.below.get_mut(above) {
            *it = below;
        }
        if let Some(it) = self.above.get_mut(below) {
            *it = above;
        }
        self.places[self.order[place].1] = NONE;
    }

    /// The nearest that fits, as [`Shelf::around`] orders them.
    fn nearest(&self, pool: &Pool, place: usize, now: Millis, steps: &mut u64) -> Option<usize> {
        let (mark, slot) = self.order[place];
        let own = pool.get(*slot)?;
        let reach = reach(pool, age(own.created, now));
        let near = |place: usize| {
            let (there, slot) = self.order.get(place)?;
            Some(Near { distance: there.distance(mark), mark: there, slot: *slot })
        };
        let (mut up, mut down) = (self.above[place], self.below[place]);
        for _ in 0..LOOKS_MAX {
            let (above, below) = (near(up), near(down));
            let upwards = match (&above, &below) {
                (Some(above), Some(below)) => above.distance <= below.distance,
                (above, _) => above.is_some(),
            };
            let (at, found) = if upwards { (up, above?) } else { (down, below?) };
            if found.distance > reach {
                return None;
            }
            *steps += 1;
            if time(pool, own, &found).is_some_and(|time| time <= now) {
                return Some(at);
            }
            if upwards {
                up = self.above[up];
            } else {
                down = self.below[down];
            }
        }
        None
    }
}

//! Items in their order and close together in memory: a list of short sorted lists.
//!
//! One search finds an item with both its neighbours, which is twice as fast as in a tree here. What comes in its order, as
//! time does, fills the lists: a tree would leave almost half of its room empty.

/// How long a short list gets before it is cut into two.
const RUN_MAX: usize = 128;

/// Items in an order that who asks keeps to.
#[derive(Debug)]
pub(crate) struct Runs<T> {
    /// The first item of each run.
    firsts: Vec<T>,
    /// None is empty.
    runs: Vec<Vec<T>>,
}

/// A run, and a place in it: at its end, at the most.
pub(crate) type Place = (usize, usize);

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { firsts: Vec::new(), runs: Vec::new() }
    }
}

impl<T: Copy> Runs<T> {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    pub fn first(&self) -> Option<&T> {
        self.firsts.first()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs.iter().flatten()
    }

    /// Takes out all but some.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for run in &mut self.runs {
            run.retain(&keep);
        }
        self.runs.retain(|run| !run.is_empty());
        self.firsts = self.runs.iter().map(|run| run[0]).collect();
    }

    /// Where an item is, or would be. Of a list in the order, `before` says how many come before the item, and `until` counts
    /// those with it that are equal.
    pub fn find(&self, before: impl Fn(&[T]) -> usize, until: impl Fn(&[T]) -> usize) -> Place {
        let run = until(&self.firsts).saturating_sub(1);
        (run, self.runs.get(run).map_or(0, |list| before(list)))
    }

    pub fn at(&self, (run, at): Place) -> Option<&T> {
        self.runs.get(run)?.get(at)
    }

    /// The same place, or the beginning of the next run if that is past the end of one.
    pub fn settled(&self, (run, at): Place) -> Option<Place> {
        let past = at >= self.runs.get(run)?.len();
        Some(if past { (run + 1, 0) } else { (run, at) })
    }

    /// The place before; `None` at the beginning.
    pub fn previous(&self, (run, at): Place) -> Option<Place> {
        match (run, at) {
            (0, 0) => None,
            (run, 0) => Some((run - 1, self.runs[run - 1].len() - 1)),
            (run, at) => Some((run, at - 1)),
        }
    }

    /// Puts an item where [`Self::find`] says that it would be.
    pub fn insert_at(&mut self, (run, at): Place, item: T) {
        let is_last = run + 1 == self.runs.len();
        let Some(list) = self.runs.get_mut(run) else {
            self.firsts.push(item);
            self.runs.push(vec![item]);
            return;
        };
        if list.len() < RUN_MAX {
            list.insert(at, item);
            self.firsts[run] = list[0];
            return;
        }
        // What comes about last is followed by more: the run before stays as full as it can.
        let cut = if is_last { at.max(RUN_MAX / 2) } else { RUN_MAX / 2 };
        let mut rest = Vec::with_capacity(RUN_MAX);
        rest.extend(list.drain(cut..));
        if at < cut {
            list.insert(at, item);
        } else {
            rest.insert(at - cut, item);
        }
        self.firsts[run] = list[0];
        self.firsts.insert(run + 1, rest[0]);
        self.runs.insert(run + 1, rest);
    }

    /// Takes out what is at a place.
    pub fn remove_at(&mut self, (run, at): Place) {
        let Some(list) = self.runs.get_mut(run).filter(|list| at < list.len()) else { return };
        list.remove(at);
        let Some(first) = list.first() else {
            self.firsts.remove(run);
            self.runs.remove(run);
            return;
        };
        self.firsts[run] = *first;
        self.join(run);
        if run > 0 {
            self.join(run - 1);
        }
    }

    /// Makes one of two runs that are next to each other and short: few items that stay for long must not keep the room of
    /// many.
    fn join(&mut self, run: usize) {
        let Some([one, other]) = self.runs.get_mut(run..run + 2) else { return };
        if one.len() + other.len() <= RUN_MAX / 2 {
            one.append(other);
            self.firsts.remove(run + 1);
            self.runs.remove(run + 1);
        }
    }
}

/// Items in their own order, each once.
impl<T: Copy + Ord> Runs<T> {
    pub fn insert(&mut self, item: T) {
        let place = self.place(&item);
        if self.at(place) != Some(&item) {
            self.insert_at(place, item);
        }
    }

    pub fn remove(&mut self, item: &T) {
        let place = self.place(item);
        if self.at(place) == Some(item) {
            self.remove_at(place);
        }
    }

    /// All from an item on, whether it is there or not.
    pub fn from<'a>(&'a self, item: &T) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let (run, at) = self.place(item);
        let rest = self.runs.get(run..).unwrap_or_default();
        rest.iter().flatten().skip(at)
    }

    fn place(&self, item: &T) -> Place {
        self.find(|list| list.partition_point(|there| there < item), |list| list.partition_point(|there| there <= item))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_sorted_set(
            changes in prop::collection::vec((0_u16..2_000, 0_u8..5), 0..6_000),
            from in prop::collection::vec(0_u16..2_010, 20),
        ) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (item, what) in changes {
                if what < 2 {
                    runs.remove(&item);
                    set.remove(&item);
                } else {
                    runs.insert(item);
                    set.insert(item);
                }
            }
            prop_assert!(runs.iter().eq(&set));
            prop_assert_eq!((runs.len(), runs.is_empty(), runs.first()), (set.len(), set.is_empty(), set.first()));
            runs.retain(|item| item % 3 != 0);
            set.retain(|item| item % 3 != 0);
            prop_assert!(runs.iter().eq(&set));
            for from in from {
                prop_assert!(runs.from(&from).eq(set.range(from..)));
            }
        }
    }

    #[test]
    fn room_is_for_what_is_there() {
        let mut runs = Runs::default();
        // They come in their order, but for the last digit.
        (0..100 * RUN_MAX).for_each(|item| runs.insert(item / 10 * 10 + 9 - item % 10));
        let room = |runs: &Runs<usize>| runs.runs.iter().map(Vec::capacity).sum::<usize>();
        assert!(room(&runs) <= 110 * RUN_MAX, "the lists are full: {}", room(&runs));
        (0..100 * RUN_MAX).filter(|item| item % 64 != 0).for_each(|item| runs.remove(&item));
        assert_eq!(runs.len(), 200);
        assert!(room(&runs) <= 8 * 200, "those that stay lie together: {}", room(&runs));
    }
}

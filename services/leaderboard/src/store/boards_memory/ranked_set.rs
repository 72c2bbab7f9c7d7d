//! A sorted set that knows at which index each of its keys is, in logarithmic time.

use crate::board::PlaceKey;

/// How much one node holds at most; one that would hold more is split in two.
const NODE_MAX: usize = 64;
/// A node that holds less is joined with the one beside it.
const NODE_MIN: usize = NODE_MAX / 4;

/// A B-tree of counted nodes.
#[derive(Debug)]
pub(super) struct RankedSet {
    root: Node,
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<PlaceKey>),
    /// Never without children.
    Inner(Vec<Child>),
}

#[derive(Debug)]
struct Child {
    /// No key below is greater, and the keys of the child after this one all are.
    last: PlaceKey,
    /// How many keys are below.
    count: usize,
    node: Node,
}

impl Default for RankedSet {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()) }
    }
}

impl RankedSet {
    pub(super) fn len(&self) -> usize {
        self.root.count()
    }

    /// Adds a key, unless it is there.
    pub(super) fn insert(&mut self, key: PlaceKey) {
        self.root.insert(key);
        if self.root.width() > NODE_MAX {
            let mut left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let right = left.split_off();
            self.root = Node::Inner([left, right].into_iter().filter_map(Child::new).collect());
        }
    }

    /// Removes a key, if it is there.
    pub(super) fn remove(&mut self, key: &PlaceKey) {
        self.root.remove(key);
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            self.root = children.pop().map_or(Node::Leaf(Vec::new()), |only| only.node);
        }
    }

    /// The index of a key, if it is there.
    pub(super) fn index_of(&self, key: &PlaceKey) -> Option<usize> {
        let (index, found) = self.root.search(key);
        found.then_some(index)
    }

    /// The index of the first key after this one.
    pub(super) fn index_after(&self, key: &PlaceKey) -> usize {
        let (index, found) = self.root.search(key);
        index + usize::from(found)
    }

    /// The keys from an index on, `max` at most.
    pub(super) fn range(&self, first: usize, max: usize) -> Vec<PlaceKey> {
        let mut keys = Vec::with_capacity(max.min(self.len()));
        self.root.collect(first, max, &mut keys);
        keys
    }
}

impl Node {
    /// How many keys there are.
    fn count(&self) -> usize {
        match self {
            Self::Leaf(keys) => keys.len(),
            Self::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// How much the node itself holds.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(keys) => keys.len(),
            Self::Inner(children) => children.len(),
        }
    }

    fn last(&self) -> Option<PlaceKey> {
        match self {
            Self::Leaf(keys) => keys.last().copied(),
            Self::Inner(children) => children.last().map(|child| child.last),
        }
    }

    fn insert(&mut self, key: PlaceKey) {
        match self {
            Self::Leaf(keys) => {
                if let Err(at) = keys.binary_search(&key) {
                    keys.insert(at, key);
                }
            }
            Self::Inner(children) => {
                let at = children.partition_point(|child| child.last < key).min(children.len().saturating_sub(1));
                let Some(child) = children.get_mut(at) else { return };
                child.node.insert(key);
                if child.node.width() > NODE_MAX {
                    let right = child.node.split_off();
                    children.splice(at + 1..=at, Child::new(right));
                }
                children[at].refresh();
            }
        }
    }

    fn remove(&mut self, key: &PlaceKey) {
        match self {
            Self::Leaf(keys) => {
                if let Ok(at) = keys.binary_search(key) {
                    keys.remove(at);
                }
            }
            Self::Inner(children) => {
                let at = children.partition_point(|child| child.last < *key);
                let Some(child) = children.get_mut(at) else { return };
                child.node.remove(key);
                if child.node.width() < NODE_MIN {
                    join(children, at);
                } else {
                    child.refresh();
                }
            }
        }
    }

    /// How many keys are lower, and whether the key itself is there.
    fn search(&self, key: &PlaceKey) -> (usize, bool) {
        let (mut node, mut before) = (self, 0);
        loop {
            match node {
                Self::Leaf(keys) => {
                    let found = keys.binary_search(key);
                    return (before + found.unwrap_or_else(|at| at), found.is_ok());
                }
                Self::Inner(children) => {
                    let at = children.partition_point(|child| child.last < *key);
                    before += children[..at].iter().map(|child| child.count).sum::<usize>();
                    let Some(child) = children.get(at) else { return (before, false) };
                    node = &child.node;
                }
            }
        }
    }

    fn collect(&self, mut first: usize, max: usize, keys: &mut Vec<PlaceKey>) {
        match self {
            Self::Leaf(own) => keys.extend(own.iter().skip(first).take(max - keys.len())),
            Self::Inner(children) => {
                for child in children {
                    if keys.len() == max {
                        return;
                    }
                    if first < child.count {
                        child.node.collect(first, max, keys);
                    }
                    first = first.saturating_sub(child.count);
                }
            }
        }
    }

    /// Takes the upper half away.
    fn split_off(&mut self) -> Self {
        match self {
            Self::Leaf(keys) => Self::Leaf(keys.split_off(keys.len() / 2)),
            Self::Inner(children) => Self::Inner(children.split_off(children.len() / 2)),
        }
    }

    /// Takes in all of a node of the same height with higher keys.
    fn append(&mut self, higher: Self) {
        match (self, higher) {
            (Self::Leaf(keys), Self::Leaf(mut higher)) => keys.append(&mut higher),
            (Self::Inner(children), Self::Inner(mut higher)) => children.append(&mut higher),
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {
                unreachable!("nodes side by side have the same height")
            }
        }
    }
}

impl Child {
    /// `None` for a node without keys.
    fn new(node: Node) -> Option<Self> {
        Some(Self { last: node.last()?, count: node.count(), node })
    }

    fn refresh(&mut self) {
        self.count = self.node.count();
        if let Some(last) = self.node.last() {
            self.last = last;
        }
    }
}

/// Joins a child that has become small with the one beside it, if there is one, and splits them if they are too large.
fn join(children: &mut Vec<Child>, at: usize) {
    let left = at.min(children.len().saturating_sub(2));
    let pair: Vec<Child> = children.drain(left..(left + 2).min(children.len())).collect();
    let joined = pair.into_iter().map(|child| child.node).reduce(|mut lower, higher| {
        lower.append(higher);
        lower
    });
    let Some(mut joined) = joined else { return };
    let right = (joined.width() > NODE_MAX).then(|| joined.split_off());
    children.splice(left..left, [Some(joined), right].into_iter().flatten().filter_map(Child::new));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pkg_definition::Order;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::board::Entry;

    fn key(number: u64) -> PlaceKey {
        PlaceKey::new(Order::LowWins, Entry { value: number.cast_signed(), reached: 0 }, Uuid::nil())
    }

    /// No node is too large, and counts and greatest keys are right.
    fn check(node: &Node) {
        assert!(node.width() <= NODE_MAX);
        let Node::Inner(children) = node else { return };
        assert!(!children.is_empty());
        for child in children {
            assert_eq!((child.count, Some(child.last)), (child.node.count(), child.node.last()));
            check(&child.node);
        }
    }

    fn agree(set: &RankedSet, model: &BTreeSet<PlaceKey>) {
        check(&set.root);
        let sorted: Vec<PlaceKey> = model.iter().copied().collect();
        assert_eq!(set.range(0, usize::MAX), sorted);
        for (index, key) in sorted.iter().enumerate() {
            assert_eq!((set.index_of(key), set.index_after(key)), (Some(index), index + 1));
        }
        for number in 0..300 {
            let key = key(number);
            assert_eq!(set.index_of(&key).is_some(), model.contains(&key));
            assert_eq!(set.index_after(&key), sorted.partition_point(|other| *other <= key));
        }
        let (first, max) = (sorted.len() / 3, sorted.len() / 2);
        assert_eq!(set.range(first, max), sorted[first..(first + max).min(sorted.len())]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_sorted_set(
            adds in prop::collection::vec(0..4_000_u64, 0..3_000),
            steps in prop::collection::vec((any::<bool>(), 0..4_000_u64), 0..6_000),
        ) {
            let (mut set, mut model) = (RankedSet::default(), BTreeSet::new());
            for (adds, number) in adds.into_iter().map(|number| (true, number)).chain(steps) {
                if adds {
                    set.insert(key(number));
                    model.insert(key(number));
                } else {
                    set.remove(&key(number));
                    model.remove(&key(number));
                }
            }
            agree(&set, &model);
        }
    }

    #[test]
    fn it_grows_and_becomes_empty_again_from_either_end() {
        let (mut set, mut model) = (RankedSet::default(), BTreeSet::new());
        for number in 0..20_000 {
            set.insert(key(number));
            model.insert(key(number));
        }
        agree(&set, &model);
        for number in 0..10_000 {
            for number in [number, 19_999 - number] {
                set.remove(&key(number));
                model.remove(&key(number));
            }
            if number % 2_500 == 0 {
                agree(&set, &model);
            }
        }
        assert_eq!(set.len(), 0);
        assert!(matches!(&set.root, Node::Leaf(keys) if keys.is_empty()));
    }
}

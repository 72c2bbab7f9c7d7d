//! What is known of each topic, behind many short locks.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Topic;

/// How many locks there are.
const SHARDS: usize = 16;

/// Something for each topic.
pub(crate) struct TopicMap<V> {
    shards: [RwLock<HashMap<Topic, Arc<V>>>; SHARDS],
    hasher: RandomState,
}

impl<V> TopicMap<V> {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), hasher: RandomState::new() }
    }

    pub(crate) fn get(&self, topic: &str) -> Option<Arc<V>> {
        self.shard(topic).read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    /// Finds or makes the value, and runs `mark` on it before it can be removed.
    pub(crate) fn get_or_insert(&self, topic: &Topic, make: impl FnOnce() -> V, mark: impl FnOnce(&V)) -> Arc<V> {
        let mut shard = self.shard(topic.as_str()).write().unwrap_or_else(PoisonError::into_inner);
        let value = shard.entry(topic.clone()).or_insert_with(|| Arc::new(make()));
        mark(value);
        Arc::clone(value)
    }

    /// Removes the value unless it has changed its mind; nobody finds it meanwhile. Says whether it was removed.
    pub(crate) fn remove_if(&self, topic: &Topic, condition: impl FnOnce(&V) -> bool) -> bool {
        let mut shard = self.shard(topic.as_str()).write().unwrap_or_else(PoisonError::into_inner);
        let removed = shard.get(topic).is_some_and(|value| condition(value));
        if removed {
            shard.remove(topic);
        }
        removed
    }

    /// All values at this moment.
    pub(crate) fn values(&self) -> Vec<Arc<V>> {
        let shards = self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner));
        shards.flat_map(|shard| shard.values().cloned().collect::<Vec<_>>()).collect()
    }

    fn shard(&self, topic: &str) -> &RwLock<HashMap<Topic, Arc<V>>> {
        let hash = self.hasher.hash_one(topic);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}

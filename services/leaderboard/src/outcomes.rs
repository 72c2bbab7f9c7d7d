//! What has become of records, from who applies them to who waits for it in the same process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pkg_log::Topic;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::store::ScoreRow;

/// How many may wait at the same time.
const WAITING_MAX: usize = 65_536;

/// What has become of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// It is kept: accepted, or refused. The ranks are those of the row's standings, in their order.
    Kept(ScoreRow, Vec<Option<u64>>),
    /// It repeats one that is kept.
    Repeated(ScoreRow),
    /// Another one with its id, but with another content, is kept.
    Differs,
}

/// Those who wait for records. Cloning shares them.
#[derive(Clone)]
pub struct Outcomes {
    inner: Arc<Inner>,
}

struct Inner {
    waiting: Mutex<HashMap<Uuid, oneshot::Sender<Settled>>>,
    /// How many work on each partition here: none or one, but for moments.
    workers: Vec<AtomicUsize>,
}

/// Somebody who waits for a record. Who cannot be answered here is told so by the end of the channel.
pub struct Expected {
    outcomes: Outcomes,
    record: Uuid,
    /// What comes.
    pub settled: oneshot::Receiver<Settled>,
}

/// A partition that is worked on here, as long as this lives.
pub struct WorkedOn {
    inner: Arc<Inner>,
    partition: usize,
}

impl Outcomes {
    /// Nobody waits yet, and nothing is worked on.
    #[must_use]
    pub fn new() -> Self {
        let workers = (0..Topic::Scores.partitions()).map(|_| AtomicUsize::new(0)).collect();
        Self { inner: Arc::new(Inner { waiting: Mutex::default(), workers }) }
    }

    /// Begins to wait for a record that is about to be appended; `None` if too many wait.
    #[must_use]
    pub fn expect(&self, record: Uuid) -> Option<Expected> {
        let (sender, settled) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_MAX {
            return None;
        }
        waiting.insert(record, sender);
        drop(waiting);
        Some(Expected { outcomes: self.clone(), record, settled })
    }

    /// Those of these records for which somebody waits, who is answered by whoever gets them.
    #[must_use]
    pub fn take(&self, records: impl Iterator<Item = Uuid>) -> HashMap<Uuid, oneshot::Sender<Settled>> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            return HashMap::new();
        }
        records.filter_map(|record| waiting.remove_entry(&record)).collect()
    }

    /// Whether a partition is worked on in this process.
    #[must_use]
    pub fn are_here(&self, partition: i32) -> bool {
        let workers = usize::try_from(partition).ok().and_then(|partition| self.inner.workers.get(partition));
        workers.is_some_and(|workers| workers.load(Ordering::Relaxed) > 0)
    }

    /// Says that a partition is worked on here.
    #[must_use]
    pub fn work_on(&self, partition: i32) -> WorkedOn {
        let worked_on = WorkedOn { inner: self.inner.clone(), partition: usize::try_from(partition).unwrap_or(0) };
        self.inner.workers[worked_on.partition].fetch_add(1, Ordering::Relaxed);
        worked_on
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, oneshot::Sender<Settled>>> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.outcomes.waiting().remove(&self.record);
    }
}

impl Drop for WorkedOn {
    fn drop(&mut self) {
        self.inner.workers[self.partition].fetch_sub(1, Ordering::Relaxed);
    }
}

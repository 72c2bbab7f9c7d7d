//! What the workers tell of their queues, and how long a ticket will wait by that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_batching::Batcher;
use quick_cache::sync::Cache;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::store::{QueueId, StoreError, Stored, TicketStatus, TicketStore};
use crate::ticket::Regions;
use crate::waits::Summary;

/// How old what is told of a queue may be. Its worker counts about once a second.
const FRESH: Duration = Duration::from_millis(500);
/// Of how many queues something is remembered.
const QUEUES: usize = 10_000;

type Told = Option<Arc<Summary>>;

/// What the workers tell of their queues.
pub struct Summaries {
    reads: Batcher<QueueId, Result<Told, StoreError>>,
    told: Cache<QueueId, (Instant, Told)>,
}

/// Estimates for many tickets at one moment.
pub struct Estimates<'a> {
    summaries: &'a Summaries,
    now: OffsetDateTime,
    queues: HashMap<QueueId, Told>,
    known: HashMap<(QueueId, Regions, u64), Option<Duration>>,
}

impl Summaries {
    pub fn new(store: Arc<dyn TicketStore>) -> Self {
        let reads = Batcher::spawn(move |queues: Vec<QueueId>| {
            let store = store.clone();
            async move { read(&*store, &queues).await }
        });
        Self { reads, told: Cache::new(QUEUES) }
    }

    /// What is told of a queue; `None` if it has no worker, or had none a moment ago.
    pub async fn of(&self, queue: &QueueId) -> Result<Told, StoreError> {
        if let Some((_, told)) = self.told.get(queue).filter(|(since, _)| since.elapsed() < FRESH) {
            return Ok(told);
        }
        let asked = Instant::now();
        let told = self.reads.call(queue.clone()).await??;
        self.told.insert(queue.clone(), (asked, told.clone()));
        Ok(told)
    }

    /// Estimates as of now.
    pub fn estimates(&self, now: OffsetDateTime) -> Estimates<'_> {
        Estimates { summaries: self, now, queues: HashMap::new(), known: HashMap::new() }
    }
}

impl Estimates<'_> {
    /// How much longer a ticket will wait; `None` if it does not wait, or nobody can tell.
    pub async fn of(&mut self, stored: &Stored) -> Option<Duration> {
        if stored.status != TicketStatus::Queued {
            return None;
        }
        let age = Duration::try_from(self.now - stored.ticket.created).unwrap_or_default();
        let alike = (stored.queue.clone(), stored.ticket.regions, age.as_secs());
        if let Some(known) = self.known.get(&alike) {
            return *known;
        }
        if !self.queues.contains_key(&stored.queue) {
            // An estimate is not worth an error.
            let told = self.summaries.of(&stored.queue).await.ok().flatten();
            self.queues.insert(stored.queue.clone(), told);
        }
        let told = self.queues.get(&stored.queue)?.as_ref();
        let estimate = told.and_then(|told| told.recent.remaining(stored.ticket.regions, age, self.now));
        self.known.insert(alike, estimate);
        estimate
    }
}

/// Each queue is read once, however many ask.
async fn read(store: &dyn TicketStore, queues: &[QueueId]) -> Vec<Result<Told, StoreError>> {
    let mut places: HashMap<&QueueId, usize> = HashMap::new();
    let mut different: Vec<&QueueId> = Vec::new();
    for queue in queues {
        places.entry(queue).or_insert_with(|| {
            different.push(queue);
            different.len() - 1
        });
    }
    let read = join_all(different.iter().map(async |queue| {
        // What another version wrote is not understood, and as good as not there.
        let told = store.summary(queue).await?.and_then(|told| serde_json::from_slice(&told).ok());
        Ok(told.map(Arc::new))
    }));
    let read: Vec<Result<Told, StoreError>> = read.await;
    queues.iter().map(|queue| read[places[queue]].clone()).collect()
}

//! Facts on their way to the log, when all goes well and when not.

mod real_kafka;
mod relay;
mod scene;
mod sign_ins;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pkg_ambient::Ambient;
use pkg_api::log::v1::Record;
use pkg_api::log::v1::record::Event;
use pkg_db::Database;
use pkg_db::testing::TestDatabase;
use pkg_log::sqlite::SqliteLog;
use pkg_log::{AppendError, Appended, Consumer, Log, Range, ReadError, Reader, Start, Topic, Unready, tail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Counters;

/// The longest wait for anything.
const LIMIT: Duration = Duration::from_secs(30);

/// The log of a database, as `muster dev` has it.
fn log_in(database: &TestDatabase) -> Arc<dyn Log> {
    let Database::Sqlite(pool) = &**database else { panic!("it is embedded") };
    Arc::new(SqliteLog::start(pool.clone(), Ambient::system(), pkg_log::sqlite::Settings::default()))
}

/// The events of the topic of accounts by key, each once, as soon as there are so many.
async fn read(log: &dyn Log, count: usize) -> BTreeMap<String, Vec<Event>> {
    let mut tail = tail(log, Topic::Accounts, Start::Beginning).await.unwrap();
    let (mut seen, mut by_key) = (BTreeSet::new(), BTreeMap::<String, Vec<Event>>::new());
    while seen.len() < count {
        let entries = tokio::time::timeout(LIMIT, tail.next(1_000)).await.expect("the log has more").unwrap();
        for record in entries.into_iter().map(|entry| entry.record.unwrap()) {
            if seen.insert(record.record_id) {
                by_key.entry(record.key).or_default().push(record.event.expect("it has a kind"));
            }
        }
    }
    by_key
}

/// A task of the service, told to end when it is dropped or stopped.
struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start<F: Future<Output = ()> + Send + 'static>(task: impl FnOnce(CancellationToken) -> F) -> Self {
        let shutdown = CancellationToken::new();
        Self { task: tokio::spawn(task(shutdown.clone())), shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.task).await.expect("it ends").unwrap();
    }
}

/// What a log does instead of appending.
#[derive(Clone, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    Unavailable,
    /// It appends, and does not tell.
    Unknown,
    /// It takes none of this key.
    TooLarge(String),
}

/// A log that fails on demand, in front of one that does not.
struct Faulty {
    log: Arc<dyn Log>,
    fault: Mutex<Option<Fault>>,
}

impl Faulty {
    fn before(log: Arc<dyn Log>, fault: Option<Fault>) -> Arc<Self> {
        Arc::new(Self { log, fault: Mutex::new(fault) })
    }

    fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }
}

#[async_trait]
impl Log for Faulty {
    async fn append(&self, topic: Topic, record: &Record, within: Duration) -> Result<Appended, AppendError> {
        let fault = self.fault.lock().unwrap().clone();
        match fault {
            Some(Fault::Unavailable) => Err(AppendError::Unavailable("told so".into())),
            Some(Fault::TooLarge(key)) if key == record.key => Err(AppendError::TooLarge { bytes: usize::MAX }),
            Some(Fault::Unknown) => {
                self.log.append(topic, record, within).await?;
                Err(AppendError::Unknown("told so".into()))
            }
            Some(Fault::TooLarge(_)) | None => self.log.append(topic, record, within).await,
        }
    }

    async fn range(&self, topic: Topic, partition: i32) -> Result<Range, ReadError> {
        self.log.range(topic, partition).await
    }

    async fn read(&self, topic: Topic, partition: i32, start: Start) -> Result<Box<dyn Reader>, ReadError> {
        self.log.read(topic, partition, start).await
    }

    async fn join(&self, topic: Topic, group: &str) -> Result<Consumer, ReadError> {
        self.log.join(topic, group).await
    }

    async fn check(&self, within: Duration) -> Result<(), Unready> {
        self.log.check(within).await
    }

    async fn close(&self) {
        self.log.close().await;
    }
}

/// Counters that nobody else counts with.
struct Counted {
    counters: Counters,
    buffer_full: Arc<std::sync::atomic::AtomicU64>,
    shutdown: Arc<std::sync::atomic::AtomicU64>,
    defect: Arc<std::sync::atomic::AtomicU64>,
}

impl Counted {
    fn new() -> Self {
        let (buffer_full, shutdown, defect) = (Arc::default(), Arc::default(), Arc::default());
        let counters = Counters {
            outbox_rows: metrics::Gauge::noop(),
            appended_changes: metrics::Counter::noop(),
            appended_sign_ins: metrics::Counter::noop(),
            dropped_buffer_full: metrics::Counter::from_arc(Arc::clone(&buffer_full)),
            dropped_shutdown: metrics::Counter::from_arc(Arc::clone(&shutdown)),
            dropped_defect: metrics::Counter::from_arc(Arc::clone(&defect)),
        };
        Self { counters, buffer_full, shutdown, defect }
    }
}

fn id() -> Uuid {
    Ambient::system().id()
}

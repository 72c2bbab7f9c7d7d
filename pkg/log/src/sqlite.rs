//! The log in an `SQLite` database, for one process.
//!
//! Appends that wait at the same time are one transaction, which is synced to the disk before any of them is answered: a
//! killed process and a power cut lose nothing that was acknowledged. Groups have their members in this process only; a
//! second process may read and append, and is noticed within [`LOOK_INTERVAL`].

mod group;
mod reading;
mod retention;
mod writing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pkg_ambient::Ambient;
use pkg_api::log::v1::Record;
use sqlx::sqlite::SqlitePool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    ACCOUNTS_RETENTION, AppendError, Appended, Consumer, Log, Position, Range, ReadError, Reader, Start, Topic,
    Unready, codec, gauges,
};
use group::Group;
use reading::{Ends, SqliteReader};
use writing::{Write, Writer};

pub use reading::LOOK_INTERVAL;

/// How a log in `SQLite` behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most records that wait to be appended; further ones are [`AppendError::Full`].
    pub queue_records: usize,
    /// The most bytes of them.
    pub queue_bytes: usize,
    /// How long records of accounts stay.
    pub accounts_retention: Duration,
    /// How long a partition's next worker waits for the one before.
    pub handover_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_records: 8_192,
            queue_bytes: 64 * 1024 * 1024,
            accounts_retention: ACCOUNTS_RETENTION,
            handover_limit: Duration::from_secs(10),
        }
    }
}

/// The log in `SQLite`. Cloning shares it.
#[derive(Clone)]
pub struct SqliteLog {
    inner: Arc<Inner>,
}

struct Inner {
    pool: SqlitePool,
    settings: Settings,
    writer: Writer,
    ends: Arc<Ends>,
    groups: Mutex<HashMap<(Topic, String), Group>>,
    tasks: Mutex<JoinSet<()>>,
    closed: CancellationToken,
}

impl SqliteLog {
    /// Uses a migrated database. The work in the background is spawned on the current runtime and ends with
    /// [`Log::close`].
    #[must_use]
    pub fn start(pool: SqlitePool, ambient: Ambient, settings: Settings) -> Self {
        gauges::describe();
        let (ends, closed, mut tasks) = (Arc::new(Ends::default()), CancellationToken::new(), JoinSet::new());
        let (writer, writing) = Writer::new(pool.clone(), ambient.clone(), ends.clone(), &settings);
        tasks.spawn(writing);
        let watching = reading::watch(pool.clone(), ends.clone());
        tasks.spawn(stopped_by(closed.clone(), watching));
        let trimming = retention::trim(pool.clone(), ambient, settings.accounts_retention);
        tasks.spawn(stopped_by(closed.clone(), trimming));
        let (groups, tasks) = (Mutex::default(), Mutex::new(tasks));
        Self { inner: Arc::new(Inner { pool, settings, writer, ends, groups, tasks, closed }) }
    }

    /// Appends bytes that need not be a record.
    async fn append_bytes(
        &self,
        topic: Topic,
        key: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Appended, AppendError> {
        let partition = topic.partition_of(key);
        let (offset, time) = self.inner.writer.append(Write { topic, partition, body }, within).await?;
        Ok(Appended { position: Position { partition, offset }, time })
    }
}

async fn stopped_by(closed: CancellationToken, work: impl Future<Output = ()>) {
    closed.run_until_cancelled(work).await;
}

#[async_trait]
impl Log for SqliteLog {
    async fn append(&self, topic: Topic, record: &Record, within: Duration) -> Result<Appended, AppendError> {
        let append = async { self.append_bytes(topic, &record.key, codec::encode(record)?, within).await };
        gauges::counted(topic, append).await
    }

    async fn range(&self, topic: Topic, partition: i32) -> Result<Range, ReadError> {
        if !(0..topic.partitions()).contains(&partition) {
            return Err(ReadError::NoPartition { topic, partition });
        }
        reading::range(&self.inner.pool, topic, partition).await
    }

    async fn read(&self, topic: Topic, partition: i32, start: Start) -> Result<Box<dyn Reader>, ReadError> {
        let range = self.range(topic, partition).await?;
        let offset = range.start(topic, partition, start)?;
        let end = self.inner.ends.follow(topic, partition, range.end);
        Ok(Box::new(SqliteReader::new(self.inner.pool.clone(), topic, partition, offset, end)))
    }

    async fn join(&self, topic: Topic, group: &str) -> Result<Consumer, ReadError> {
        let (member, membership) = {
            let mut groups = self.inner.groups();
            let group = groups.entry((topic, group.to_owned()));
            let start = || {
                let (group, sharing) = Group::new(topic, self.inner.settings.handover_limit);
                self.inner.tasks().spawn(stopped_by(self.inner.closed.clone(), sharing));
                group
            };
            group.or_insert_with(start).join()
        };
        if self.inner.closed.is_cancelled() {
            member.close();
        }
        Ok(Consumer::new(Arc::new(self.clone()), topic, member, Box::new(membership)))
    }

    async fn check(&self, within: Duration) -> Result<(), Unready> {
        let exists = sqlx::query("SELECT 1 FROM log_partitions LIMIT 1").execute(&self.inner.pool);
        match tokio::time::timeout(within, exists).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Unready::Unavailable(Box::new(error))),
            Err(elapsed) => Err(Unready::Unavailable(Box::new(elapsed))),
        }
    }

    async fn close(&self) {
        self.inner.closed.cancel();
        self.inner.groups().values().for_each(Group::close);
        self.inner.writer.close().await;
        let mut tasks = std::mem::take(&mut *self.inner.tasks());
        while tasks.join_next().await.is_some() {}
    }
}

impl Inner {
    fn groups(&self) -> MutexGuard<'_, HashMap<(Topic, String), Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteLog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Reading, and being woken when there is something to read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pkg_db::{from_millis, is_unavailable};
use sqlx::sqlite::SqlitePool;
use tokio::sync::watch;

use crate::{Entry, Position, Range, ReadError, Reader, Topic, codec};

/// How often one looks whether another process has appended.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The most records of one statement: what it has found is held in memory, and others wait for the connection.
const MAX_READ: usize = 1_000;

/// Where partitions end, as far as this process knows, to wake their readers.
#[derive(Default)]
pub(super) struct Ends {
    known: Mutex<HashMap<(Topic, i32), watch::Sender<i64>>>,
}

impl Ends {
    /// The partition ends here, or later.
    pub(super) fn reach(&self, topic: Topic, partition: i32, end: i64) {
        self.of(topic, partition, |known| {
            known.send_if_modified(|known| {
                let later = end > *known;
                *known = end.max(*known);
                later
            });
        });
    }

    /// The end of a partition, which is `end` or later.
    pub(super) fn follow(&self, topic: Topic, partition: i32, end: i64) -> watch::Receiver<i64> {
        self.reach(topic, partition, end);
        self.of(topic, partition, watch::Sender::subscribe)
    }

    fn of<T>(&self, topic: Topic, partition: i32, act: impl FnOnce(&watch::Sender<i64>) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        act(known.entry((topic, partition)).or_default())
    }
}

/// Looks for ever whether another process has appended.
pub(super) async fn watch(pool: SqlitePool, ends: std::sync::Arc<Ends>) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        ticks.tick().await;
        match look(&pool, &ends, seen).await {
            Ok(version) => seen = Some(version),
            // Appending and reading answer for themselves.
            Err(error) => tracing::debug!(%error, "the log's database cannot be looked at"),
        }
    }
}

/// The database's version, which changes when another connection has written.
async fn look(pool: &SqlitePool, ends: &Ends, seen: Option<i64>) -> Result<i64, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
    if seen == Some(version) {
        return Ok(version);
    }
    let select = "SELECT topic, number, end_offset FROM log_partitions";
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(select).fetch_all(&mut *connection).await?;
    for (topic, partition, end) in rows {
        if let Ok(topic) = topic.parse() {
            ends.reach(topic, partition, end);
        }
    }
    Ok(version)
}

/// What of a partition can be read.
pub(super) async fn range(pool: &SqlitePool, topic: Topic, partition: i32) -> Result<Range, ReadError> {
    let select = "SELECT
            (SELECT MIN(record_offset) FROM log_records WHERE topic = $1 AND partition_number = $2),
            (SELECT end_offset FROM log_partitions WHERE topic = $1 AND number = $2)";
    let query = sqlx::query_as(select).bind(topic.name()).bind(partition);
    let (first, end): (Option<i64>, Option<i64>) = query.fetch_one(pool).await.map_err(failed)?;
    let end = end.unwrap_or(0);
    Ok(Range { first: first.unwrap_or(end), end })
}

/// Reads one partition.
pub(super) struct SqliteReader {
    pool: SqlitePool,
    topic: Topic,
    partition: i32,
    next: i64,
    end: watch::Receiver<i64>,
}

impl SqliteReader {
    pub(super) fn new(pool: SqlitePool, topic: Topic, partition: i32, next: i64, end: watch::Receiver<i64>) -> Self {
        Self { pool, topic, partition, next, end }
    }

    async fn read(&self, max: usize) -> Result<Vec<Entry>, ReadError> {
        let select = "SELECT record_offset, at_ms, body FROM log_records
            WHERE topic = $1 AND partition_number = $2 AND record_offset >= $3 ORDER BY record_offset LIMIT $4";
        let limit = i64::try_from(max.clamp(1, MAX_READ)).unwrap_or(i64::MAX);
        let query = sqlx::query_as(select).bind(self.topic.name()).bind(self.partition).bind(self.next).bind(limit);
        let rows: Vec<(i64, i64, Vec<u8>)> = query.fetch_all(&self.pool).await.map_err(failed)?;
        let entry = |(offset, at_ms, body): (i64, i64, Vec<u8>)| Entry {
            position: Position { partition: self.partition, offset },
            time: from_millis(at_ms),
            record: codec::decode(self.topic, &body),
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}

#[async_trait]
impl Reader for SqliteReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, ReadError> {
        let next = self.next;
        // Its sender lives as long as the log. When that is gone, so is what could be waited for.
        if self.end.wait_for(|end| *end > next).await.is_err() {
            return std::future::pending().await;
        }
        let entries = self.read(max).await?;
        let first = entries.first().map(|entry| entry.position.offset);
        if first != Some(next) {
            let (topic, partition) = (self.topic, self.partition);
            let range = range(&self.pool, topic, partition).await?;
            return Err(ReadError::OutOfRange { topic, partition, offset: next, range });
        }
        self.next += i64::try_from(entries.len()).unwrap_or(i64::MAX);
        Ok(entries)
    }
}

fn failed(error: sqlx::Error) -> ReadError {
    if is_unavailable(&error) { ReadError::Unavailable(Box::new(error)) } else { ReadError::Refused(Box::new(error)) }
}

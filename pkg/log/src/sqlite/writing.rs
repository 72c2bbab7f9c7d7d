//! Appending: what waits at the same time is one transaction.
//!
//! Not `pkg_batching`, which begins a second batch beside one that is slow: here the order of the calls is a promise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_db::{from_millis, to_millis};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, Executor, QueryBuilder};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::reading::Ends;
use crate::{AppendError, Topic, gauges};

/// The most records of one transaction. `SQLite` takes 32,766 values in a statement, and there are five to a record.
const MAX_BATCH: usize = 512;
/// How long closing waits until what was accepted is written.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// A record to be appended.
pub(super) struct Write {
    pub(super) topic: Topic,
    pub(super) partition: i32,
    pub(super) body: Vec<u8>,
}

/// The offset and the time of a record.
type Written = (i64, OffsetDateTime);
type Answer = Result<Written, AppendError>;

struct Call {
    write: Write,
    answer: oneshot::Sender<Answer>,
    room: OwnedSemaphorePermit,
}

/// Hands records to the one task that writes.
pub(super) struct Writer {
    calls: mpsc::Sender<Call>,
    /// For the bytes that wait.
    room: Arc<Semaphore>,
    closed: CancellationToken,
    ended: CancellationToken,
}

impl Writer {
    /// A writer, and its work to be spawned.
    pub(super) fn new(
        pool: SqlitePool,
        ambient: Ambient,
        ends: Arc<Ends>,
        settings: &Settings,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (calls, queue) = mpsc::channel(settings.queue_records);
        let (closed, ended) = (CancellationToken::new(), CancellationToken::new());
        let work = Work { pool, ambient, ends };
        let writing = work.run(queue, closed.clone(), ended.clone().drop_guard());
        let room = Arc::new(Semaphore::new(settings.queue_bytes));
        (Self { calls, room, closed, ended }, writing)
    }

    pub(super) async fn append(&self, write: Write, within: Duration) -> Answer {
        let bytes = u32::try_from(write.body.len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| AppendError::Full)?;
        let (answer, answered) = oneshot::channel();
        self.calls.try_send(Call { write, answer, room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Full,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => answer,
            // The task has ended without having come to it.
            Ok(Err(_)) => Err(AppendError::Closed),
            Err(elapsed) => Err(AppendError::Unknown(Box::new(elapsed))),
        }
    }

    pub(super) async fn close(&self) {
        self.closed.cancel();
        if tokio::time::timeout(CLOSE_LIMIT, self.ended.cancelled()).await.is_err() {
            tracing::warn!("the log was closed before all appended records were written");
        }
    }
}

struct Work {
    pool: SqlitePool,
    ambient: Ambient,
    ends: Arc<Ends>,
}

/// The end of a partition, as it is being moved.
#[derive(Clone, Copy, Default)]
struct End {
    offset: i64,
    last_ms: i64,
}

/// A transaction failed.
#[derive(Debug, Error)]
enum WriteError {
    /// Nothing was written.
    #[error("the records were not written")]
    Before(#[from] sqlx::Error),
    /// The commit failed, and may have happened.
    #[error("it is not known whether the records were written")]
    Commit(#[source] sqlx::Error),
}

impl Work {
    async fn run(
        self,
        mut queue: mpsc::Receiver<Call>,
        closed: CancellationToken,
        _ended: tokio_util::sync::DropGuard,
    ) {
        let mut calls = Vec::new();
        loop {
            tokio::select! {
                count = queue.recv_many(&mut calls, MAX_BATCH) => if count == 0 { return },
                // What was accepted before is still written.
                () = closed.cancelled(), if !queue.is_closed() => queue.close(),
            }
            gauges::waiting(i32::try_from(calls.len() + queue.len()).unwrap_or(i32::MAX));
            // Whoever went away before the work began is not worked for.
            let wanted = calls.drain(..).filter(|call| !call.answer.is_closed());
            let parts = wanted.map(|call| (call.write, (call.answer, call.room)));
            let (writes, answers): (Vec<Write>, Vec<_>) = parts.unzip();
            if writes.is_empty() {
                continue;
            }
            let outcomes = match self.write(&writes).await {
                Ok(written) => written.into_iter().map(Ok).collect(),
                Err(error) => refusals(&error, writes.len()),
            };
            for (outcome, (answer, _room)) in outcomes.into_iter().zip(answers) {
                // A caller that went away needs no answer.
                let _ = answer.send(outcome);
            }
        }
    }

    async fn write(&self, writes: &[Write]) -> Result<Vec<Written>, WriteError> {
        let mut connection = self.pool.acquire().await?;
        // Other transactions of this connection need no sync of their own; that of the log's is waited for.
        connection.execute("PRAGMA synchronous = FULL").await?;
        let written = self.transact(&mut connection, writes).await;
        connection.execute("PRAGMA synchronous = NORMAL").await?;
        written
    }

    async fn transact(&self, connection: &mut SqliteConnection, writes: &[Write]) -> Result<Vec<Written>, WriteError> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut ends = stored_ends(&mut transaction).await?;
        let now = to_millis(self.ambient.now());
        let mut written = Vec::with_capacity(writes.len());
        let mut moved = BTreeMap::new();
        for write in writes {
            let end = ends.entry((write.topic.name().to_owned(), write.partition)).or_default();
            // A clock that went back does not turn the log's time back.
            end.last_ms = end.last_ms.max(now);
            written.push((end.offset, end.last_ms));
            end.offset += 1;
            moved.insert((write.topic, write.partition), *end);
        }

        let insert = "INSERT INTO log_records (topic, partition_number, record_offset, at_ms, body) ";
        QueryBuilder::new(insert)
            .push_values(writes.iter().zip(&written), |mut row, (write, (offset, at_ms))| {
                row.push_bind(write.topic.name()).push_bind(write.partition);
                row.push_bind(offset).push_bind(at_ms).push_bind(&write.body);
            })
            .build()
            .execute(&mut *transaction)
            .await?;
        QueryBuilder::new("INSERT INTO log_partitions (topic, number, end_offset, last_ms) ")
            .push_values(&moved, |mut row, ((topic, partition), end)| {
                row.push_bind(topic.name()).push_bind(partition).push_bind(end.offset).push_bind(end.last_ms);
            })
            .push(" ON CONFLICT (topic, number) DO UPDATE SET end_offset = excluded.end_offset, last_ms = excluded.last_ms")
            .build()
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await.map_err(WriteError::Commit)?;

        for ((topic, partition), end) in moved {
            self.ends.reach(topic, partition, end.offset);
        }
        Ok(written.into_iter().map(|(offset, at_ms)| (offset, from_millis(at_ms))).collect())
    }
}

/// All ends: they are few, and reading them is one statement.
async fn stored_ends(connection: &mut SqliteConnection) -> Result<BTreeMap<(String, i32), End>, sqlx::Error> {
    let select = "SELECT topic, number, end_offset, last_ms FROM log_partitions";
    let rows: Vec<(String, i32, i64, i64)> = sqlx::query_as(select).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(topic, number, offset, last_ms)| ((topic, number), End { offset, last_ms })).collect())
}

/// The answer to each record of a transaction that failed.
fn refusals(error: &WriteError, count: usize) -> Vec<Answer> {
    tracing::warn!(error = error as &dyn std::error::Error, count, "records were not appended");
    let refusal = || match error {
        WriteError::Commit(error) => AppendError::Unknown(error.to_string().into()),
        WriteError::Before(error) if pkg_db::is_unavailable(error) => {
            AppendError::Unavailable(error.to_string().into())
        }
        WriteError::Before(error) => AppendError::Refused(error.to_string().into()),
    };
    (0..count).map(|_| Err(refusal())).collect()
}

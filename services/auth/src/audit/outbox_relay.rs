//! Appends to the log what the outbox holds.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_api::log::v1::Record;
use pkg_log::{AppendError, Log, Topic};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Counters;
use super::backoff::Backoff;
use crate::store::{AuditOutbox, OutboxRow, StoreError};

/// The most rows that are taken at once.
const BATCH_ROWS: usize = 256;

/// The most rows that are counted for the metric.
const COUNTED_ROWS: usize = 10_000;

/// How often it is looked for rows that another replica has left. What is written here is known at once.
const POLL: Duration = Duration::from_secs(5);

/// How long rows are held at most: what the log has not acknowledged by then stays for the next batch.
const HOLD: Duration = Duration::from_secs(5);

/// How long a batch that is under way may take once the process is to end.
const LAST_BATCH: Duration = Duration::from_millis(500);

/// Takes rows out of the outbox and appends them to the log, for as long as the process runs.
///
/// Rows of one key are appended one after the other, each after the one before it was acknowledged; those of different
/// keys at the same time. A row is deleted once it was acknowledged, so one whose outcome is not known is appended
/// again, with its record id. Of all appends of a record the first one counts, and before any append of the next record
/// of its key one of this record was acknowledged: so the order holds, even where two relays append the same rows, or one
/// that was held up wakes late. That only one has them at a time, which the outbox sees to, saves work and no more.
pub struct OutboxRelay {
    pub(crate) outbox: Arc<dyn AuditOutbox>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) counters: Counters,
}

/// What became of a batch.
struct Pass {
    /// Whether there may be more to do at once.
    more: bool,
    /// Why some rows are still there.
    failed: Option<AppendError>,
}

impl OutboxRelay {
    /// Works until it is told to end. What is left then stays in the outbox.
    pub async fn run(self, shutdown: CancellationToken) {
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(LAST_BATCH).await;
        };
        tokio::select! {
            () = self.follow(&shutdown) => {}
            () = overdue => {}
        }
    }

    async fn follow(&self, shutdown: &CancellationToken) {
        let mut backoff = Backoff::default();
        while !shutdown.is_cancelled() {
            let failure = match self.pass().await {
                Ok(Pass { more, failed: None }) => {
                    if backoff.is_failing() {
                        tracing::info!("changes of accounts reach the log again");
                        backoff.reset();
                    }
                    if !more {
                        let woken = tokio::time::timeout(POLL, self.outbox.written());
                        shutdown.run_until_cancelled(woken).await;
                    }
                    continue;
                }
                Ok(Pass { failed: Some(error), .. }) => Failure::Log(error),
                Err(error) => Failure::Outbox(error),
            };
            if !backoff.is_failing() {
                failure.tell();
            }
            shutdown.run_until_cancelled(tokio::time::sleep(backoff.next())).await;
        }
    }

    /// Takes the oldest rows, appends them, and deletes what was acknowledged.
    async fn pass(&self) -> Result<Pass, StoreError> {
        let waiting = self.outbox.waiting(COUNTED_ROWS).await?;
        self.counters.outbox_rows.set(gauge(waiting));
        if waiting == 0 {
            return Ok(Pass { more: false, failed: None });
        }
        let Some(taken) = self.outbox.take(BATCH_ROWS).await? else {
            // Another relay has its hands on them, and goes on until nothing is left.
            return Ok(Pass { more: false, failed: None });
        };
        let rows = taken.rows.len();
        let (done, failed) = self.append_all(taken.rows).await;
        taken.claim.delete(&done).await?;
        self.counters.outbox_rows.set(gauge(waiting.saturating_sub(done.len())));
        Ok(Pass { more: rows > 0, failed })
    }

    /// Says which rows are done with, and an error if some are not.
    async fn append_all(&self, rows: Vec<OutboxRow>) -> (Vec<Uuid>, Option<AppendError>) {
        let until = Instant::now() + HOLD;
        let (mut done, mut failed) = (Vec::with_capacity(rows.len()), None);
        let mut by_key: BTreeMap<String, Vec<(Uuid, Record)>> = BTreeMap::new();
        for row in rows {
            match row.record {
                Ok(record) => by_key.entry(record.key.clone()).or_default().push((row.record_id, record)),
                Err(error) => {
                    self.give_up(row.record_id, &error);
                    done.push(row.record_id);
                }
            }
        }
        let lanes = by_key.into_values().map(|records| self.append_in_order(records, until));
        for (appended, error) in join_all(lanes).await {
            done.extend(appended);
            failed = failed.or(error);
        }
        (done, failed)
    }

    /// Appends the records of one key. After one that was not acknowledged, none of the rest is tried.
    async fn append_in_order(&self, records: Vec<(Uuid, Record)>, until: Instant) -> (Vec<Uuid>, Option<AppendError>) {
        let mut done = Vec::with_capacity(records.len());
        for (id, record) in records {
            let within = until.saturating_duration_since(Instant::now());
            if within.is_zero() {
                break;
            }
            match self.log.append(Topic::Accounts, &record, within).await {
                Ok(_) => self.counters.appended_changes.increment(1),
                Err(error @ AppendError::TooLarge { .. }) => self.give_up(id, &error),
                Err(error) => return (done, Some(error)),
            }
            done.push(id);
        }
        (done, None)
    }

    /// Records hold ids and are small: this is a defect, and must not hold up the rest for ever.
    fn give_up(&self, record_id: Uuid, error: &(dyn Error + 'static)) {
        tracing::error!(%record_id, error, "a change of an account cannot be recorded in the log and is dropped");
        self.counters.dropped_defect.increment(1);
    }
}

enum Failure {
    Log(AppendError),
    Outbox(StoreError),
}

impl Failure {
    /// Nothing is lost by any of them: the rows stay.
    fn tell(&self) {
        let error: &(dyn Error + 'static) = match self {
            Self::Log(error) => error,
            Self::Outbox(error) => error,
        };
        let cause = error.source();
        match self {
            Self::Log(AppendError::Refused(_)) => tracing::error!(error, cause, "the log refuses changes of accounts"),
            Self::Log(_) => tracing::warn!(error, cause, "changes of accounts wait for the log"),
            Self::Outbox(_) => tracing::warn!(error, cause, "the outbox of changes of accounts does not serve"),
        }
    }
}

fn gauge(rows: usize) -> f64 {
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX))
}

//! What becomes of matches, as the log tells of it: seats are free again, ratings change.
//!
//! Each partition of the log of matches is worked on in its order, and what follows from its records is written in one
//! transaction with the position. A session counts once, also if its end was recorded twice.

mod counting;
mod rating_rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_log::{Entry, Log, Partition, ReadError, Start, Topic};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use rating_rules::RatingRules;

use self::rating_rules::RulesError;
use crate::counters::Counters;
use crate::store::{Applied, RatingStore, StoreError};

/// The name of those who share this work.
const GROUP: &str = "matchmaking";
/// How many records are worked on in one transaction.
const STEP: usize = 200;
/// How often results are worked out again, since a rating was seeded or erased meanwhile.
const TRIES: usize = 8;
/// The pause before work that failed is begun anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Who follows the log of matches.
#[derive(Clone)]
pub struct ResultsFollower {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) ratings: Arc<dyn RatingStore>,
    pub(crate) rules: RatingRules,
    pub(crate) ambient: Ambient,
    pub(crate) counters: Counters,
}

/// Why a partition is begun anew.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// As it should be, when a partition is handed over late.
    #[error("another process has worked on the partition")]
    Elsewhere,
    #[error("ratings change too often to be worked out")]
    Contended,
}

impl ResultsFollower {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                outcome = self.follow(&shutdown) => {
                    if let Err(error) = outcome {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "the log of matches cannot be followed");
                    }
                }
            }
            // Told to end while it waits, it ends.
            let _ = timeout(AGAIN, shutdown.cancelled()).await;
        }
    }

    /// Works on the partitions that fall to this process; ends when the log is closed.
    async fn follow(&self, shutdown: &CancellationToken) -> Result<(), ReadError> {
        let mut consumer = self.log.join(Topic::Matches, GROUP).await?;
        let workers = TaskTracker::new();
        let stop = shutdown.child_token();
        let _stop = stop.clone().drop_guard();
        while let Some(partition) = consumer.next_partition().await {
            let (this, stop) = (self.clone(), stop.clone());
            workers.spawn(stop.run_until_cancelled_owned(async move { this.work(partition).await }));
        }
        Ok(())
    }

    async fn work(&self, mut partition: Partition) {
        let Err(error) = self.try_work(&mut partition).await else { return };
        if !matches!(error, WorkError::Elsewhere) {
            report(partition.number(), &error);
        }
        // Dropped after a pause, it is offered again.
        sleep(AGAIN).await;
    }

    async fn try_work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        let number = partition.number();
        let range = self.log.range(Topic::Matches, number).await?;
        let mut position = self.ratings.position(number).await?;
        let start = position.map_or(range.first, |next| next.clamp(range.first, range.end));
        partition.begin(Start::At(start)).await?;
        while let Some(entries) = partition.next(STEP).await? {
            position = self.apply(number, position, &entries).await?.or(position);
        }
        Ok(())
    }

    /// Applies records; answers with the position after them.
    async fn apply(&self, partition: i32, expected: Option<i64>, entries: &[Entry]) -> Result<Option<i64>, WorkError> {
        for _ in 0..TRIES {
            let Some(results) = self.work_out(partition, expected, entries).await? else { return Ok(None) };
            let counters = &self.counters;
            match self.ratings.apply(&results, self.ambient.now()).await? {
                Applied::Done => {
                    counters.ratings_changed.increment(results.changes.len() as u64);
                    counters.seats_released.increment(results.releases.len() as u64);
                    return Ok(Some(results.next_offset));
                }
                Applied::Elsewhere => return Err(WorkError::Elsewhere),
                Applied::Changed => {}
            }
        }
        Err(WorkError::Contended)
    }
}

fn report(partition: i32, error: &WorkError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(partition, error, "results of matches wait");
}

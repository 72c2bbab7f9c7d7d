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

use async_trait::async_trait;
use pkg_ambient::Ambient;
use pkg_log::{Entry, Group, Log, Partition, ReadError, Topic, Work};
use tokio_util::sync::CancellationToken;

pub use rating_rules::RatingRules;

use self::rating_rules::RulesError;
use crate::counters::Counters;
use crate::store::{Applied, RatingStore, StoreError};

/// Those who share this work.
const GROUP: Group = Group { topic: Topic::Matches, name: "matchmaking", again: Duration::from_secs(1) };
/// How many records are worked on in one transaction.
const STEP: usize = 200;
/// How often results are worked out again, since a rating was seeded or erased meanwhile.
const TRIES: usize = 8;

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
pub enum WorkError {
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
        GROUP.run(self.log.clone(), self, shutdown).await;
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

#[async_trait]
impl Work for ResultsFollower {
    type Error = WorkError;

    async fn work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        let number = partition.number();
        let mut position = self.ratings.position(number).await?;
        partition.resume(position).await?;
        while let Some(entries) = partition.next(STEP).await? {
            position = self.apply(number, position, &entries).await?.or(position);
        }
        Ok(())
    }

    fn report(&self, partition: i32, error: &WorkError) {
        if !matches!(error, WorkError::Elsewhere) {
            let error: &dyn std::error::Error = error;
            tracing::warn!(partition, error, "results of matches wait");
        }
    }
}

//! The history of matches, as the log tells of sessions that have ended.
//!
//! Each partition of the log of matches is worked on in its order, and what follows from its records is written in one
//! transaction with the position. A session counts once, also if its end was recorded twice.

mod ended;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metrics::Counter;
use pkg_log::{Entry, Group, Log, Partition, ReadError, Topic, Work};
use tokio_util::sync::CancellationToken;

use crate::store::{FinishedMatch, MatchStore, MatchesApplied, MatchesStep, StoreError};

/// Those who share this work.
const GROUP: Group = Group { topic: Topic::Matches, name: "leaderboard", again: Duration::from_secs(1) };
/// How many records are worked on in one transaction.
const STEP: usize = 200;

/// Who follows the log of matches.
pub struct MatchesFollower {
    log: Arc<dyn Log>,
    matches: Arc<dyn MatchStore>,
    counters: Counters,
}

/// Why a partition is begun anew.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// As it should be, when a partition is handed over late.
    #[error("another process has worked on the partition")]
    Elsewhere,
}

struct Counters {
    sessions: Counter,
    results: Counter,
    skipped: Counter,
}

impl MatchesFollower {
    /// Follows this log into this history.
    pub(crate) fn new(log: Arc<dyn Log>, matches: Arc<dyn MatchStore>) -> Self {
        Self { log, matches, counters: Counters::new() }
    }

    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        GROUP.run(self.log.clone(), self, shutdown).await;
    }

    /// Records the ends of sessions among these records; answers with the position after them.
    async fn apply(&self, partition: i32, expected: Option<i64>, entries: &[Entry]) -> Result<Option<i64>, WorkError> {
        let Some(last) = entries.last() else { return Ok(expected) };
        let step = MatchesStep {
            partition,
            expected,
            next_offset: last.position.offset + 1,
            matches: entries.iter().filter_map(|entry| self.ended(entry)).collect(),
        };
        match self.matches.apply(&step).await? {
            MatchesApplied::Done => {
                self.counters.sessions.increment(step.matches.len() as u64);
                self.counters.results.increment(step.matches.iter().map(|ended| ended.results.len() as u64).sum());
                Ok(Some(step.next_offset))
            }
            MatchesApplied::Elsewhere => Err(WorkError::Elsewhere),
        }
    }

    /// The end of a session, if a record tells of one.
    fn ended(&self, entry: &Entry) -> Option<FinishedMatch> {
        match ended::told(entry)? {
            Ok(ended) => Some(ended),
            Err(error) => {
                // It must not stop the others.
                let (error, offset): (&dyn std::error::Error, i64) = (&error, entry.position.offset);
                tracing::error!(partition = entry.position.partition, offset, error, "a session is left out");
                self.counters.skipped.increment(1);
                None
            }
        }
    }
}

#[async_trait]
impl Work for MatchesFollower {
    type Error = WorkError;

    async fn work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        let number = partition.number();
        let mut position = self.matches.position(number).await?;
        partition.resume(position).await?;
        while let Some(entries) = partition.next(STEP).await? {
            position = self.apply(number, position, &entries).await?;
        }
        Ok(())
    }

    fn report(&self, partition: i32, error: &WorkError) {
        if !matches!(error, WorkError::Elsewhere) {
            let error: &dyn std::error::Error = error;
            tracing::warn!(partition, error, "the history of matches waits");
        }
    }
}

impl Counters {
    fn new() -> Self {
        metrics::describe_counter!(
            "muster_history_sessions_total",
            "Ends of sessions that the history of matches was told of, repeated ones too."
        );
        metrics::describe_counter!("muster_history_results_total", "Results of players in those sessions.");
        metrics::describe_counter!(
            "muster_history_skipped_total",
            "Ends of sessions that were not understood, and are not in the history."
        );
        Self {
            sessions: metrics::counter!("muster_history_sessions_total"),
            results: metrics::counter!("muster_history_results_total"),
            skipped: metrics::counter!("muster_history_skipped_total"),
        }
    }
}

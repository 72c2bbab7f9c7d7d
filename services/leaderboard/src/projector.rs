//! From the log to the history and the boards: every score exactly once.
//!
//! A partition is worked on by one process at a time; should two of them do so for a while, the history takes each record
//! once all the same ([`crate::store`]). Three things go on at once, each with what the one before has left:
//!
//! 1. records are read and what is not remembered of them is looked up ([`preparing`]);
//! 2. they are counted and written to the history, in one statement for all boards ([`writing`]);
//! 3. their boards are moved, who waits is answered ([`applying`]).
//!
//! Nothing waits for a fuller batch: what has come while a step was under way makes the next one.

mod applying;
mod memory;
mod partition;
mod preparing;
mod sizes;
#[cfg(test)]
mod tests;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pkg_log::{Group, Log, Partition, ReadError, Topic, Work};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::mending::Mender;
use crate::news::BoardNews;
use crate::outcomes::Outcomes;
use crate::score_counters::ScoreCounters;
use crate::store::{BoardStore, HistoryStore, Positions, StoreError};
use crate::watermarks::Watermarks;

use self::memory::Standings;
use self::partition::Worker;

/// Those who share this work.
const GROUP: Group = Group { topic: Topic::Scores, name: "leaderboard", again: Duration::from_millis(200) };

/// Works on the log of scores.
pub struct Projector {
    parts: Arc<ProjectorParts>,
    /// Where players stand, of all partitions.
    standings: Standings,
}

/// What the projector works with.
pub struct ProjectorParts {
    /// Where scores come from.
    pub log: Arc<dyn Log>,
    /// The rules of boards.
    pub catalog: Catalog,
    /// The truth.
    pub history: Arc<dyn HistoryStore>,
    /// What is made of it.
    pub boards: Arc<dyn BoardStore>,
    /// How far the log was worked on.
    pub positions: Arc<dyn Positions>,
    /// Those who wait in this process; shared with who submits.
    pub outcomes: Outcomes,
    /// Those who wait for boards.
    pub watermarks: Watermarks,
    /// Those who follow boards.
    pub news: BoardNews,
    /// What is called when a board is not where it should be.
    pub mender: Mender,
    /// What is counted.
    pub counters: ScoreCounters,
}

/// Why a partition is begun anew.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The log does not serve.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The history does not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// As may be for a while when a partition is handed over late.
    #[error("another process works on the partition")]
    Contended,
}

impl Projector {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(parts: ProjectorParts) -> Self {
        Self { parts: Arc::new(parts), standings: Standings::new() }
    }

    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        // Scores are not refused because their boards were not heard of yet.
        let _ = shutdown.run_until_cancelled(self.parts.catalog.caught_up()).await;
        GROUP.run(self.parts.log.clone(), self, shutdown).await;
    }
}

#[async_trait]
impl Work for Projector {
    type Error = WorkError;

    async fn work(&self, partition: &mut Partition) -> Result<(), WorkError> {
        let _here = self.parts.outcomes.work_on(partition.number());
        let next = self.parts.positions.next_offset(Topic::Scores, partition.number()).await?;
        partition.resume(next).await?;
        let next = next.unwrap_or_default();
        Worker::new(self.parts.clone(), self.standings.clone(), partition.number(), next).run(partition).await
    }

    fn report(&self, partition: i32, error: &WorkError) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(partition, error, "scores wait");
    }
}

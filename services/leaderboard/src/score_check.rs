//! Which boards have scores, those included that wait in the log for their outcome.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use pkg_api::log::v1::record;
use pkg_log::{Log, ReadError, Start, Topic};
use tokio::time::timeout;

use crate::board::BoardId;
use crate::store::{HistoryStore, Positions, StoreError};

/// How many scores of a partition may wait for their outcome: more are not looked through.
const WAITING_MAX: i64 = 100_000;
/// How many records are read at once.
const READ_AT_ONCE: usize = 1_000;
/// How long it may take to look through the scores that wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who answers. Cloning shares it.
#[derive(Clone)]
pub struct ScoreCheck {
    history: Arc<dyn HistoryStore>,
    positions: Arc<dyn Positions>,
    log: Arc<dyn Log>,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum ScoreCheckError {
    #[error("{0} scores wait for their outcome")]
    Behind(i64),
    #[error("the scores that wait for their outcome were not read within {PATIENCE:?}")]
    Slow,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ScoreCheck {
    /// Answers from this history and this log.
    pub(crate) fn new(history: Arc<dyn HistoryStore>, positions: Arc<dyn Positions>, log: Arc<dyn Log>) -> Self {
        Self { history, positions, log }
    }

    /// Whether these boards have had scores that were acknowledged before the call, in their order.
    pub async fn have_scores(&self, boards: &[BoardId]) -> Result<Vec<bool>, ScoreCheckError> {
        let mut scored: Vec<bool> = self.history.heads(boards).await?.iter().map(Option::is_some).collect();
        let mut waiting: BTreeMap<i32, HashMap<String, bool>> = BTreeMap::new();
        for (board, _) in boards.iter().zip(&scored).filter(|(_, scored)| !**scored) {
            let key = board.to_string();
            waiting.entry(Topic::Scores.partition_of(&key)).or_default().insert(key, false);
        }
        if waiting.is_empty() {
            return Ok(scored);
        }
        let looked = async {
            for (partition, boards) in &mut waiting {
                self.look_through(*partition, boards).await?;
            }
            Ok(())
        };
        timeout(PATIENCE, looked).await.unwrap_or(Err(ScoreCheckError::Slow))?;
        // What was applied between the first look at the history and the look at the position is found here.
        let heads = self.history.heads(boards).await?;
        for ((board, head), scored) in boards.iter().zip(heads).zip(&mut scored) {
            let key = board.to_string();
            let waits = waiting.get(&Topic::Scores.partition_of(&key)).and_then(|boards| boards.get(&key));
            *scored |= head.is_some() || waits == Some(&true);
        }
        Ok(scored)
    }

    /// Marks which of these boards, by their keys, have scores that wait in a partition.
    async fn look_through(&self, partition: i32, boards: &mut HashMap<String, bool>) -> Result<(), ScoreCheckError> {
        let applied = self.positions.next_offset(Topic::Scores, partition).await?;
        let range = self.log.range(Topic::Scores, partition).await?;
        let mut next = applied.unwrap_or(range.first).clamp(range.first, range.end);
        if range.end - next > WAITING_MAX {
            return Err(ScoreCheckError::Behind(range.end - next));
        }
        if next == range.end {
            return Ok(());
        }
        let mut reader = self.log.read(Topic::Scores, partition, Start::At(next)).await?;
        while next < range.end {
            for entry in reader.next(READ_AT_ONCE).await? {
                next = entry.position.offset + 1;
                let Ok(record) = entry.record else { continue };
                let is_score = matches!(record.event, Some(record::Event::ScoreRecorded(_)));
                if let Some(waits) = boards.get_mut(&record.key).filter(|_| is_score) {
                    *waits = true;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

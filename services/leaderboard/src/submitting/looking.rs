//! Submissions that are durable but not applied yet: looked for in the log.

use std::sync::Arc;
use std::time::Duration;

use pkg_definition::Attributes;
use pkg_log::{Entry, Log, ReadError, Start, Topic};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::score_record::ScoreRecord;
use crate::store::{HistoryStore, Positions, ScoreRow, StoreError, Wanted};
use crate::submission::{NewScore, Pending};

/// How many look through the log at the same time.
const LOOKERS_MAX: usize = 4;
/// How many records are looked through at most; usually there are none that are not applied.
const RECORDS_MAX: i64 = 50_000;
/// How many are read at a time.
const READ_AT_ONCE: usize = 1_000;
/// How long the log may take.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Looks for submissions in the log.
pub(super) struct Looker {
    log: Arc<dyn Log>,
    history: Arc<dyn HistoryStore>,
    positions: Arc<dyn Positions>,
    turns: Semaphore,
}

/// Where a submission is.
pub(super) enum Looked {
    /// It was applied meanwhile.
    Recorded(ScoreRow),
    /// In the log.
    Pending(Pending),
    /// It was never acknowledged.
    Nowhere,
}

impl Looker {
    pub(super) fn new(log: Arc<dyn Log>, history: Arc<dyn HistoryStore>, positions: Arc<dyn Positions>) -> Self {
        Self { log, history, positions, turns: Semaphore::new(LOOKERS_MAX) }
    }

    /// Looks for a submission that was not in the history a moment ago.
    pub(super) async fn look(&self, wanted: &Wanted) -> Result<Looked, StoreError> {
        let _turn = self.turns.acquire().await.map_err(StoreError::broken)?;
        let partition = Topic::Scores.partition_of(&wanted.board.to_string());
        // What is acknowledged by now is before the end, and either behind what was applied or found in the history below.
        let end = self.log.range(Topic::Scores, partition).await.map_err(unavailable)?.end;
        let applied = self.positions.next_offset(Topic::Scores, partition).await?.unwrap_or(0);
        let head = self.history.heads(std::slice::from_ref(&wanted.board)).await?[0];
        let begin = head.map_or(applied, |head| applied.max(head.mark.offset + 1));
        if begin + RECORDS_MAX < end {
            return Err(StoreError::unavailable("too much of the log was not applied yet to be looked through"));
        }
        let pending = self.pending(wanted, partition, begin, end).await?;
        if let Some(row) = self.history.submission(wanted).await? {
            return Ok(Looked::Recorded(row));
        }
        Ok(pending.map_or(Looked::Nowhere, Looked::Pending))
    }

    /// The first record of a submission between two offsets.
    async fn pending(
        &self,
        wanted: &Wanted,
        partition: i32,
        begin: i64,
        end: i64,
    ) -> Result<Option<Pending>, StoreError> {
        if begin >= end {
            return Ok(None);
        }
        let mut reader = self.log.read(Topic::Scores, partition, Start::At(begin)).await.map_err(unavailable)?;
        loop {
            let entries = timeout(READ_TIMEOUT, reader.next(READ_AT_ONCE)).await.map_err(StoreError::unavailable)?;
            let entries = entries.map_err(unavailable)?;
            if let Some(pending) = entries.iter().find_map(|entry| is_it(wanted, entry)) {
                return Ok(Some(pending));
            }
            if entries.last().is_none_or(|last| last.position.offset + 1 >= end) {
                return Ok(None);
            }
        }
    }
}

fn is_it(wanted: &Wanted, entry: &Entry) -> Option<Pending> {
    let ScoreRecord { board, player, submission, value, session, attributes, .. } =
        ScoreRecord::parse(entry.record.as_ref().ok()?)?;
    if (&board, player, submission) != (&wanted.board, wanted.player, wanted.submission) {
        return None;
    }
    // What was recorded was valid.
    let attributes = Attributes::parse("attributes", attributes).unwrap_or_default();
    let score = NewScore { board, player: Some(player), submission, value, session, attributes };
    Some(Pending { score, offset: entry.position.offset, time: entry.time })
}

fn unavailable(error: ReadError) -> StoreError {
    StoreError::unavailable(error)
}

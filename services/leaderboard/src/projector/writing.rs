//! Counting records, and writing what follows to the history.

use std::collections::HashMap;

use uuid::Uuid;

use super::preparing::{Batch, Incoming};
use super::{ProjectorParts, WorkError};
use crate::board::Standings;
use crate::catalog::Rules;
use crate::reckoning::{Outcome, Reckoning, Record, reckon};
use crate::store::{Appended, BoardStep, Head, HistoryStep, Known, Mark, ScoreRow};

/// How often what was found to be changed by others is worked out again.
const ATTEMPTS: usize = 16;

/// A batch that was counted and is to be written.
pub(super) struct Counted {
    batch: Batch,
    step: BoardStep,
    outcomes: Vec<Outcome>,
}

/// A batch that is in the history.
pub(super) struct WrittenBatch {
    /// Its records, those that were applied before among `behind`.
    pub(super) batch: Batch,
    /// What follows for the board, and what has become of each record; `None` if all were applied before.
    pub(super) step: Option<(BoardStep, Vec<Outcome>)>,
    /// Set if others have changed the board: what was known of it is to be replaced by this.
    pub(super) found: Option<Found>,
}

/// What was found of a board that others have changed.
pub(super) struct Found {
    /// How far its history is now.
    pub(super) head: Option<Head>,
    /// Where players stand after the records.
    pub(super) standings: HashMap<Uuid, Standings>,
    /// The rows that were written.
    pub(super) rows: Vec<ScoreRow>,
}

/// What follows from a batch behind a head: for the memory, for the history, and the rest.
pub(super) struct Count {
    pub(super) head: Head,
    pub(super) standings: HashMap<Uuid, Standings>,
    pub(super) history: HistoryStep,
    pub(super) counted: Counted,
}

/// Counts a batch of one record at least, of which everything is known.
pub(super) fn count(mut batch: Batch, head: Option<Head>) -> Count {
    let (rules, bounds) = match &batch.rules {
        Some(Rules::Defined(board)) => (Some(&board.rules), board.definition.min_value..=board.definition.max_value),
        Some(Rules::Removed) | None => (None, i64::MIN..=i64::MAX),
    };
    let known = |incoming: &mut Incoming| -> (Record, Known) {
        let within_bounds = bounds.contains(&incoming.record.value);
        (Record { within_bounds, ..incoming.record.clone() }, incoming.known.take().unwrap_or_default())
    };
    let records = batch.records.iter_mut().map(known).collect();
    let Reckoning { history, board: step, outcomes, standings } = reckon(&batch.board, rules, head, records);
    let mark = Mark { offset: history.to, erasures: head.map_or(0, |head| head.mark.erasures) };
    let head = Head { mark, time: history.time };
    Count { head, standings, history, counted: Counted { batch, step, outcomes } }
}

impl ProjectorParts {
    /// Writes what was counted; what others have changed meanwhile is worked out again.
    pub(super) async fn write(
        &self,
        steps: Vec<HistoryStep>,
        counted: Vec<Counted>,
    ) -> Result<Vec<WrittenBatch>, WorkError> {
        let outcomes = self.history.append(&steps).await?;
        let (mut written, mut stale) = (Vec::with_capacity(counted.len()), Vec::new());
        for (Counted { batch, step, outcomes }, appended) in counted.into_iter().zip(outcomes) {
            match appended {
                Appended::Done => written.push(WrittenBatch { batch, step: Some((step, outcomes)), found: None }),
                Appended::Stale => stale.push(batch),
            }
        }
        for _ in 0..ATTEMPTS {
            if stale.is_empty() {
                return Ok(written);
            }
            stale = self.write_anew(stale, &mut written).await?;
        }
        Err(WorkError::Contended)
    }

    /// Works out batches from the beginning and writes them. Answers with those for which that was in vain.
    async fn write_anew(
        &self,
        mut batches: Vec<Batch>,
        written: &mut Vec<WrittenBatch>,
    ) -> Result<Vec<Batch>, WorkError> {
        let boards: Vec<_> = batches.iter().map(|batch| batch.board.clone()).collect();
        let heads = self.history.heads(&boards).await?;
        for (batch, head) in batches.iter_mut().zip(&heads) {
            batch.forget(*head);
        }
        self.look_up(&mut batches).await?;
        let (mut steps, mut counted) = (Vec::new(), Vec::new());
        for (batch, head) in batches.into_iter().zip(heads) {
            if batch.records.is_empty() {
                let found = Found { head, standings: HashMap::new(), rows: Vec::new() };
                written.push(WrittenBatch { batch, step: None, found: Some(found) });
                continue;
            }
            let Count { head, standings, history, counted: count } = count(batch, head);
            steps.push(history);
            counted.push((head, standings, count));
        }
        let outcomes = self.history.append(&steps).await?;
        let mut stale = Vec::new();
        for (((head, standings, Counted { batch, step, outcomes }), history), appended) in
            counted.into_iter().zip(steps).zip(outcomes)
        {
            if appended == Appended::Stale {
                stale.push(batch);
                continue;
            }
            let found = Found { head: Some(head), standings, rows: history.rows };
            written.push(WrittenBatch { batch, step: Some((step, outcomes)), found: Some(found) });
        }
        Ok(stale)
    }
}

//! What was written comes to the boards, and who waits for it is answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use pkg_log::Topic;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::sizes::Sizes;
use super::writing::WrittenBatch;
use super::{ProjectorParts, WorkError};
use crate::board::{BoardId, PeriodId};
use crate::outcomes::Settled;
use crate::reckoning::Outcome;
use crate::store::{Applied, BoardStep, PeriodOutcome, ScoreRow};

/// How often it is noted how far the log was worked on: what is read again after an end changes nothing.
const NOTE_INTERVAL: Duration = Duration::from_millis(200);
/// How many boards are mended at the same time; others have to wait.
const MENDED_AT_ONCE: usize = 64;

/// What was written in one step.
pub(super) struct Written {
    pub(super) batches: Vec<WrittenBatch>,
    /// The offset after the last record that it covers.
    pub(super) next_offset: i64,
}

/// Moves the boards of one partition.
pub(super) struct Applier<'a> {
    parts: Arc<ProjectorParts>,
    partition: i32,
    /// The offset up to which all was applied.
    applied: &'a AtomicI64,
    /// The offset to note, once it is due.
    unnoted: Option<(i64, Instant)>,
    /// Boards that are not where they should be: they are left alone until their histories were followed.
    mending: FuturesUnordered<BoxFuture<'static, BoardId>>,
    mended: HashMap<BoardId, Mending>,
    to_mend: Vec<BoardId>,
    sizes: Sizes,
}

/// What has happened to a board that is being mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mending {
    /// Nothing.
    Quiet,
    /// Its history has moved on.
    Behind,
}

/// What came of moving a board.
enum Moved {
    /// It is where it should be; with how many players, if that is known.
    Done(BoardId, Option<u64>),
    /// It is not where it should be.
    Astray(BoardId),
}

impl<'a> Applier<'a> {
    pub(super) fn new(parts: Arc<ProjectorParts>, partition: i32, applied: &'a AtomicI64) -> Self {
        let (mending, mended, to_mend) = (FuturesUnordered::new(), HashMap::new(), Vec::new());
        Self { parts, partition, applied, unnoted: None, mending, mended, to_mend, sizes: Sizes::default() }
    }

    /// Runs until nothing is written any more.
    pub(super) async fn run(mut self, mut written: mpsc::Receiver<Written>) -> Result<(), WorkError> {
        loop {
            let due = self.unnoted.map(|(_, due)| due);
            let note = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = note => self.note().await?,
                Some(board) = self.mending.next() => self.mended(board),
                written = written.recv() => match written {
                    Some(written) => self.apply(written).await,
                    None => return self.note().await,
                },
            }
        }
    }

    async fn apply(&mut self, Written { batches, next_offset }: Written) {
        let mut moving = Vec::with_capacity(batches.len());
        let mut astray = HashSet::new();
        for WrittenBatch { batch, step, .. } in batches {
            if !batch.behind.is_empty() {
                // Whether their board is so far is not known. Who waits for them finds out.
                self.parts.counters.repeated(batch.behind.len());
                drop(self.parts.outcomes.take(batch.behind.into_iter()));
                astray.insert(batch.board.clone());
            }
            let Some((step, outcomes)) = step else { continue };
            let ids: Vec<Uuid> = batch.records.iter().map(|incoming| incoming.id).collect();
            if let Some(mending) = self.mended.get_mut(&batch.board) {
                *mending = Mending::Behind;
                self.parts.count(&outcomes);
                drop(self.parts.outcomes.take(ids.into_iter()));
                continue;
            }
            moving.push((step, ids, outcomes));
        }
        let moving = moving.into_iter().map(|(step, ids, outcomes)| self.parts.move_board(step, ids, outcomes));
        for moved in join_all(moving).await {
            match moved {
                Moved::Done(board, Some(players)) => self.sizes.tell(&board, players),
                Moved::Done(_, None) => {}
                Moved::Astray(board) => {
                    astray.insert(board);
                }
            }
        }
        for board in astray {
            self.mend(board);
        }
        self.applied.store(next_offset, Ordering::Relaxed);
        let due = self.unnoted.map_or_else(|| Instant::now() + NOTE_INTERVAL, |(_, due)| due);
        self.unnoted = Some((next_offset, due));
    }

    fn mend(&mut self, board: BoardId) {
        if let Some(mending) = self.mended.get_mut(&board) {
            *mending = Mending::Behind;
            return;
        }
        self.mended.insert(board.clone(), Mending::Quiet);
        self.to_mend.push(board);
        self.begin_mending();
    }

    fn begin_mending(&mut self) {
        while self.mending.len() < MENDED_AT_ONCE
            && let Some(board) = self.to_mend.pop()
        {
            let parts = self.parts.clone();
            let mending = async move {
                parts.mender.mend_in_the_end(&board).await;
                board
            };
            self.mending.push(mending.boxed());
        }
    }

    /// A board is where its history was.
    fn mended(&mut self, board: BoardId) {
        if self.mended.remove(&board) == Some(Mending::Behind) {
            self.mend(board);
        }
        self.begin_mending();
    }

    async fn note(&mut self) -> Result<(), WorkError> {
        if let Some((next_offset, _)) = self.unnoted.take() {
            self.parts.positions.advance(Topic::Scores, self.partition, next_offset).await?;
        }
        Ok(())
    }
}

impl ProjectorParts {
    /// Moves a board on and answers who waits.
    async fn move_board(&self, step: BoardStep, ids: Vec<Uuid>, outcomes: Vec<Outcome>) -> Moved {
        self.count(&outcomes);
        match self.boards.apply(&step).await {
            Ok(Applied::Done(periods)) => {
                self.answer(ids, outcomes, &step, &periods);
                self.watermarks.applied(&step.board, step.to);
                if !step.periods.is_empty() {
                    self.news.changed(&step.board);
                }
                Moved::Done(step.board, periods.first().map(|period| period.total))
            }
            Ok(Applied::Elsewhere(mark)) if mark.offset >= step.to => {
                // It was applied before: who waits reads what there is.
                drop(self.outcomes.take(ids.into_iter()));
                self.watermarks.applied(&step.board, mark.offset);
                self.news.changed(&step.board);
                Moved::Done(step.board, None)
            }
            Ok(Applied::Elsewhere(_) | Applied::Missing) => {
                drop(self.outcomes.take(ids.into_iter()));
                Moved::Astray(step.board)
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, board = %step.board, "a leaderboard could not be moved");
                drop(self.outcomes.take(ids.into_iter()));
                Moved::Astray(step.board)
            }
        }
    }

    fn count(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Kept(row) => self.counters.applied(row.refusal),
                Outcome::Repeated(_) => self.counters.repeated(1),
                Outcome::Differs => self.counters.differs(),
            }
        }
    }

    /// Tells those who wait for records what has become of them.
    fn answer(&self, ids: Vec<Uuid>, outcomes: Vec<Outcome>, step: &BoardStep, periods: &[PeriodOutcome]) {
        let mut waiting = self.outcomes.take(ids.iter().copied());
        if waiting.is_empty() {
            return;
        }
        let ranks = ranks(step, periods);
        for (id, outcome) in ids.into_iter().zip(outcomes) {
            let Some(waiting) = waiting.remove(&id) else { continue };
            let settled = match outcome {
                Outcome::Kept(row) => {
                    let ranks = ranks_of(&row, &ranks);
                    Settled::Kept(row, ranks)
                }
                Outcome::Repeated(row) => Settled::Repeated(row),
                Outcome::Differs => Settled::Differs,
            };
            // Whoever went away needs no answer.
            let _ = waiting.send(settled);
        }
    }
}

/// The ranks after a step.
fn ranks(step: &BoardStep, periods: &[PeriodOutcome]) -> HashMap<(PeriodId, Uuid), u64> {
    let mut ranks = HashMap::with_capacity(periods.iter().map(|period| period.ranks.len()).sum());
    for (changes, outcome) in step.periods.iter().zip(periods) {
        for (change, rank) in changes.changes.iter().zip(&outcome.ranks) {
            if let Some(rank) = rank {
                ranks.insert((changes.period, change.player), *rank);
            }
        }
    }
    ranks
}

fn ranks_of(row: &ScoreRow, ranks: &HashMap<(PeriodId, Uuid), u64>) -> Vec<Option<u64>> {
    if row.refusal.is_some() {
        return Vec::new();
    }
    row.standings.0.iter().map(|standing| ranks.get(&(standing.period, row.player)).copied()).collect()
}

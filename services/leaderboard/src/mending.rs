//! Boards that are not where their histories are, or that lack a period of now: brought there, and rebuilt.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use pkg_ambient::Ambient;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::board::{BoardId, PeriodId, PeriodSpan};
use crate::catalog::{BoardError, Catalog, DefinedBoard, Rules};
use crate::news::BoardNews;
use crate::rebuild::{CaughtUp, Rebuilt, Stores, catch_up, rebuild};
use crate::score_counters::ScoreCounters;
use crate::store::{BoardStore, Head, HistoryStore, Place, StoreError};
use crate::watermarks::Watermarks;

/// How many periods are rebuilt at the same time.
const REBUILT_AT_ONCE: usize = 2;
/// How many wait to be rebuilt; further ones are found again.
const REBUILDS_WAITING: usize = 4_096;
/// How often a rebuild is begun that is cut off each time.
const REBUILD_ATTEMPTS: usize = 5;
/// The shortest and the longest pause before a board is mended again, when that has failed.
const MEND_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Mends boards. Cloning shares it.
#[derive(Clone)]
pub struct Mender {
    parts: Arc<MenderParts>,
    rebuilds: mpsc::Sender<(Arc<DefinedBoard>, PeriodSpan)>,
    waiting: Arc<Mutex<HashSet<(BoardId, PeriodId)>>>,
}

/// What boards are mended with.
pub struct MenderParts {
    /// The rules of boards.
    pub catalog: Catalog,
    /// The truth.
    pub history: Arc<dyn HistoryStore>,
    /// What is made of it.
    pub boards: Arc<dyn BoardStore>,
    /// Those who wait for boards.
    pub watermarks: Watermarks,
    /// Those who follow boards.
    pub news: BoardNews,
    /// Time and ids.
    pub ambient: Ambient,
    /// What is counted.
    pub counters: ScoreCounters,
}

/// Rebuilds the periods that were found to be missing.
pub struct Rebuilder {
    parts: Arc<MenderParts>,
    rebuilds: mpsc::Receiver<(Arc<DefinedBoard>, PeriodSpan)>,
    waiting: Arc<Mutex<HashSet<(BoardId, PeriodId)>>>,
}

/// Why a board is not mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// What it is made of, or where it is, does not serve.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known what it is.
    #[error(transparent)]
    Board(BoardError),
}

impl Mender {
    /// What mends, and what rebuilds the periods that were missing.
    #[must_use]
    pub fn new(parts: MenderParts) -> (Self, Rebuilder) {
        let parts = Arc::new(parts);
        let (sender, receiver) = mpsc::channel(REBUILDS_WAITING);
        let waiting = Arc::<Mutex<_>>::default();
        let mender = Self { parts: parts.clone(), rebuilds: sender, waiting: waiting.clone() };
        (mender, Rebuilder { parts, rebuilds: receiver, waiting })
    }

    /// Brings a board to where its history is, and has its missing periods of now rebuilt, which goes on when this has
    /// ended. `None` for one that has no records, or that its game does not have any more.
    pub async fn mend(&self, board: &BoardId) -> Result<Option<Head>, MendError> {
        let defined = match self.parts.catalog.since(board, 0).await {
            Ok(Rules::Defined(defined)) => defined,
            Ok(Rules::Removed) | Err(BoardError::GameNotFound | BoardError::BoardNotFound) => return Ok(None),
            Err(error @ (BoardError::Unavailable(_) | BoardError::Broken(_))) => return Err(MendError::Board(error)),
        };
        let Some(CaughtUp { head, missing }) = catch_up(self.parts.stores(), board, &defined.rules).await? else {
            return Ok(None);
        };
        for span in missing {
            self.rebuild_soon(&defined, span);
        }
        self.parts.counters.boards_mended.increment(1);
        self.parts.watermarks.applied(board, head.mark.offset);
        self.parts.news.changed(board);
        Ok(Some(head))
    }

    /// As [`Self::mend`], however long that takes.
    pub async fn mend_in_the_end(&self, board: &BoardId) {
        let (mut pause, longest) = MEND_AGAIN;
        let mut is_told = false;
        while let Err(error) = self.mend(board).await {
            if !is_told {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, %board, "a leaderboard is behind its history");
                is_told = true;
            }
            sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    /// Has a period rebuilt, unless that is under way.
    pub fn rebuild_soon(&self, board: &Arc<DefinedBoard>, span: PeriodSpan) {
        let key = (board.id.clone(), span.id);
        if !lock(&self.waiting).insert(key.clone()) {
            return;
        }
        if self.rebuilds.try_send((board.clone(), span)).is_err() {
            lock(&self.waiting).remove(&key);
        }
    }
}

impl Rebuilder {
    /// Rebuilds until it is told to end.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let work = async {
            let mut running = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Some(()) = running.next() => {}
                    next = self.rebuilds.recv(), if running.len() < REBUILT_AT_ONCE => {
                        let Some((board, span)) = next else { return };
                        running.push(rebuild_one(&self.parts, &self.waiting, board, span));
                    }
                }
            }
        };
        let _ = shutdown.run_until_cancelled(work).await;
    }
}

async fn rebuild_one(
    parts: &MenderParts,
    waiting: &Mutex<HashSet<(BoardId, PeriodId)>>,
    board: Arc<DefinedBoard>,
    span: PeriodSpan,
) {
    if let Err(error) = parts.rebuild(&board, &span).await {
        // It is found again by who looks after boards.
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, board = %board.id, period = %span.id, "a period of a leaderboard was not rebuilt");
    }
    lock(waiting).remove(&(board.id.clone(), span.id));
}

impl MenderParts {
    fn stores(&self) -> Stores<'_> {
        Stores { history: &*self.history, boards: &*self.boards, ambient: &self.ambient }
    }

    async fn rebuild(&self, board: &DefinedBoard, span: &PeriodSpan) -> Result<(), StoreError> {
        let place = Place::new(&board.id, &board.rules, span.id);
        for _ in 0..REBUILD_ATTEMPTS {
            match rebuild(self.stores(), &place, span).await? {
                Rebuilt::Done => {
                    self.counters.periods_rebuilt.increment(1);
                    self.news.changed(&board.id);
                    return Ok(());
                }
                // Somebody else does it.
                Rebuilt::Busy => return Ok(()),
                Rebuilt::Missing => drop(catch_up(self.stores(), &board.id, &board.rules).await?),
                Rebuilt::Lost => {}
            }
        }
        Err(StoreError::unavailable("the period was lost again and again while it was rebuilt"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Rebuilding boards because somebody wants it: all of them, or some.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_definition::{Key, Period};
use tokio::time::sleep;
use uuid::Uuid;

use crate::board::{BoardId, BoardRules, KEPT_AFTER_END, PeriodSpan};
use crate::catalog::{BoardError, Catalog};
use crate::rebuild::{Rebuilt, Stores, catch_up, rebuild};
use crate::store::{BoardStore, HistoryStore, Place, StoreError};

/// How many boards are read at once…
const BOARDS_AT_ONCE: usize = 100;
/// …and how many periods of one.
const PERIODS_AT_ONCE: usize = 1_000;
/// How often one period is begun anew, because something was lost meanwhile or somebody else rebuilds it…
const ATTEMPTS: usize = 120;
/// …with this pause between.
const PAUSE: Duration = Duration::from_millis(500);

/// Rebuilds boards from the history, while scores go on.
pub struct BoardsRebuild {
    /// The truth.
    pub history: Arc<dyn HistoryStore>,
    /// What is made of it.
    pub boards: Arc<dyn BoardStore>,
    /// What the boards are.
    pub catalog: Catalog,
    /// Time and ids.
    pub ambient: Ambient,
}

/// Which boards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhichBoards {
    /// Of all games, or of one.
    pub game: Option<Uuid>,
    /// All of them, or those with a key.
    pub board: Option<Key>,
    /// All kinds of periods, or one.
    pub period: Option<Period>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildStep {
    /// A period is as the history says.
    Rebuilt(BoardId, PeriodSpan),
    /// Left out: the game does not have the board any more. It is brought up to date when it comes back.
    Removed(BoardId),
}

/// Why it ended early. What was rebuilt before is in place.
#[derive(Debug, thiserror::Error)]
pub enum BoardsRebuildError {
    /// The same may succeed when the game service answers again.
    #[error("it is not known what {board} is")]
    Board {
        /// Which one.
        board: BoardId,
        /// Why.
        #[source]
        error: BoardError,
    },
    /// The same may succeed later.
    #[error("{0} is rebuilt by somebody else, or changes too often")]
    Contended(BoardId),
    /// What it is made of, or where it is, failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BoardsRebuild {
    /// Rebuilds every period of these boards that is on its board without being asked for: those that have not ended, or not
    /// long ago (`KEPT_AFTER_END`). Each takes the place of what is there in one step, and is told of then.
    pub async fn run(
        &self,
        which: &WhichBoards,
        mut tell: impl FnMut(RebuildStep) + Send,
    ) -> Result<(), BoardsRebuildError> {
        let mut after = None;
        loop {
            let page = self.history.boards(after.as_ref(), BOARDS_AT_ONCE).await?;
            for (board, _) in page.iter().filter(|(board, _)| which.has(board)) {
                self.board(board, which.period, &mut tell).await?;
            }
            let Some((last, _)) = page.into_iter().next_back() else { return Ok(()) };
            after = Some(last);
        }
    }

    async fn board(
        &self,
        board: &BoardId,
        wanted: Option<Period>,
        tell: &mut (impl FnMut(RebuildStep) + Send),
    ) -> Result<(), BoardsRebuildError> {
        let defined = match self.catalog.find(board).await {
            Ok(defined) => defined,
            Err(BoardError::GameNotFound | BoardError::BoardNotFound) => {
                tell(RebuildStep::Removed(board.clone()));
                return Ok(());
            }
            Err(error @ (BoardError::Unavailable(_) | BoardError::Broken(_))) => {
                return Err(BoardsRebuildError::Board { board: board.clone(), error });
            }
        };
        let rules = &defined.rules;
        catch_up(self.stores(), board, rules).await?;
        for kind in rules.periods.iter().filter(|kind| wanted.is_none_or(|wanted| wanted == **kind)) {
            for span in self.live_periods(board, *kind).await? {
                self.period(board, rules, &span).await?;
                tell(RebuildStep::Rebuilt(board.clone(), span));
            }
        }
        Ok(())
    }

    async fn live_periods(&self, board: &BoardId, kind: Period) -> Result<Vec<PeriodSpan>, StoreError> {
        let since = self.ambient.now() - KEPT_AFTER_END;
        let is_live = |span: &PeriodSpan| span.end().is_none_or(|end| end > since);
        let mut live = Vec::new();
        let mut before = None;
        loop {
            let page = self.history.periods(board, kind, before, PERIODS_AT_ONCE).await?;
            live.extend(page.iter().copied().filter(is_live));
            let last = page.last().filter(|last| page.len() == PERIODS_AT_ONCE && is_live(last));
            let Some(last) = last else { return Ok(live) };
            before = Some(last.id.start_ms);
        }
    }

    async fn period(&self, board: &BoardId, rules: &BoardRules, span: &PeriodSpan) -> Result<(), BoardsRebuildError> {
        let place = Place::new(board, rules, span.id);
        for _ in 0..ATTEMPTS {
            match rebuild(self.stores(), &place, span).await? {
                Rebuilt::Done => return Ok(()),
                Rebuilt::Missing => {
                    catch_up(self.stores(), board, rules).await?;
                }
                Rebuilt::Busy | Rebuilt::Lost => sleep(PAUSE).await,
            }
        }
        Err(BoardsRebuildError::Contended(board.clone()))
    }

    fn stores(&self) -> Stores<'_> {
        Stores { history: &*self.history, boards: &*self.boards, ambient: &self.ambient }
    }
}

impl WhichBoards {
    fn has(&self, board: &BoardId) -> bool {
        self.game.is_none_or(|game| game == board.game) && self.board.as_ref().is_none_or(|key| *key == board.key)
    }
}

#[cfg(test)]
mod tests;

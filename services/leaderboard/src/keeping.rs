//! Looks after the boards of the partitions that this process works on: those that Redis has lost, or has as they were once,
//! are mended without anybody asking for them.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_log::Topic;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::board::BoardId;
use crate::catalog::Catalog;
use crate::mending::Mender;
use crate::outcomes::Outcomes;
use crate::rebuild::{Stores, missing};
use crate::store::{BoardStore, Head, HistoryStore, Mark, StoreError};

/// The pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(2);
/// How many boards are compared at once.
const COMPARED_AT_ONCE: usize = 1_000;
/// Of how many boards a round looks for missing periods; with more, each has its turn.
const SEARCHED_IN_ROUND: usize = 500;

/// Looks after boards.
pub struct Keeper {
    /// The rules of boards.
    pub catalog: Catalog,
    /// The truth.
    pub history: Arc<dyn HistoryStore>,
    /// What is made of it.
    pub boards: Arc<dyn BoardStore>,
    /// Which partitions are worked on here.
    pub outcomes: Outcomes,
    /// What mends.
    pub mender: Mender,
    /// The time.
    pub ambient: Ambient,
}

/// What was seen in the round before.
#[derive(Default)]
struct Seen {
    /// Boards that were behind, and where they were. One that is on its way is somewhere else in the next round.
    behind: HashMap<BoardId, Option<Mark>>,
    /// How many of the boards that are not behind were searched for missing periods.
    searched: usize,
}

impl Keeper {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let work = async {
            self.catalog.caught_up().await;
            let mut seen = Seen::default();
            loop {
                if let Err(error) = self.round(&mut seen).await {
                    let error: &dyn Error = &error;
                    tracing::warn!(error, "leaderboards cannot be compared with their histories");
                }
                sleep(ROUND_PAUSE).await;
            }
        };
        let _ = shutdown.run_until_cancelled(work).await;
    }

    async fn round(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let (mut after, mut behind) = (None, HashMap::new());
        let (mut boards_there, first) = (0, seen.searched);
        loop {
            let page = self.history.boards(after.as_ref(), COMPARED_AT_ONCE).await?;
            after = page.last().filter(|_| page.len() == COMPARED_AT_ONCE).map(|(board, _)| board.clone());
            let (boards, heads): (Vec<BoardId>, Vec<Head>) =
                page.into_iter().filter(|(board, _)| self.is_here(board)).unzip();
            let marks = self.boards.marks(&boards).await?;
            for ((board, head), mark) in boards.into_iter().zip(heads).zip(marks) {
                if mark.is_none_or(|mark| mark.offset < head.mark.offset || mark.erasures < head.mark.erasures) {
                    behind.insert(board, mark);
                    continue;
                }
                if (first..first + SEARCHED_IN_ROUND).contains(&boards_there) {
                    self.search(&board).await?;
                }
                boards_there += 1;
            }
            if after.is_none() {
                break;
            }
        }
        seen.searched = if first + SEARCHED_IN_ROUND < boards_there { first + SEARCHED_IN_ROUND } else { 0 };
        for (board, mark) in &behind {
            if seen.behind.get(board) == Some(mark)
                && let Err(error) = self.mender.mend(board).await
            {
                let error: &dyn Error = &error;
                tracing::warn!(error, %board, "a leaderboard is behind its history");
            }
        }
        seen.behind = behind;
        Ok(())
    }

    /// Has the periods of now rebuilt that are missing.
    async fn search(&self, board: &BoardId) -> Result<(), StoreError> {
        let Some(defined) = self.catalog.known(board) else { return Ok(()) };
        let stores = Stores { history: &*self.history, boards: &*self.boards, ambient: &self.ambient };
        let now = defined.rules.periods_at(self.ambient.now());
        for span in missing(stores, board, &defined.rules, now).await? {
            self.mender.rebuild_soon(&defined, span);
        }
        Ok(())
    }

    fn is_here(&self, board: &BoardId) -> bool {
        self.outcomes.are_here(Topic::Scores.partition_of(&board.to_string()))
    }
}

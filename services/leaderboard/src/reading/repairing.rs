//! Boards that are not where their readers look for them are made of the history again.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_batching::Sharing;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::board::{BoardId, PeriodId, PeriodSpan};
use crate::catalog::DefinedBoard;
use crate::rebuild::{Rebuilt, Stores, catch_up, rebuild};
use crate::store::{BoardStore, HistoryStore, Place, Read, StoreError};

/// How many periods this process repairs at once, for its readers; further ones wait.
const AT_ONCE: usize = 4;
/// How long a repair waits for somebody else's, or begins anew, at most.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two looks at somebody else's.
const PAUSE: Duration = Duration::from_millis(50);

/// Repairs boards. Cloning shares it.
#[derive(Clone)]
pub(super) struct Repairs {
    tools: Arc<Tools>,
    calls: Sharing<(BoardId, PeriodId), Result<Repaired, StoreError>>,
}

struct Tools {
    history: Arc<dyn HistoryStore>,
    boards: Arc<dyn BoardStore>,
    ambient: Ambient,
    places: Semaphore,
}

/// What a repair has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repaired {
    /// The period is there.
    Done,
    /// The board has no records.
    Nothing,
}

impl Repairs {
    pub(super) fn new(history: Arc<dyn HistoryStore>, boards: Arc<dyn BoardStore>, ambient: Ambient) -> Self {
        let tools = Tools { history, boards, ambient, places: Semaphore::new(AT_ONCE) };
        Self { tools: Arc::new(tools), calls: Sharing::default() }
    }

    /// Repairs a period, once for all who need it at the same time.
    pub(super) async fn repair(&self, board: &Arc<DefinedBoard>, span: &PeriodSpan) -> Result<Repaired, StoreError> {
        let (tools, wanted, span) = (self.tools.clone(), board.clone(), *span);
        let work = move || repair(tools.clone(), wanted.clone(), span);
        self.calls.call((board.id.clone(), span.id), work).await?
    }
}

async fn repair(tools: Arc<Tools>, board: Arc<DefinedBoard>, span: PeriodSpan) -> Result<Repaired, StoreError> {
    let Tools { history, boards, ambient, places } = &*tools;
    // It is never closed.
    let _place = places.acquire().await;
    let stores = Stores { history: &**history, boards: &**boards, ambient };
    let place = Place::new(&board.id, &board.rules, span.id);
    let until = Instant::now() + PATIENCE;
    loop {
        if catch_up(stores, &board.id, &board.rules).await?.is_none() {
            return Ok(Repaired::Nothing);
        }
        // Somebody else may have done it.
        if boards.page(&place, None, 0).await? != Read::Missing {
            return Ok(Repaired::Done);
        }
        if rebuild(stores, &place, &span).await? == Rebuilt::Done {
            tracing::info!(board = %board.id, period = %span.id, "a period of a leaderboard was rebuilt for its readers");
            return Ok(Repaired::Done);
        }
        if Instant::now() >= until {
            return Err(StoreError::unavailable("a board takes too long to be rebuilt"));
        }
        sleep(PAUSE).await;
    }
}

//! Watching boards: one place on each replica looks at a board, for all who watch it.

mod feed;
mod hub;

use std::sync::Arc;
use std::time::Duration;

use pkg_definition::Period;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::board::BoardId;
use crate::reading::{Asked, ReadError, Readings, View};
use crate::watermarks::Watermarks;
use feed::Shown;
use hub::{FeedId, Hub, Watching};

/// The pause before a view that could not be read is read again.
const AGAIN: Duration = Duration::from_millis(500);

/// Who lets boards be watched. Cloning shares it.
#[derive(Clone)]
pub struct Watches {
    readings: Readings,
    hub: Arc<Hub>,
}

/// What looks at the boards that are watched.
pub struct Feeds {
    hub: Arc<Hub>,
}

/// What somebody wants to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Which board.
    pub board: BoardId,
    /// Which kind of period; `None` for the first one of the board.
    pub kind: Option<Period>,
    /// Around whom; `None` for the top.
    pub around: Option<Uuid>,
    /// How many entries.
    pub count: usize,
}

/// A board that somebody watches.
pub struct BoardWatch {
    readings: Readings,
    watching: Watching,
    wish: Wish,
    first: Option<View>,
    last: View,
    /// Whether the board has changed since `last` was read.
    due: bool,
}

/// Why a board is not watched, or no longer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("as many watch as can")]
    TooMany,
    #[error("the board is watched no longer: watch it again")]
    Ended,
}

impl Watches {
    /// Nobody watches, and what looks at boards from now on.
    #[must_use]
    pub fn new(readings: Readings, watermarks: Watermarks) -> (Self, Feeds) {
        let hub = Hub::new(readings.clone(), watermarks);
        (Self { readings, hub: hub.clone() }, Feeds { hub })
    }

    /// Watches a board.
    pub async fn watch(&self, wish: Wish) -> Result<BoardWatch, WatchError> {
        let readings = self.readings.clone();
        let kind = readings.kind(&wish.board, wish.kind).await?;
        let wish = Wish { kind: Some(kind), ..wish };
        // What changes from now on is told; what was before is in the first view.
        let watching = self.hub.join(FeedId { board: wish.board.clone(), kind }, wish.count)?;
        let view = view(&readings, &wish, None).await?;
        Ok(BoardWatch { readings, watching, wish, first: Some(view.clone()), last: view, due: false })
    }
}

impl Feeds {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        self.hub.stop().await;
    }
}

impl BoardWatch {
    /// How many entries were asked for: views may have more.
    #[must_use]
    pub fn count(&self) -> usize {
        self.wish.count
    }

    /// What comes next: first the view as it is, then every one that differs; those that follow one another fast come as one.
    /// Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<View, WatchError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            if !self.due {
                self.watching.changed().await?;
                self.due = true;
            }
            let top = match self.watching.shown() {
                Shown::Nothing => None,
                Shown::View { view, most } => (most >= self.wish.count).then_some(view),
                Shown::Ended(error) => return Err(error),
            };
            let view = match view(&self.readings, &self.wish, top).await {
                Ok(view) => view,
                Err(ReadError::Store(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a view is read again");
                    sleep(AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.due = false;
            if is_news(&self.last, &view, self.wish.count) {
                self.last = view.clone();
                return Ok(view);
            }
        }
    }
}

/// What somebody wants to see, with the top if that was read already.
async fn view(readings: &Readings, wish: &Wish, top: Option<View>) -> Result<View, ReadError> {
    let asked = Asked { board: wish.board.clone(), kind: wish.kind, time: None, min_offset: None };
    if let Some(player) = wish.around {
        match readings.around(&asked, player, wish.count).await {
            Err(ReadError::NotRanked) => {}
            seen => return seen,
        }
    }
    match top {
        Some(top) => Ok(top),
        None => readings.entries(&asked, None, wish.count).await.map(|page| page.view),
    }
}

/// Whether the first so many entries, their period or its total are not what they were.
fn is_news(before: &View, now: &View, count: usize) -> bool {
    let offset = |view: &View| view.seen.as_ref().map(|seen| seen.mark.offset);
    let first = |view: &View| view.entries().len().min(count);
    // What was read before the other is not shown after it.
    if before.span != now.span {
        return now.span.end_ms.is_none_or(|end| end > before.span.id.start_ms);
    }
    offset(before) <= offset(now)
        && (before.total() != now.total() || before.entries()[..first(before)] != now.entries()[..first(now)])
}

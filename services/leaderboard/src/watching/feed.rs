//! What looks at one board, as long as somebody watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::WatchError;
use super::hub::{FeedId, Hub};
use crate::catalog::BoardError;
use crate::reading::{Asked, ReadError, View};

/// How often a board is looked at, at most.
const PAUSE: Duration = Duration::from_millis(250);
/// A board that says nothing is looked at after so long: players are taken off, and periods end, without a new score.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A board that is watched.
pub(super) struct Feed {
    pub(super) id: FeedId,
    shown: watch::Sender<Shown>,
    /// The most entries that somebody wants.
    most: AtomicUsize,
    left: CancellationToken,
}

/// How a board is known.
#[derive(Clone)]
pub(super) enum Shown {
    /// Not yet.
    Nothing,
    /// Its top is this, and that many entries were asked for.
    View { view: View, most: usize },
    /// Not any more.
    Ended(WatchError),
}

impl Feed {
    pub(super) fn new(id: FeedId, left: CancellationToken) -> Self {
        Self { id, shown: watch::Sender::new(Shown::Nothing), most: AtomicUsize::new(0), left }
    }

    /// Somebody wants so many entries.
    pub(super) fn wants(&self, count: usize) {
        self.most.fetch_max(count, Ordering::Relaxed);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// Nobody watches any more.
    pub(super) fn leave(&self) {
        self.left.cancel();
    }

    /// Runs until nobody watches, or there is nothing to be watched.
    pub(super) async fn run(self: Arc<Self>, hub: Arc<Hub>) {
        let ending = Ending { feed: self, hub };
        let Ending { feed, hub } = &ending;
        if let Some(error) = feed.left.run_until_cancelled(feed.follow(hub)).await {
            // Whoever watches next finds out by themselves.
            hub.forget(feed);
            feed.shown.send_replace(Shown::Ended(error.into()));
        }
    }

    /// Looks at the board whenever it has changed; ends with what is wrong for good.
    async fn follow(&self, hub: &Hub) -> ReadError {
        let FeedId { board, kind } = &self.id;
        let mut progress = hub.watermarks.follow(board);
        let asked = Asked { board: board.clone(), kind: Some(*kind), time: None, min_offset: None };
        let mut failing = false;
        loop {
            let begun = Instant::now();
            let most = self.most.load(Ordering::Relaxed);
            match hub.readings.entries(&asked, None, most).await {
                Ok(page) => {
                    failing = false;
                    self.show(page.view, most);
                }
                Err(error @ (ReadError::Store(_) | ReadError::Board(BoardError::Unavailable(_)))) => {
                    // Told once: it is tried again.
                    if !std::mem::replace(&mut failing, true) {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, %board, "those who watch a leaderboard learn of changes late");
                    }
                }
                Err(error) => return error,
            }
            sleep_until(begun + PAUSE).await;
            // In time or not, it is looked at.
            let _ = timeout(LOOK_AGAIN, progress.changed()).await;
        }
    }

    fn show(&self, view: View, most: usize) {
        self.shown.send_if_modified(|shown| {
            let same = matches!(shown, Shown::View { view: before, most: had }
                if before.span == view.span && before.seen == view.seen && *had == most);
            if !same {
                *shown = Shown::View { view, most };
            }
            !same
        });
    }
}

/// However looking at a board ends, those who watch are told.
struct Ending {
    feed: Arc<Feed>,
    hub: Arc<Hub>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.hub.forget(&self.feed);
        self.feed.shown.send_if_modified(|shown| {
            let going = !matches!(shown, Shown::Ended(_));
            if going {
                *shown = Shown::Ended(WatchError::Ended);
            }
            going
        });
    }
}

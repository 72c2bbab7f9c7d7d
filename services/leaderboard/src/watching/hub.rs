//! The boards that are watched on this replica, each once, however many watch it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use pkg_definition::Period;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::WatchError;
use super::feed::{Feed, Shown};
use crate::board::BoardId;
use crate::reading::Readings;
use crate::watermarks::Watermarks;

/// How many watch on one replica at most.
const WATCHERS_MAX: usize = 50_000;

/// A kind of period of a board.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FeedId {
    pub(super) board: BoardId,
    pub(super) kind: Period,
}

/// What is watched here.
pub(super) struct Hub {
    pub(super) readings: Readings,
    pub(super) watermarks: Watermarks,
    state: Mutex<State>,
    tasks: TaskTracker,
    stopped: CancellationToken,
    gauge: Gauge,
}

#[derive(Default)]
struct State {
    feeds: HashMap<FeedId, Watched>,
    watchers: usize,
}

struct Watched {
    feed: Arc<Feed>,
    watchers: usize,
}

/// One who watches a board. It is looked at no longer when the last one is dropped.
pub(super) struct Watching {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    shown: watch::Receiver<Shown>,
}

impl Hub {
    pub(super) fn new(readings: Readings, watermarks: Watermarks) -> Arc<Self> {
        metrics::describe_gauge!("muster_board_watchers", "Streams that watch a leaderboard.");
        Arc::new(Self {
            readings,
            watermarks,
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
            gauge: metrics::gauge!("muster_board_watchers"),
        })
    }

    /// Watches so many entries of a board, beside others who do.
    pub(super) fn join(self: &Arc<Self>, id: FeedId, count: usize) -> Result<Watching, WatchError> {
        let mut state = self.lock();
        if state.watchers >= WATCHERS_MAX {
            return Err(WatchError::TooMany);
        }
        state.watchers += 1;
        let watched = state.feeds.entry(id.clone()).or_insert_with(|| {
            let feed = Arc::new(Feed::new(id, self.stopped.child_token()));
            self.tasks.spawn(feed.clone().run(self.clone()));
            Watched { feed, watchers: 0 }
        });
        watched.watchers += 1;
        watched.feed.wants(count);
        self.gauge.increment(1);
        let feed = watched.feed.clone();
        Ok(Watching { hub: self.clone(), shown: feed.subscribe(), feed })
    }

    /// Nobody looks at a board any more; who watches next begins anew.
    pub(super) fn forget(&self, feed: &Arc<Feed>) {
        let mut state = self.lock();
        if state.feeds.get(&feed.id).is_some_and(|watched| Arc::ptr_eq(&watched.feed, feed)) {
            state.feeds.remove(&feed.id);
        }
    }

    /// Ends everything.
    pub(super) async fn stop(&self) {
        self.stopped.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// Waits until the board has changed since the last call.
    pub(super) async fn changed(&mut self) -> Result<(), WatchError> {
        self.shown.changed().await.map_err(|_| WatchError::Ended)
    }

    /// The board as it is known now.
    pub(super) fn shown(&mut self) -> Shown {
        self.shown.borrow_and_update().clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hub.gauge.decrement(1);
        let mut state = self.hub.lock();
        state.watchers -= 1;
        let Some(watched) = state.feeds.get_mut(&self.feed.id) else { return };
        if !Arc::ptr_eq(&watched.feed, &self.feed) {
            return;
        }
        watched.watchers -= 1;
        if watched.watchers == 0 {
            state.feeds.remove(&self.feed.id);
            self.feed.leave();
        }
    }
}

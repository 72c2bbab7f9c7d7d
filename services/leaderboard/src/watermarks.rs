//! How far boards have come: so that who has written reads what was written.
//!
//! The process that works on a board says how far it is, to those who wait here at once and to other replicas over the
//! bus. Should that be lost, a look at the store finds it out.

mod news;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pkg_batching::Batcher;
use pkg_bus::Bus;
use quick_cache::unsync::Cache;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::board::BoardId;
use crate::store::{BoardStore, Mark, StoreError};

/// How often the store is asked for boards that somebody waits for.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How many boards are asked for at a time; with more, each has its turn.
const LOOKED_AT_ONCE: usize = 2_000;
/// Of how many boards it is remembered how far they are, though nobody waits.
const KNOWN_BOARDS: usize = 16_384;
/// Before anything is known.
const NOTHING: i64 = -1;

/// How far boards have come. Cloning shares it.
#[derive(Clone)]
pub struct Watermarks {
    inner: Arc<Inner>,
    looks: Batcher<BoardId, Result<Option<Mark>, StoreError>>,
}

/// What tells and hears of other replicas.
pub struct WatermarkFollower {
    inner: Arc<Inner>,
}

/// How far one board has come, for who follows it.
pub struct Progress {
    inner: Arc<Inner>,
    board: BoardId,
    offset: watch::Receiver<i64>,
}

struct Inner {
    bus: Arc<dyn Bus>,
    boards: Arc<dyn BoardStore>,
    state: Mutex<State>,
    /// What other replicas are to be told.
    untold: Mutex<HashMap<BoardId, i64>>,
    told: Notify,
}

struct State {
    /// Boards that somebody waits for.
    watched: HashMap<BoardId, Watched>,
    known: Cache<BoardId, i64>,
}

struct Watched {
    offset: watch::Sender<i64>,
    followers: usize,
}

impl Watermarks {
    /// Nothing is known yet. Must be made on a runtime.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, boards: Arc<dyn BoardStore>) -> (Self, WatermarkFollower) {
        let state = State { watched: HashMap::new(), known: Cache::new(KNOWN_BOARDS) };
        let looks = Batcher::spawn({
            let boards = boards.clone();
            move |asked: Vec<BoardId>| {
                let boards = boards.clone();
                async move {
                    match boards.marks(&asked).await {
                        Ok(marks) => marks.into_iter().map(Ok).collect(),
                        Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
                    }
                }
            }
        });
        let state = Mutex::new(state);
        let inner = Arc::new(Inner { bus, boards, state, untold: Mutex::default(), told: Notify::new() });
        (Self { inner: inner.clone(), looks }, WatermarkFollower { inner })
    }

    /// A board has applied its records up to this offset: everybody is told.
    pub fn applied(&self, board: &BoardId, offset: i64) {
        self.inner.learn(board, offset);
        let mut untold = self.inner.untold();
        match untold.get_mut(board) {
            Some(known) => *known = offset.max(*known),
            None => drop(untold.insert(board.clone(), offset)),
        }
        drop(untold);
        self.inner.told.notify_one();
    }

    /// Ends when a board has applied this offset, which may have been long ago.
    ///
    /// A store that was set back since is behind it until it is mended: [`crate::store::BoardView::mark`] says so.
    pub async fn reached(&self, board: &BoardId, offset: i64) {
        let mut progress = self.follow(board);
        if progress.now() >= offset {
            return;
        }
        let look = async {
            // If it fails, those at intervals go on.
            if let Ok(Ok(Some(mark))) = self.looks.call(board.clone()).await {
                self.inner.learn(board, mark.offset);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = progress.past(offset) => {}
            () = look => {}
        }
    }

    /// Follows a board.
    #[must_use]
    pub fn follow(&self, board: &BoardId) -> Progress {
        let mut state = self.inner.state();
        let known = state.known.get(board).copied().unwrap_or(NOTHING);
        let watched = state.watched.entry(board.clone());
        let watched = watched.or_insert_with(|| Watched { offset: watch::Sender::new(known), followers: 0 });
        watched.followers += 1;
        let offset = watched.offset.subscribe();
        drop(state);
        Progress { inner: self.inner.clone(), board: board.clone(), offset }
    }
}

impl Progress {
    /// The offset up to which the board has applied its records, as far as it is known here; -1 if it is not.
    #[must_use]
    pub fn now(&self) -> i64 {
        *self.offset.borrow()
    }

    /// Waits until the board has come further than it was at the last call, or at the beginning, and says how far.
    pub async fn changed(&mut self) -> i64 {
        // The sender is there as long as there are followers.
        let _ = self.offset.changed().await;
        *self.offset.borrow_and_update()
    }

    async fn past(&mut self, offset: i64) {
        let _ = self.offset.wait_for(|known| *known >= offset).await;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        let Some(watched) = state.watched.get_mut(&self.board) else { return };
        watched.followers -= 1;
        if watched.followers == 0 {
            state.watched.remove(&self.board);
        }
    }
}

impl WatermarkFollower {
    /// Tells other replicas what was applied here, and hears of them, until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let work = async { tokio::join!(news::tell(&self.inner), news::hear(&self.inner), look(&self.inner)) };
        let _ = shutdown.run_until_cancelled(work).await;
    }
}

impl Inner {
    /// A board has come so far. It never goes back.
    fn learn(&self, board: &BoardId, offset: i64) {
        let mut state = self.state();
        let known = state.known.get(board).copied();
        if known.is_some_and(|known| known >= offset) {
            return;
        }
        state.known.insert(board.clone(), offset);
        if let Some(watched) = state.watched.get(board) {
            watched.offset.send_if_modified(|known| {
                let later = offset > *known;
                *known = offset.max(*known);
                later
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<BoardId, i64>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for ever how far the boards are that somebody waits for.
async fn look(inner: &Inner) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        ticks.tick().await;
        let mut boards: Vec<BoardId> = inner.state().watched.keys().cloned().collect();
        if boards.is_empty() {
            continue;
        }
        if boards.len() > LOOKED_AT_ONCE {
            boards.sort_unstable();
            let first = turn % boards.len();
            boards.rotate_left(first);
            boards.truncate(LOOKED_AT_ONCE);
            turn = first + LOOKED_AT_ONCE;
        }
        match inner.boards.marks(&boards).await {
            Ok(marks) => {
                for (board, mark) in boards.iter().zip(marks) {
                    if let Some(mark) = mark {
                        inner.learn(board, mark.offset);
                    }
                }
            }
            // Who works on boards tells of it.
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "boards cannot be looked at"),
        }
    }
}

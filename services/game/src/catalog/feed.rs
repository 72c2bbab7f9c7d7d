//! Following the definitions of games: what changes anywhere is known here within a poll.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::CatalogError;
use crate::store::{DefinitionState, GameStore, StoreError};

/// How often the store is asked whether anything has changed, once for all who follow.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A question that takes longer has failed.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// How many definitions a follower holds at once.
const PAGE: usize = 16;

/// Where definitions can be followed from.
#[derive(Clone)]
pub struct DefinitionFeed {
    store: Arc<dyn GameStore>,
    changed: watch::Receiver<i64>,
}

/// Asks the store whether anything has changed.
pub struct DefinitionClock {
    store: Arc<dyn GameStore>,
    changed: watch::Sender<i64>,
}

/// One who follows definitions.
pub struct Follower {
    feed: DefinitionFeed,
    /// Whose; `None`: those of all games.
    games: Option<Vec<Uuid>>,
    /// The last change that was read.
    read: i64,
    page: VecDeque<DefinitionState>,
    caught_up: bool,
}

/// What a follower is told.
#[derive(Debug)]
pub enum Followed {
    /// The newest definition of a game.
    Definition(Box<DefinitionState>),
    /// Every game was told once; what follows are changes. Comes once.
    CaughtUp,
}

impl DefinitionFeed {
    /// A feed, and what keeps it going.
    pub fn new(store: Arc<dyn GameStore>) -> (Self, DefinitionClock) {
        let (sender, changed) = watch::channel(0);
        (Self { store: store.clone(), changed }, DefinitionClock { store, changed: sender })
    }

    /// Follows the definitions of these games, or of all.
    pub async fn follow(&self, games: Option<Vec<Uuid>>) -> Result<Follower, CatalogError> {
        if let Some(ids) = &games {
            let found = self.store.games(ids).await?;
            if !ids.iter().all(|id| found.iter().any(|game| game.id == *id)) {
                return Err(CatalogError::GameNotFound);
            }
        }
        Ok(Follower { feed: self.clone(), games, read: 0, page: VecDeque::new(), caught_up: false })
    }
}

impl Follower {
    /// What comes next; waits until there is something. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Result<Followed, StoreError> {
        loop {
            if let Some(state) = self.page.pop_front() {
                return Ok(Followed::Definition(Box::new(state)));
            }
            // Marked as seen before it is read: what comes in between is read again.
            self.feed.changed.borrow_and_update();
            self.page = self.feed.store.changed_since(self.read, self.games.as_deref(), PAGE).await?.into();
            match self.page.back() {
                Some(last) => self.read = last.changed,
                None if self.caught_up => {
                    if self.feed.changed.changed().await.is_err() {
                        // The process ends, and the stream is ended by the drain.
                        std::future::pending::<()>().await;
                    }
                }
                None => {
                    self.caught_up = true;
                    return Ok(Followed::CaughtUp);
                }
            }
        }
    }
}

impl DefinitionClock {
    /// Runs until it is told to end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let asked = tokio::time::timeout(POLL_TIMEOUT, self.store.clock()).await;
            let failed = match asked {
                Ok(Ok(now)) => {
                    self.changed.send_if_modified(|known| std::mem::replace(known, now) != now);
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {POLL_TIMEOUT:?}")),
            };
            // Told once, not four times a second.
            match (&failed, failing) {
                (Some(error), false) => tracing::warn!(error, "changes of definitions cannot be read"),
                (None, true) => tracing::info!("changes of definitions can be read again"),
                _ => {}
            }
            failing = failed.is_some();
        }
    }
}

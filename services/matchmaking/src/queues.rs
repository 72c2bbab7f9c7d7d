//! The queues of all games with the rules that they have now.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use pkg_catalog::{Catalog, CatalogError, CatalogFollower, Defined, Learned};
use pkg_definition::{Key, Queue};
use pkg_middleware::AnyChannel;
use tokio::sync::watch;
use uuid::Uuid;

/// A queue, with the rules that it has now.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRules {
    /// The game.
    pub game: Uuid,
    /// The queue's name in it.
    pub key: Key,
    /// The revision of the definition that has the rules.
    pub revision: i64,
    /// The rules; of a queue that is gone the last ones.
    pub rules: Arc<Queue>,
    /// Whether it takes tickets.
    pub state: QueueState,
}

/// Whether a queue takes tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// It does.
    Open,
    /// The game is archived.
    Archived,
    /// The newest definition has no such queue.
    Removed,
}

/// Why there are no rules.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    #[error("there is no such game")]
    GameNotFound,
    #[error("the game has no such queue")]
    QueueNotFound,
    /// The game service does not answer: the same may succeed later.
    #[error("the game service is not available")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// It says what it must not: a defect.
    #[error("the game service answered something unexpected")]
    Broken(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// The queues of all games. Cloning shares them.
#[derive(Clone)]
pub struct Queues {
    games: Catalog<GameQueues>,
}

/// The queues of a game.
#[derive(PartialEq)]
pub struct GameQueues {
    archived: bool,
    queues: HashMap<Key, Arc<QueueRules>>,
}

impl QueueRules {
    /// Whether it takes tickets.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == QueueState::Open
    }
}

impl Queues {
    /// No queues yet, and what learns of them over a channel to the game service.
    pub fn new(channel: AnyChannel) -> (Self, CatalogFollower<GameQueues>) {
        let (games, follower) = Catalog::new(channel);
        (Self { games }, follower)
    }

    /// What tells whether every queue was told of once.
    #[must_use]
    pub fn readiness(&self) -> Catalog<GameQueues> {
        self.games.clone()
    }

    /// A queue as it is known here, without asking anybody.
    #[must_use]
    pub fn known(&self, game: Uuid, key: &Key) -> Option<Arc<QueueRules>> {
        self.games.known(game)?.queues.get(key).cloned()
    }

    /// Every queue that is or was there since this process began, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<QueueRules>> {
        self.games.all().iter().flat_map(|game| game.queues.values().cloned().collect::<Vec<_>>()).collect()
    }

    /// A counter that rises whenever a queue came, changed or went.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.games.changes()
    }

    /// Ends when every queue was told of once.
    pub async fn caught_up(&self) {
        self.games.caught_up().await;
    }

    /// A queue that is there, if its game is archived too. One that is not known here is asked for: it may just have been
    /// made.
    pub async fn find(&self, game: Uuid, key: &Key) -> Result<Arc<QueueRules>, QueueError> {
        let there = || self.known(game, key).filter(|queue| queue.state != QueueState::Removed);
        if let Some(queue) = there() {
            return Ok(queue);
        }
        self.games.ask(game).await?;
        there().ok_or(QueueError::QueueNotFound)
    }

    /// Checks that there is such a game.
    pub async fn check_game(&self, game: Uuid) -> Result<(), QueueError> {
        self.games.find(game).await?;
        Ok(())
    }
}

/// The queues of a game by its newest definition, and those that it has no more.
impl Learned for GameQueues {
    fn learn(game: Defined, before: Option<&Self>) -> Self {
        let Defined { id: game, revision, archived, definition } = game;
        let gone = before.into_iter().flat_map(|before| &before.queues).map(|(key, queue)| {
            let removed = QueueRules { state: QueueState::Removed, ..QueueRules::clone(queue) };
            (key.clone(), Arc::new(removed))
        });
        let mut queues: HashMap<_, _> = gone.collect();
        let state = if archived { QueueState::Archived } else { QueueState::Open };
        queues.extend(definition.queues.into_iter().map(|queue| {
            let key = queue.key.clone();
            let rules = QueueRules { game, key: key.clone(), revision, rules: Arc::new(queue), state };
            (key, Arc::new(rules))
        }));
        Self { archived, queues }
    }
}

impl From<CatalogError> for QueueError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound => Self::GameNotFound,
            CatalogError::Unavailable(error) => Self::Unavailable(error),
            CatalogError::Broken(error) => Self::Broken(error),
        }
    }
}

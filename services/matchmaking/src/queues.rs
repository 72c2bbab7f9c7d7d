//! The queues of all games with the rules that they have now.

mod following;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_definition::{Definition, Key, Queue};
use pkg_middleware::{CallRefused, Dependency};
use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::grpc::GameChannel;

pub use self::following::DefinitionFollower;

/// How long the game service may take to say what a game is.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer that there is no such game or queue is good: in that time one that is made is followed.
const MISSING_FOR: Duration = Duration::from_secs(1);
/// How many of those are remembered.
const MISSING_MAX: usize = 10_000;

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
    inner: Arc<Inner>,
}

struct Inner {
    games: RwLock<HashMap<Uuid, KnownGame>>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
    caught_up: watch::Sender<bool>,
    /// When it was heard that something is not there: games, or queues of games.
    missing: Cache<(Uuid, Option<Key>), Instant>,
    channel: GameChannel,
}

struct KnownGame {
    revision: i64,
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
    pub fn new(channel: GameChannel) -> (Self, DefinitionFollower) {
        let inner = Arc::new(Inner {
            games: RwLock::default(),
            changed: watch::Sender::new(0),
            caught_up: watch::Sender::new(false),
            missing: Cache::new(MISSING_MAX),
            channel,
        });
        let queues = Self { inner };
        (queues.clone(), DefinitionFollower::new(queues))
    }

    /// A queue as it is known here, without asking anybody.
    #[must_use]
    pub fn known(&self, game: Uuid, key: &Key) -> Option<Arc<QueueRules>> {
        self.read(|games| games.get(&game)?.queues.get(key).cloned())
    }

    /// Every queue that is or was there since this process began, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<QueueRules>> {
        self.read(|games| games.values().flat_map(|game| game.queues.values().cloned()).collect())
    }

    /// A counter that rises whenever a queue came, changed or went.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Ends when every queue was told of once.
    pub async fn caught_up(&self) {
        // The sender lives as long as this.
        let _ = self.inner.caught_up.subscribe().wait_for(|caught_up| *caught_up).await;
    }

    /// A queue that is there, if its game is archived too. One that is not known here is asked for: it may just have been
    /// made.
    pub async fn find(&self, game: Uuid, key: &Key) -> Result<Arc<QueueRules>, QueueError> {
        let there = || self.known(game, key).filter(|queue| queue.state != QueueState::Removed);
        if let Some(queue) = there() {
            return Ok(queue);
        }
        self.ask(game, Some(key)).await?;
        there().ok_or(QueueError::QueueNotFound)
    }

    /// Checks that there is such a game.
    pub async fn check_game(&self, game: Uuid) -> Result<(), QueueError> {
        let is_known = self.read(|games| games.contains_key(&game));
        if is_known { Ok(()) } else { self.ask(game, None).await }
    }

    /// Learns what the game is now, unless it was just heard that what is looked for is not there.
    async fn ask(&self, game: Uuid, key: Option<&Key>) -> Result<(), QueueError> {
        let heard = |key: Option<&Key>| {
            let since = self.inner.missing.get(&(game, key.cloned()));
            since.is_some_and(|since| since.elapsed() < MISSING_FOR)
        };
        if heard(None) {
            return Err(QueueError::GameNotFound);
        }
        if key.is_some_and(|key| heard(Some(key))) {
            return Err(QueueError::QueueNotFound);
        }
        match self.fetch(game).await {
            Ok(state) => self.apply(game, &state, Source::Asked)?,
            Err(QueueError::GameNotFound) => {
                self.inner.missing.insert((game, None), Instant::now());
                return Err(QueueError::GameNotFound);
            }
            Err(error) => return Err(error),
        }
        if let Some(key) = key.filter(|key| self.known(game, key).is_none_or(|it| it.state == QueueState::Removed)) {
            self.inner.missing.insert((game, Some(key.clone())), Instant::now());
        }
        Ok(())
    }

    async fn fetch(&self, game: Uuid) -> Result<api::DefinitionState, QueueError> {
        let mut client = CatalogServiceClient::new(self.inner.channel.clone());
        let game_id = game.to_string();
        // The state first: a definition that is made in between is followed anyway.
        let asked = async {
            let request = api::GetGameRequest { game_id: game_id.clone() };
            let game = client.get_game(request).await.map_err(CallRefused::from)?.into_inner().game.unwrap_or_default();
            let request = api::GetDefinitionRequest { game_id: game_id.clone(), revision: 0 };
            let revision = client.get_definition(request).await.map_err(CallRefused::from)?.into_inner().revision;
            Ok(api::DefinitionState { revision, game_key: game.key, state: game.state })
        };
        let answer = timeout(ASK_TIMEOUT, asked).await;
        let answer = answer.map_err(|elapsed| QueueError::Unavailable(Arc::new(elapsed)))?;
        answer.map_err(|refused: CallRefused| {
            if refused.reason == "GAME_NOT_FOUND" {
                return QueueError::GameNotFound;
            }
            QueueError::Unavailable(Arc::new(refused))
        })
    }

    /// Takes a game as the game service says it is. What is older than what is known changes nothing.
    fn apply(&self, game: Uuid, state: &api::DefinitionState, source: Source) -> Result<(), QueueError> {
        let unexpected = |what: &str| QueueError::Broken(Arc::from(Box::from(format!("game {game}: {what}"))));
        let revision = state.revision.as_ref().ok_or_else(|| unexpected("no revision"))?;
        let message = revision.definition.as_ref().ok_or_else(|| unexpected("no definition"))?;
        let definition = Definition::parse(message).map_err(|_| unexpected("its definition is not valid"))?;
        let archived = state.state() == api::GameState::Archived;
        let changed = self.write(|games| {
            let known = games.get(&game);
            let is_news = known.is_none_or(|known| match source {
                Source::Followed => revision.revision >= known.revision,
                // Asked beside what is followed, so it may be the older one of the two.
                Source::Asked => revision.revision > known.revision,
            });
            if !is_news {
                return false;
            }
            let queues = merge(game, revision.revision, archived, &definition, known);
            let same = known.is_some_and(|known| known.archived == archived && known.queues == queues);
            games.insert(game, KnownGame { revision: revision.revision, archived, queues });
            !same
        });
        if changed {
            self.inner.changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    fn read<R>(&self, read: impl FnOnce(&HashMap<Uuid, KnownGame>) -> R) -> R {
        read(&self.inner.games.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, write: impl FnOnce(&mut HashMap<Uuid, KnownGame>) -> R) -> R {
        write(&mut self.inner.games.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How something was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Followed,
    Asked,
}

/// The queues of a game by its newest definition, and those that it has no more.
fn merge(
    game: Uuid,
    revision: i64,
    archived: bool,
    definition: &Definition,
    known: Option<&KnownGame>,
) -> HashMap<Key, Arc<QueueRules>> {
    let gone = known.into_iter().flat_map(|known| &known.queues).map(|(key, queue)| {
        let removed = QueueRules { state: QueueState::Removed, ..QueueRules::clone(queue) };
        (key.clone(), Arc::new(removed))
    });
    let mut queues: HashMap<_, _> = gone.collect();
    let state = if archived { QueueState::Archived } else { QueueState::Open };
    queues.extend(definition.queues.iter().map(|queue| {
        let key = queue.key.clone();
        let rules = QueueRules { game, key: key.clone(), revision, rules: Arc::new(queue.clone()), state };
        (key, Arc::new(rules))
    }));
    queues
}

/// Whether every queue was told of once.
#[async_trait]
impl Dependency for Queues {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait allows names that are not fixed")]
    fn name(&self) -> &str {
        "definitions"
    }

    async fn check(&self) -> Result<(), String> {
        let caught_up = *self.inner.caught_up.borrow();
        if caught_up { Ok(()) } else { Err("the definitions of the games were not read yet".to_owned()) }
    }
}

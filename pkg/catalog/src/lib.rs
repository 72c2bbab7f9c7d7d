//! The games of the game service, as other services follow them: what a service needs of a definition, kept up to date.

mod following;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_batching::Sharing;
use pkg_definition::Definition;
use pkg_middleware::{AnyChannel, CallRefused, Dependency};
use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

pub use self::following::CatalogFollower;

/// How long the game service may take to say what a game is.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a game that was asked for is not asked for again: in that time what is made is followed.
const ASKED_FOR: Duration = Duration::from_secs(1);
/// Of how many games it is remembered what came of asking for them.
const ASKED_MAX: usize = 10_000;

/// A game as it is defined now.
#[derive(Debug)]
pub struct Defined {
    /// Which game.
    pub id: Uuid,
    /// The revision of its definition.
    pub revision: i64,
    /// Whether it takes nothing new.
    pub archived: bool,
    /// The definition.
    pub definition: Definition,
}

/// What a service makes of a game.
pub trait Learned: PartialEq + Send + Sync + 'static {
    /// Of a game as it is defined now, with what was made of it before.
    fn learn(game: Defined, before: Option<&Self>) -> Self;
}

/// Why it is not known what a game is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// There is no such game.
    #[error("there is no such game")]
    NotFound,
    /// The game service does not answer: the same may succeed later.
    #[error("the game service is not available")]
    Unavailable(#[source] Cause),
    /// It says what it must not: a defect.
    #[error("the game service answered something unexpected")]
    Broken(#[source] Cause),
}

/// What stands behind an error.
type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// All games. Cloning shares them.
pub struct Catalog<G> {
    inner: Arc<Inner<G>>,
}

struct Inner<G> {
    games: RwLock<HashMap<Uuid, Known<G>>>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
    caught_up: watch::Sender<bool>,
    /// What came of asking for games, and when that was.
    asked: Cache<Uuid, (Instant, Result<(), CatalogError>)>,
    asking: Sharing<Uuid, Result<(), CatalogError>>,
    channel: AnyChannel,
}

struct Known<G> {
    revision: i64,
    game: Arc<G>,
}

/// How something was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Followed,
    Asked,
}

impl<G: Learned> Catalog<G> {
    /// No games yet, and what learns of them over a channel to the game service.
    #[must_use]
    pub fn new(channel: AnyChannel) -> (Self, CatalogFollower<G>) {
        let inner = Arc::new(Inner {
            games: RwLock::default(),
            changed: watch::Sender::new(0),
            caught_up: watch::Sender::new(false),
            asked: Cache::new(ASKED_MAX),
            asking: Sharing::default(),
            channel,
        });
        let catalog = Self { inner };
        (catalog.clone(), CatalogFollower::new(catalog))
    }

    /// A game as it is known here, without asking anybody.
    #[must_use]
    pub fn known(&self, game: Uuid) -> Option<Arc<G>> {
        self.read(|games| games.get(&game).map(|known| known.game.clone()))
    }

    /// Every game, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<G>> {
        self.read(|games| games.values().map(|known| known.game.clone()).collect())
    }

    /// A counter that rises whenever a game came or changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Ends when every game was told of once.
    pub async fn caught_up(&self) {
        // The sender lives as long as this.
        let _ = self.inner.caught_up.subscribe().wait_for(|caught_up| *caught_up).await;
    }

    /// A game. One that is not known here is asked for: it may just have been made.
    pub async fn find(&self, game: Uuid) -> Result<Arc<G>, CatalogError> {
        match self.known(game) {
            Some(known) => Ok(known),
            None => self.ask(game).await,
        }
    }

    /// A game as it is now, for something that is missing in it as it is known here: asked for once for all who need it at
    /// the same time, unless that was done a moment ago. The call is made in nobody's name, without a request's id.
    pub async fn ask(&self, game: Uuid) -> Result<Arc<G>, CatalogError> {
        match self.asked_lately(game) {
            Some(came) => came?,
            None => self.ask_together(game).await?,
        }
        self.known(game).ok_or(CatalogError::NotFound)
    }

    async fn ask_together(&self, game: Uuid) -> Result<(), CatalogError> {
        let catalog = self.clone();
        let asking = self.inner.asking.call(game, move || catalog.clone().ask_now(game));
        match timeout(ASK_TIMEOUT, asking).await {
            Ok(Ok(came)) => came,
            Ok(Err(unanswered)) => Err(CatalogError::Unavailable(Arc::new(unanswered))),
            Err(elapsed) => Err(CatalogError::Unavailable(Arc::new(elapsed))),
        }
    }

    async fn ask_now(self, game: Uuid) -> Result<(), CatalogError> {
        // Those who waited for somebody else's call need none of their own.
        if let Some(came) = self.asked_lately(game) {
            return came;
        }
        let came = self.fetch(game).await.and_then(|state| self.apply(game, &state, Source::Asked));
        if !matches!(came, Err(CatalogError::Unavailable(_))) {
            self.inner.asked.insert(game, (Instant::now(), came.clone()));
        }
        came
    }

    fn asked_lately(&self, game: Uuid) -> Option<Result<(), CatalogError>> {
        let (since, came) = self.inner.asked.get(&game)?;
        (since.elapsed() < ASKED_FOR).then_some(came)
    }

    async fn fetch(&self, game: Uuid) -> Result<api::DefinitionState, CatalogError> {
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
        let answer = answer.map_err(|elapsed| CatalogError::Unavailable(Arc::new(elapsed)))?;
        answer.map_err(|refused: CallRefused| {
            if refused.reason == "GAME_NOT_FOUND" {
                return CatalogError::NotFound;
            }
            CatalogError::Unavailable(Arc::new(refused))
        })
    }

    /// Takes a game as the game service says it is. What is older than what is known changes nothing.
    fn apply(&self, game: Uuid, state: &api::DefinitionState, source: Source) -> Result<(), CatalogError> {
        let unexpected = |what: &str| CatalogError::Broken(Arc::from(Box::from(format!("game {game}: {what}"))));
        let revision = state.revision.as_ref().ok_or_else(|| unexpected("no revision"))?;
        let message = revision.definition.as_ref().ok_or_else(|| unexpected("no definition"))?;
        let definition = Definition::parse(message).map_err(|_| unexpected("its definition is not valid"))?;
        let archived = state.state() == api::GameState::Archived;
        let revision = revision.revision;
        let changed = self.write(|games| {
            let known = games.get(&game);
            let is_news = known.is_none_or(|known| match source {
                Source::Followed => revision >= known.revision,
                // Asked beside what is followed, so it may be the older one of the two.
                Source::Asked => revision > known.revision,
            });
            if !is_news {
                return false;
            }
            let defined = Defined { id: game, revision, archived, definition };
            let learned = G::learn(defined, known.map(|known| &*known.game));
            let same = known.is_some_and(|known| *known.game == learned);
            games.insert(game, Known { revision, game: Arc::new(learned) });
            !same
        });
        if changed {
            self.inner.changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    fn read<R>(&self, read: impl FnOnce(&HashMap<Uuid, Known<G>>) -> R) -> R {
        read(&self.inner.games.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, write: impl FnOnce(&mut HashMap<Uuid, Known<G>>) -> R) -> R {
        write(&mut self.inner.games.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<G> Clone for Catalog<G> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

/// Whether every game was told of once.
#[async_trait]
impl<G: Learned> Dependency for Catalog<G> {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait allows names that are not fixed")]
    fn name(&self) -> &str {
        "definitions"
    }

    async fn check(&self) -> Result<(), String> {
        let caught_up = *self.inner.caught_up.borrow();
        if caught_up { Ok(()) } else { Err("the definitions of the games were not read yet".to_owned()) }
    }
}

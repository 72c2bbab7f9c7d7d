//! What sessions ask of the catalogue, answered from memory where that does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pkg_definition::Definition;
use quick_cache::sync::Cache;
use tokio::time::Instant;
use uuid::Uuid;

use crate::catalog::{GameState, SessionTally};
use crate::store::{GameStore, StoreError};

/// How old an answer about a game may be.
const FRESH: Duration = Duration::from_secs(1);
/// How many games are kept, those that do not exist among them…
const GAMES: usize = 10_000;
/// …and how many revisions of definitions, which never change.
const REVISIONS: usize = 1_000;

/// A game as it is now.
#[derive(Debug, Clone)]
pub struct GameRules {
    /// The newest revision of its definition…
    pub revision: i64,
    /// …and what it says.
    pub definition: Arc<Definition>,
    /// Whether it takes nothing new.
    pub archived: bool,
}

/// The games. Answers may be as old as a second.
#[async_trait]
pub trait Games: Send + Sync {
    /// The game as it is now; `None` if there is none.
    async fn newest(&self, game: Uuid) -> Result<Option<GameRules>, StoreError>;

    /// A revision of its definition; `None` if there is none.
    async fn revision(&self, game: Uuid, revision: i64) -> Result<Option<Arc<Definition>>, StoreError>;

    /// Notes that a session of the game was created.
    fn count_session(&self, game: Uuid);
}

/// The games of the catalogue in this process.
pub struct CatalogGames {
    store: Arc<dyn GameStore>,
    tally: SessionTally,
    newest: Cache<Uuid, (Instant, Option<GameRules>)>,
    revisions: Cache<(Uuid, i64), Arc<Definition>>,
}

impl CatalogGames {
    pub fn new(store: Arc<dyn GameStore>, tally: SessionTally) -> Self {
        Self { store, tally, newest: Cache::new(GAMES), revisions: Cache::new(REVISIONS) }
    }

    async fn read(&self, game: Uuid) -> Result<Option<GameRules>, StoreError> {
        let Some(game) = self.store.game(game).await? else { return Ok(None) };
        let definition = self.revision(game.id, game.definition_revision).await?;
        let missing = || StoreError::broken("a game without its definition");
        Ok(Some(GameRules {
            revision: game.definition_revision,
            definition: definition.ok_or_else(missing)?,
            archived: game.state == GameState::Archived,
        }))
    }
}

#[async_trait]
impl Games for CatalogGames {
    async fn newest(&self, game: Uuid) -> Result<Option<GameRules>, StoreError> {
        if let Some((_, rules)) = self.newest.get(&game).filter(|(since, _)| since.elapsed() < FRESH) {
            return Ok(rules);
        }
        let asked = Instant::now();
        let rules = self.read(game).await?;
        self.newest.insert(game, (asked, rules.clone()));
        Ok(rules)
    }

    async fn revision(&self, game: Uuid, revision: i64) -> Result<Option<Arc<Definition>>, StoreError> {
        if let Some(definition) = self.revisions.get(&(game, revision)) {
            return Ok(Some(definition));
        }
        let Some(found) = self.store.revision(game, Some(revision)).await? else { return Ok(None) };
        let parsed = Definition::parse(found.rules.document());
        let definition = parsed.map_err(|_| StoreError::broken("a stored definition is not valid"))?;
        let definition = Arc::new(definition);
        self.revisions.insert((game, revision), Arc::clone(&definition));
        Ok(Some(definition))
    }

    fn count_session(&self, game: Uuid) {
        self.tally.record(game, 1);
    }
}

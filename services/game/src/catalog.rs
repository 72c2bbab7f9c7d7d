//! The catalogue: games, what is shown of them, and the revisions of their definitions.

mod apply;
mod feed;
mod game;
mod scored;
mod tally;
mod trending;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_definition::Violation;
use time::OffsetDateTime;
use uuid::Uuid;

pub use apply::{Applied, Apply};
pub use feed::{DefinitionFeed, Followed, Follower};
pub use game::{Draft, Game, GameKey, GameState, Rules, Shown, ShownChange, ShownField};
pub use scored::ScoresUnknown;
pub use tally::SessionTally;
pub use trending::{TrendPage, TrendPlace, Trending};

use crate::store::{CreateError, GameStore, NewGame, Revision, RevisionSummary, Save, StoreError};
use pkg_middleware::AnyChannel;

/// How many games one batch asks for at most, and one stream follows.
pub const BATCH_MAX: usize = 100;
/// How often a change is tried again because somebody else changed the same game meanwhile.
const ATTEMPTS: usize = 8;

/// Why something could not be done with a game.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("there is no such game")]
    GameNotFound,
    #[error("the game has no such revision of its definition")]
    RevisionNotFound,
    #[error("another game has this key")]
    KeyTaken,
    #[error("another game has this id")]
    IdTaken,
    #[error("the game was changed meanwhile")]
    Changed,
    #[error("the game is archived")]
    Archived,
    #[error("order, operator and time zone of a leaderboard with scores cannot change")]
    LeaderboardHasScores(Vec<Violation>),
    #[error("it is not known whether a leaderboard has scores")]
    ScoresUnknown(#[from] ScoresUnknown),
    #[error("the list that the page belongs to is forgotten")]
    PageForgotten,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All games.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn GameStore>,
    leaderboards: AnyChannel,
    ambient: Ambient,
}

impl Catalog {
    pub fn new(store: Arc<dyn GameStore>, leaderboards: AnyChannel, ambient: Ambient) -> Self {
        Self { store, leaderboards, ambient }
    }

    /// Creates a game. If the client chose the id, a repeated call finds the game that it created before.
    pub async fn create(&self, id: Option<Uuid>, draft: Draft, author: Uuid) -> Result<Game, CatalogError> {
        let new = self.new_game(id.unwrap_or_else(|| self.ambient.id()), draft, author);
        match self.store.create(&new).await {
            Ok(()) => Ok(new.game),
            Err(CreateError::Store(error)) => Err(error.into()),
            Err(CreateError::KeyTaken | CreateError::IdTaken) if id.is_some() => self.created_before(&new).await,
            Err(CreateError::KeyTaken) => Err(CatalogError::KeyTaken),
            Err(CreateError::IdTaken) => Err(CatalogError::IdTaken),
        }
    }

    /// The game with the id of this one, if it was created with the same content, whatever it is now.
    async fn created_before(&self, new: &NewGame) -> Result<Game, CatalogError> {
        let id = new.game.id;
        let Some(game) = self.store.game(id).await? else { return Err(CatalogError::KeyTaken) };
        let (shown, first) = (self.store.created_as(id).await?, self.store.revision(id, Some(1)).await?);
        let same = game.key == new.game.key
            && shown.as_ref() == Some(&new.game.shown)
            && first.is_some_and(|first| first.rules == new.first.rules);
        if same { Ok(game) } else { Err(CatalogError::IdTaken) }
    }

    fn new_game(&self, id: Uuid, draft: Draft, author: Uuid) -> NewGame {
        let now = self.now();
        NewGame {
            game: Game {
                id,
                key: draft.key,
                shown: draft.shown,
                state: GameState::Active,
                definition_revision: 1,
                version: 1,
                created_at: now,
                updated_at: now,
            },
            first: Revision { game: id, number: 1, rules: draft.rules, author, created_at: now },
        }
    }

    /// The time, as exact as the stores keep it.
    fn now(&self) -> OffsetDateTime {
        self.ambient.now().truncate_to_millisecond()
    }

    pub async fn get(&self, id: Uuid) -> Result<Game, CatalogError> {
        self.store.game(id).await?.ok_or(CatalogError::GameNotFound)
    }

    pub async fn find(&self, key: &GameKey) -> Result<Game, CatalogError> {
        self.store.game_by_key(key).await?.ok_or(CatalogError::GameNotFound)
    }

    /// In the order asked for, each once, without their data and without those that do not exist.
    pub async fn batch(&self, ids: &[Uuid]) -> Result<Vec<Game>, CatalogError> {
        let mut found = self.store.games(ids).await?;
        found.sort_by_key(|game| ids.iter().position(|id| *id == game.id));
        Ok(found)
    }

    /// Those whose keys come after `after`, by their keys, without their data.
    pub async fn list(
        &self,
        state: Option<GameState>,
        after: Option<&GameKey>,
        size: usize,
    ) -> Result<Vec<Game>, CatalogError> {
        Ok(self.store.list(state, after, size).await?)
    }

    /// Changes what is shown; an archived game is left as it is.
    pub async fn update(&self, id: Uuid, change: &ShownChange) -> Result<Game, CatalogError> {
        for _ in 0..ATTEMPTS {
            let old = self.get(id).await?;
            if change.expected_version.is_some_and(|expected| expected != old.version) {
                return Err(CatalogError::Changed);
            }
            if old.state == GameState::Archived {
                return Err(CatalogError::Archived);
            }
            let shown = change.apply(&old.shown);
            if shown == old.shown {
                return Ok(old);
            }
            let new = Game { shown, ..old };
            if let Some(saved) = self.save(new, &Save::Shown).await? {
                return Ok(saved);
            }
        }
        Err(CatalogError::Changed)
    }

    /// Archives a game, or makes it active again.
    pub async fn set_state(&self, id: Uuid, state: GameState) -> Result<Game, CatalogError> {
        for _ in 0..ATTEMPTS {
            let old = self.get(id).await?;
            if old.state == state {
                return Ok(old);
            }
            if let Some(saved) = self.save(Game { state, ..old }, &Save::State).await? {
                return Ok(saved);
            }
        }
        Err(CatalogError::Changed)
    }

    /// Saves a game that was loaded and changed, as its next version; `None` if somebody else has done so meanwhile.
    async fn save(&self, changed: Game, what: &Save) -> Result<Option<Game>, CatalogError> {
        let next = self.next(changed);
        Ok(self.store.save(&next, what).await?.then_some(next))
    }

    fn next(&self, changed: Game) -> Game {
        Game { version: changed.version + 1, updated_at: self.now(), ..changed }
    }

    /// A revision of a game's definition, or its newest.
    pub async fn revision(&self, id: Uuid, number: Option<i64>) -> Result<Revision, CatalogError> {
        if let Some(revision) = self.store.revision(id, number).await? {
            return Ok(revision);
        }
        self.get(id).await?;
        Err(CatalogError::RevisionNotFound)
    }

    /// The revisions before `before`, the newest first.
    pub async fn revisions(
        &self,
        id: Uuid,
        before: Option<i64>,
        size: usize,
    ) -> Result<Vec<RevisionSummary>, CatalogError> {
        let revisions = self.store.revisions(id, before, size).await?;
        if revisions.is_empty() {
            self.get(id).await?;
        }
        Ok(revisions)
    }
}

#[cfg(test)]
mod tests;

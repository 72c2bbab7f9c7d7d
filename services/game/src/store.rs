//! The ports of the game service, in its own words, and the contract that every adapter keeps.

mod account_positions;
mod announcements;
#[cfg(test)]
mod contract;
mod entities;
mod entities_redis;
mod games_sql;
mod games_sql_rows;
mod presence;
mod session_counts_sql;
mod session_index_redis;
mod sessions;
#[cfg(test)]
mod sessions_contract;
mod sessions_memory;
mod sessions_redis;

use async_trait::async_trait;
use pkg_bus::PublishError;
pub use pkg_store::StoreError;
use time::OffsetDateTime;
use uuid::Uuid;

pub use account_positions::SqlAccountPositions;
pub use announcements::{AnnouncementStore, SqlAnnouncements};
pub use entities::{EntityCommit, EntityCommitted, EntityPage, EntityStore};
pub use games_sql::SqlGames;
pub use presence::{MemoryPresence, PresenceStore, RedisPresence};
pub use session_counts_sql::SqlSessionCounts;
pub use sessions::{Commit, Committed, Due, Lease, Loaded, SessionIndex, SessionPlace, SessionStore};
pub use sessions_memory::MemorySessions;
pub use sessions_redis::RedisSessions;

use crate::catalog::{Game, GameKey, GameState, Rules, Shown};

/// A game to be created.
#[derive(Debug, Clone)]
pub struct NewGame {
    pub game: Game,
    /// The first revision of its definition.
    pub first: Revision,
}

/// Why a game cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("another game has this key")]
    KeyTaken,
    #[error("another game has this id")]
    IdTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A revision of a game's definition. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    pub game: Uuid,
    /// The first is 1.
    pub number: i64,
    pub rules: Rules,
    /// The user who made it.
    pub author: Uuid,
    pub created_at: OffsetDateTime,
}

/// A revision without its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSummary {
    pub game: Uuid,
    pub number: i64,
    pub author: Uuid,
    pub created_at: OffsetDateTime,
}

/// What is saved of a game that changed, beside the game itself.
#[derive(Debug, Clone)]
pub enum Save {
    /// Nothing: only what is shown has changed.
    Shown,
    /// The state has changed, which those who follow definitions are told.
    State,
    /// A new revision of the definition, which they are told too.
    Definition(Box<Revision>),
}

/// A game's newest definition, as those who follow it are told.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionState {
    pub revision: Revision,
    pub key: GameKey,
    pub state: GameState,
    /// Which change of all games this was.
    pub changed: i64,
}

/// Games and the revisions of their definitions: Postgres or SQLite.
#[async_trait]
pub trait GameStore: Send + Sync {
    /// Creates a game with the first revision of its definition.
    async fn create(&self, new: &NewGame) -> Result<(), CreateError>;

    async fn game(&self, id: Uuid) -> Result<Option<Game>, StoreError>;

    async fn game_by_key(&self, key: &GameKey) -> Result<Option<Game>, StoreError>;

    /// In any order, without their data and without those that do not exist.
    async fn games(&self, ids: &[Uuid]) -> Result<Vec<Game>, StoreError>;

    /// Those in a state, or all, whose keys come after one, by the bytes of their keys; without their data.
    async fn list(
        &self,
        state: Option<GameState>,
        after: Option<&GameKey>,
        limit: usize,
    ) -> Result<Vec<Game>, StoreError>;

    /// What a game was created with.
    async fn created_as(&self, id: Uuid) -> Result<Option<Shown>, StoreError>;

    /// Replaces the version before of a game by this one, unless somebody else has: then nothing happens, and `false`.
    async fn save(&self, game: &Game, what: &Save) -> Result<bool, StoreError>;

    /// A revision of a game's definition, or the newest.
    async fn revision(&self, game: Uuid, number: Option<i64>) -> Result<Option<Revision>, StoreError>;

    /// The revisions before one, the newest first.
    async fn former(&self, game: Uuid, before: i64, limit: usize) -> Result<Vec<Revision>, StoreError>;

    /// The newest first, those before `before`.
    async fn revisions(
        &self,
        game: Uuid,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<RevisionSummary>, StoreError>;

    /// How often definitions and states have been changed so far, those of new games too.
    async fn clock(&self) -> Result<i64, StoreError>;

    /// The newest definitions of games, those of `games` or of all, whose last change came after `changed`; in the order of
    /// their changes. A change that appears later has a higher number than every one that has appeared.
    async fn changed_since(
        &self,
        changed: i64,
        games: Option<&[Uuid]>,
        limit: usize,
    ) -> Result<Vec<DefinitionState>, StoreError>;
}

/// Sessions of a game that were created in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCount {
    pub game: Uuid,
    /// Its beginning.
    pub hour: OffsetDateTime,
    pub sessions: u32,
}

/// A game's place among those that are played most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first is 1.
    pub number: i64,
    pub game: Uuid,
    pub sessions: i64,
}

/// How many sessions were created: Postgres or SQLite, in the database of the games.
#[async_trait]
pub trait SessionCounts: Send + Sync {
    /// Adds to what was counted: all of it or nothing.
    async fn add(&self, counts: &[SessionCount]) -> Result<(), StoreError>;

    /// Puts all active games in the order of the sessions of the hours from `since` on, those with equal numbers by their
    /// keys, and keeps the order under a moment; unless there is one, which stays. Orders from before `keep_from`, and
    /// counts from before `since`, are forgotten.
    async fn take_trend(
        &self,
        moment: OffsetDateTime,
        since: OffsetDateTime,
        keep_from: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// The games after a place in the order of a moment; none if there is no such order.
    async fn trend(&self, moment: OffsetDateTime, after: i64, limit: usize) -> Result<Vec<Place>, StoreError>;
}

/// A limit as SQL takes it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A script could not publish.
fn unpublished(error: PublishError) -> StoreError {
    if matches!(error, PublishError::Unavailable(_)) {
        StoreError::unavailable(error)
    } else {
        StoreError::broken(error)
    }
}

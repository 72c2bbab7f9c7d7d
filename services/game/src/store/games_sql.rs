//! Games and the revisions of their definitions in Postgres or SQLite.

use async_trait::async_trait;
use pkg_api::game::v1 as api;
use pkg_db::{Database, on, to_millis, violates_unique};
use prost::Message;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::games_sql_rows::{
    GameRow, RevisionRow, ShownColumns, StateRow, SummaryRow, columns, state_text, stored_shown,
};
use super::{CreateError, DefinitionState, GameStore, NewGame, Revision, RevisionSummary, Save, StoreError, rows};
use crate::catalog::{Game, GameKey, GameState, Shown};

/// Games in a database.
#[derive(Clone)]
pub struct SqlGames {
    database: Database,
}

impl SqlGames {
    /// The games of a migrated database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!("data"), " FROM games ", $rest)
    };
}

/// Games without their data.
macro_rules! listing {
    ($rest:literal) => {
        concat!("SELECT ", columns!("substr(data, 1, 0)"), " FROM games ", $rest)
    };
}

macro_rules! states {
    () => {
        "SELECT key, state, changed, game_id, revision, definition, author_id, definitions.created_ms \
         FROM games JOIN definitions ON game_id = id AND revision = definition_revision"
    };
    ($rest:literal) => {
        concat!(states!(), $rest)
    };
}

/// The next change. Its lock is held until the commit, so no two changes are under way at once.
const TICK: &str = "UPDATE catalogue_clock SET value = value + 1 RETURNING value";

const INSERT_REVISION: &str =
    "INSERT INTO definitions (game_id, revision, definition, author_id, created_ms) VALUES ($1, $2, $3, $4, $5)";

/// Binds what is shown of a game and how it stands, in the order that statements have it.
macro_rules! bind_game {
    ($query:expr, $game:expr) => {{
        let columns = ShownColumns::from(&$game.shown);
        $query
            .bind(columns.name)
            .bind(columns.short_description)
            .bind(columns.long_description)
            .bind(columns.image_url)
            .bind(columns.attributes)
            .bind(columns.data)
            .bind(state_text($game.state))
            .bind($game.definition_revision)
    }};
}

macro_rules! insert_revision {
    ($revision:expr, $connection:expr) => {
        sqlx::query(INSERT_REVISION)
            .bind($revision.game)
            .bind($revision.number)
            .bind($revision.rules.document().encode_to_vec())
            .bind($revision.author)
            .bind(to_millis($revision.created_at))
            .execute($connection)
            .await
    };
}

#[async_trait]
impl GameStore for SqlGames {
    async fn create(&self, new: &NewGame) -> Result<(), CreateError> {
        const INSERT: &str = "INSERT INTO games (id, key, name, short_description, long_description, image_url, \
             attributes, data, state, definition_revision, version, changed, created_as, created_ms, updated_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let game = &new.game;
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await.map_err(StoreError::from)?;
            let changed: i64 = sqlx::query_scalar(TICK).fetch_one(&mut *transaction).await.map_err(StoreError::from)?;
            let insert = bind_game!(sqlx::query(INSERT).bind(game.id).bind(game.key.as_str()), game)
                .bind(game.version)
                .bind(changed)
                .bind(game.shown.to_api().encode_to_vec())
                .bind(to_millis(game.created_at))
                .bind(to_millis(game.updated_at));
            insert.execute(&mut *transaction).await.map_err(create_error)?;
            insert_revision!(new.first, &mut *transaction).map_err(StoreError::from)?;
            transaction.commit().await.map_err(StoreError::from)?;
        });
        Ok(())
    }

    async fn game(&self, id: Uuid) -> Result<Option<Game>, StoreError> {
        const BY_ID: &str = select!("WHERE id = $1");
        found(on!(self.database, pool => sqlx::query_as(BY_ID).bind(id).fetch_optional(pool).await))
    }

    async fn game_by_key(&self, key: &GameKey) -> Result<Option<Game>, StoreError> {
        const BY_KEY: &str = select!("WHERE key = $1");
        found(on!(self.database, pool => sqlx::query_as(BY_KEY).bind(key.as_str()).fetch_optional(pool).await))
    }

    async fn games(&self, ids: &[Uuid]) -> Result<Vec<Game>, StoreError> {
        let rows: Vec<GameRow> = match &self.database {
            Database::Postgres(pool) => {
                const ANY: &str = listing!("WHERE id = ANY($1)");
                sqlx::query_as(ANY).bind(ids).fetch_all(pool).await?
            }
            // SQLite has no arrays: one placeholder for each.
            Database::Sqlite(pool) => {
                let mut query = QueryBuilder::new(listing!("WHERE id"));
                push_ids(&mut query, ids);
                query.build_query_as().fetch_all(pool).await?
            }
        };
        rows.into_iter().map(Game::try_from).collect()
    }

    async fn list(
        &self,
        state: Option<GameState>,
        after: Option<&GameKey>,
        limit: usize,
    ) -> Result<Vec<Game>, StoreError> {
        let (state, after) = (state.map(state_text), after.map(GameKey::as_str));
        let rows: Vec<GameRow> = match &self.database {
            // The order of the server's language is not that of bytes.
            Database::Postgres(pool) => {
                const PAGE: &str = listing!(
                    "WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR key COLLATE \"C\" > $2) \
                     ORDER BY key COLLATE \"C\" LIMIT $3"
                );
                sqlx::query_as(PAGE).bind(state).bind(after).bind(rows(limit)).fetch_all(pool).await?
            }
            Database::Sqlite(pool) => {
                const PAGE: &str =
                    listing!("WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR key > $2) ORDER BY key LIMIT $3");
                sqlx::query_as(PAGE).bind(state).bind(after).bind(rows(limit)).fetch_all(pool).await?
            }
        };
        rows.into_iter().map(Game::try_from).collect()
    }

    async fn created_as(&self, id: Uuid) -> Result<Option<Shown>, StoreError> {
        const CREATED_AS: &str = "SELECT created_as FROM games WHERE id = $1";
        let encoded: Option<Vec<u8>> =
            on!(self.database, pool => sqlx::query_scalar(CREATED_AS).bind(id).fetch_optional(pool).await)?;
        let Some(encoded) = encoded else { return Ok(None) };
        stored_shown(&api::Game::decode(encoded.as_slice()).map_err(StoreError::broken)?).map(Some)
    }

    async fn save(&self, game: &Game, what: &Save) -> Result<bool, StoreError> {
        const UPDATE: &str = "UPDATE games SET name = $3, short_description = $4, long_description = $5, \
             image_url = $6, attributes = $7, data = $8, state = $9, definition_revision = $10, updated_ms = $11, \
             changed = COALESCE($12, changed), version = $2 WHERE id = $1 AND version = $2 - 1";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let changed: Option<i64> = match what {
                Save::Shown => None,
                Save::State | Save::Definition(_) => Some(sqlx::query_scalar(TICK).fetch_one(&mut *transaction).await?),
            };
            let update = bind_game!(sqlx::query(UPDATE).bind(game.id).bind(game.version), game)
                .bind(to_millis(game.updated_at))
                .bind(changed);
            if update.execute(&mut *transaction).await?.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
            if let Save::Definition(revision) = what {
                insert_revision!(revision, &mut *transaction)?;
            }
            transaction.commit().await?;
        });
        Ok(true)
    }

    async fn revision(&self, game: Uuid, number: Option<i64>) -> Result<Option<Revision>, StoreError> {
        const ONE: &str = "SELECT game_id, revision, definition, author_id, created_ms FROM definitions \
             WHERE game_id = $1 AND ($2 IS NULL OR revision = $2) ORDER BY revision DESC LIMIT 1";
        let row: Option<RevisionRow> =
            on!(self.database, pool => sqlx::query_as(ONE).bind(game).bind(number).fetch_optional(pool).await)?;
        row.map(Revision::try_from).transpose()
    }

    async fn former(&self, game: Uuid, before: i64, limit: usize) -> Result<Vec<Revision>, StoreError> {
        const PAGE: &str = "SELECT game_id, revision, definition, author_id, created_ms FROM definitions \
             WHERE game_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3";
        let found: Vec<RevisionRow> = on!(self.database, pool => {
            sqlx::query_as(PAGE).bind(game).bind(before).bind(rows(limit)).fetch_all(pool).await
        })?;
        found.into_iter().map(Revision::try_from).collect()
    }

    async fn revisions(
        &self,
        game: Uuid,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<RevisionSummary>, StoreError> {
        const PAGE: &str = "SELECT game_id, revision, author_id, created_ms FROM definitions \
             WHERE game_id = $1 AND ($2 IS NULL OR revision < $2) ORDER BY revision DESC LIMIT $3";
        let found: Vec<SummaryRow> = on!(self.database, pool => {
            sqlx::query_as(PAGE).bind(game).bind(before).bind(rows(limit)).fetch_all(pool).await
        })?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn clock(&self) -> Result<i64, StoreError> {
        const CLOCK: &str = "SELECT value FROM catalogue_clock";
        Ok(on!(self.database, pool => sqlx::query_scalar(CLOCK).fetch_one(pool).await)?)
    }

    async fn changed_since(
        &self,
        changed: i64,
        games: Option<&[Uuid]>,
        limit: usize,
    ) -> Result<Vec<DefinitionState>, StoreError> {
        const ALL: &str = states!(" WHERE changed > $1 ORDER BY changed LIMIT $2");
        let limit = rows(limit);
        let found: Vec<StateRow> = match (&self.database, games) {
            (database, None) => {
                on!(*database, pool => sqlx::query_as(ALL).bind(changed).bind(limit).fetch_all(pool).await)?
            }
            (Database::Postgres(pool), Some(ids)) => {
                const ANY: &str = states!(" WHERE changed > $1 AND id = ANY($3) ORDER BY changed LIMIT $2");
                sqlx::query_as(ANY).bind(changed).bind(limit).bind(ids).fetch_all(pool).await?
            }
            (Database::Sqlite(pool), Some(ids)) => {
                let mut query = QueryBuilder::new(concat!(states!(), " WHERE changed > "));
                query.push_bind(changed).push(" AND id");
                push_ids(&mut query, ids);
                query.push(" ORDER BY changed LIMIT ").push_bind(limit);
                query.build_query_as().fetch_all(pool).await?
            }
        };
        found.into_iter().map(DefinitionState::try_from).collect()
    }
}

/// `IN` a list of ids.
fn push_ids(query: &mut QueryBuilder<sqlx::Sqlite>, ids: &[Uuid]) {
    query.push(" IN (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
}

fn found(row: Result<Option<GameRow>, sqlx::Error>) -> Result<Option<Game>, StoreError> {
    row?.map(Game::try_from).transpose()
}

fn create_error(error: sqlx::Error) -> CreateError {
    if violates_unique(&error, "games", "key") {
        return CreateError::KeyTaken;
    }
    // The id is the only other thing that no two games share.
    if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
        return CreateError::IdTaken;
    }
    CreateError::Store(error.into())
}

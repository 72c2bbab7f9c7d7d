//! Ratings in Postgres or `SQLite`.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures::future::try_join_all;
use pkg_batching::Batcher;
use pkg_db::{Database, from_millis, on, to_millis};
use pkg_definition::Key;
use pkg_log::{Positions, Topic};
use sqlx::{FromRow, PgConnection, PgPool, SqliteConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::matches_sql::{release_postgres, release_sqlite};
use super::ratings::{Applied, RatingChange, RatingPlace, RatingStore, Results, Seeded, StoredRating};
use super::{QueueId, SqlPositions, StoreError, least_id, rows};
use crate::rating::Rating;

macro_rules! columns {
    () => {
        "game_id, queue_key, player_id, skill, uncertainty, match_count, updated_ms, last_session_id, \
         last_skill_change, version"
    };
}

/// The arrays of changes, as a table.
macro_rules! changes {
    () => {
        "unnest($1::uuid[], $2::text[], $3::uuid[], $4::float8[], $5::float8[], $6::bigint[], $7::bigint[], \
         $8::uuid[], $9::float8[], $10::bigint[]) \
         AS new (game, queue, player, skill, uncertainty, matches, at, session, change, version)"
    };
}

const FIRST_POSITION: &str = "INSERT INTO matchmaking_positions (topic, part, next_offset) \
     VALUES ('matches', $1, $2) ON CONFLICT (topic, part) DO NOTHING";
const NEXT_POSITION: &str = "UPDATE matchmaking_positions SET next_offset = $2 \
     WHERE topic = 'matches' AND part = $1 AND next_offset = $3";

/// Compares and sets the position. Whoever comes second waits for the first one here, and then finds it moved.
macro_rules! move_position {
    ($transaction:expr, $results:expr) => {{
        let (partition, next) = (i64::from($results.partition), $results.next_offset);
        let moved = match $results.expected {
            None => sqlx::query(FIRST_POSITION)
                .bind(partition)
                .bind(next)
                .execute(&mut *$transaction)
                .await?
                .rows_affected(),
            Some(expected) => {
                let update = sqlx::query(NEXT_POSITION).bind(partition).bind(next).bind(expected);
                update.execute(&mut *$transaction).await?.rows_affected()
            }
        };
        moved == 1
    }};
}

/// The ratings of a database, which is that of the seats.
#[derive(Clone)]
pub struct SqlRatings {
    database: Database,
    positions: SqlPositions,
    /// On Postgres; `SQLite` has one connection and no round trips.
    lookups: Option<Batcher<Wanted, Result<Option<StoredRating>, StoreError>>>,
}

/// A queue and a player.
type Wanted = (QueueId, Uuid);

#[derive(Debug, FromRow)]
struct Row {
    game_id: Uuid,
    queue_key: String,
    player_id: Uuid,
    skill: f64,
    uncertainty: f64,
    match_count: i64,
    updated_ms: i64,
    last_session_id: Option<Uuid>,
    last_skill_change: f64,
    version: i64,
}

impl SqlRatings {
    /// The ratings of this database, which has the newest migrations. To be called on a runtime.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let lookups = match &database {
            Database::Postgres(pool) => {
                let pool = pool.clone();
                Some(Batcher::spawn(move |batch| find_each(pool.clone(), batch)))
            }
            Database::Sqlite(_) => None,
        };
        Self { positions: SqlPositions::new(database.clone()), database, lookups }
    }
}

#[async_trait]
impl RatingStore for SqlRatings {
    async fn ratings(&self, queue: &QueueId, players: &[Uuid]) -> Result<Vec<StoredRating>, StoreError> {
        const ONE: &str =
            concat!("SELECT ", columns!(), " FROM ratings WHERE game_id = $1 AND queue_key = $2 AND player_id = $3");
        if let Some(lookups) = &self.lookups {
            let calls = players.iter().map(async |player| lookups.call((queue.clone(), *player)).await?);
            return Ok(try_join_all(calls).await?.into_iter().flatten().collect());
        }
        let mut found = Vec::new();
        for player in players {
            let row: Option<Row> = on!(self.database, pool => {
                sqlx::query_as(ONE).bind(queue.game).bind(queue.key.as_str()).bind(player).fetch_optional(pool).await?
            });
            found.extend(row.map(StoredRating::try_from).transpose()?);
        }
        Ok(found)
    }

    async fn list(
        &self,
        player: Uuid,
        game: Option<Uuid>,
        after: Option<&RatingPlace>,
        limit: usize,
    ) -> Result<Vec<StoredRating>, StoreError> {
        const PAGE: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM ratings WHERE player_id = $1 AND ($2 IS NULL OR game_id = $2) AND (updated_ms < $3",
            " OR (updated_ms = $3 AND (game_id > $4 OR (game_id = $4 AND queue_key > $5))))",
            " ORDER BY updated_ms DESC, game_id, queue_key LIMIT $6"
        );
        let (updated, after_game, after_key) =
            after.map_or((i64::MAX, Uuid::nil(), ""), |it| (it.updated_ms, it.queue.game, it.queue.key.as_str()));
        let found: Vec<Row> = on!(self.database, pool => {
            sqlx::query_as(PAGE)
                .bind(player)
                .bind(game)
                .bind(updated)
                .bind(after_game)
                .bind(after_key)
                .bind(rows(limit))
                .fetch_all(pool)
                .await?
        });
        found.into_iter().map(StoredRating::try_from).collect()
    }

    async fn seed(
        &self,
        queue: &QueueId,
        player: Uuid,
        rating: Rating,
        now: OffsetDateTime,
    ) -> Result<Seeded, StoreError> {
        const SEED: &str = concat!(
            "INSERT INTO ratings (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, 0, $6, NULL, 0.0, 1) ON CONFLICT (game_id, queue_key, player_id) DO UPDATE",
            " SET skill = excluded.skill, uncertainty = excluded.uncertainty, updated_ms = excluded.updated_ms,",
            " version = ratings.version + 1 WHERE ratings.match_count = 0 RETURNING ",
            columns!()
        );
        let seeded: Option<Row> = on!(self.database, pool => {
            sqlx::query_as(SEED)
                .bind(queue.game)
                .bind(queue.key.as_str())
                .bind(player)
                .bind(rating.skill())
                .bind(rating.uncertainty())
                .bind(to_millis(now))
                .fetch_optional(pool)
                .await?
        });
        seeded.map_or(Ok(Seeded::InUse), |row| Ok(Seeded::Done(row.try_into()?)))
    }

    async fn position(&self, partition: i32) -> Result<Option<i64>, StoreError> {
        self.positions.next_offset(Topic::Matches, partition).await
    }

    async fn counted(&self, sessions: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        match &self.database {
            Database::Postgres(pool) => {
                const COUNTED: &str = "SELECT session_id FROM rated_sessions WHERE session_id = ANY($1)";
                Ok(sqlx::query_scalar(COUNTED).bind(sessions).fetch_all(pool).await?)
            }
            Database::Sqlite(pool) => {
                const COUNTED: &str = "SELECT session_id FROM rated_sessions WHERE session_id = $1";
                let mut counted: Vec<Uuid> = Vec::new();
                for session in sessions {
                    let found: Option<Uuid> = sqlx::query_scalar(COUNTED).bind(session).fetch_optional(pool).await?;
                    counted.extend(found);
                }
                Ok(counted)
            }
        }
    }

    async fn apply(&self, results: &Results, now: OffsetDateTime) -> Result<Applied, StoreError> {
        if results.expected.is_some_and(|expected| expected >= results.next_offset) {
            return Err(StoreError::broken("results that do not go on"));
        }
        let changes = last_changes(&results.changes);
        let now_ms = to_millis(now);
        // Whatever returns early leaves a transaction that is rolled back.
        match &self.database {
            Database::Postgres(pool) => {
                let mut transaction = pkg_db::begin(pool).await?;
                if !move_position!(transaction, results) {
                    return Ok(Applied::Elsewhere);
                }
                let is_new = count_postgres(&mut transaction, &results.counted).await?;
                if !is_new || !change_postgres(&mut transaction, &changes).await? {
                    return Ok(Applied::Changed);
                }
                release_postgres(&mut transaction, &results.releases, now_ms).await?;
                transaction.commit().await?;
            }
            Database::Sqlite(pool) => {
                let mut transaction = pkg_db::begin(pool).await?;
                if !move_position!(transaction, results) {
                    return Ok(Applied::Elsewhere);
                }
                let is_new = count_sqlite(&mut transaction, &results.counted).await?;
                if !is_new || !change_sqlite(&mut transaction, &changes).await? {
                    return Ok(Applied::Changed);
                }
                release_sqlite(&mut transaction, &results.releases, now_ms).await?;
                transaction.commit().await?;
            }
        }
        Ok(Applied::Done)
    }

    async fn forget_counted(&self, before: OffsetDateTime, max: usize) -> Result<u64, StoreError> {
        const FORGET: &str = "DELETE FROM rated_sessions WHERE session_id IN ( \
             SELECT session_id FROM rated_sessions WHERE session_id < $1 ORDER BY session_id LIMIT $2)";
        Ok(on!(self.database, pool => {
            sqlx::query(FORGET).bind(least_id(before)).bind(rows(max)).execute(pool).await?.rows_affected()
        }))
    }

    async fn erase(&self, player: Uuid) -> Result<(), StoreError> {
        const ERASE: &str = "DELETE FROM ratings WHERE player_id = $1";
        on!(self.database, pool => sqlx::query(ERASE).bind(player).execute(pool).await.map(drop)?);
        Ok(())
    }
}

/// The last change of each player in a queue, in an order in which nobody waits in a circle.
fn last_changes(changes: &[RatingChange]) -> Vec<&RatingChange> {
    let by_player: BTreeMap<_, _> = changes.iter().map(|change| ((&change.queue, change.player), change)).collect();
    by_player.into_values().collect()
}

/// `false` if one was counted before.
async fn count_postgres(connection: &mut PgConnection, sessions: &[Uuid]) -> Result<bool, sqlx::Error> {
    const COUNT: &str = "INSERT INTO rated_sessions (session_id) SELECT id FROM unnest($1) AS ids (id) ORDER BY id \
         ON CONFLICT (session_id) DO NOTHING";
    let counted = sqlx::query(COUNT).bind(sessions).execute(connection).await?.rows_affected();
    Ok(usize::try_from(counted).is_ok_and(|counted| counted == sessions.len()))
}

/// `false` if one was counted before.
async fn count_sqlite(connection: &mut SqliteConnection, sessions: &[Uuid]) -> Result<bool, sqlx::Error> {
    const COUNT: &str = "INSERT INTO rated_sessions (session_id) VALUES ($1) ON CONFLICT (session_id) DO NOTHING";
    for session in sessions {
        if sqlx::query(COUNT).bind(session).execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `false` if a rating is not of its version.
async fn change_postgres(connection: &mut PgConnection, changes: &[&RatingChange]) -> Result<bool, sqlx::Error> {
    const INSERT: &str = concat!(
        "INSERT INTO ratings (",
        columns!(),
        ") SELECT game, queue, player, skill, uncertainty, matches, at, session, change, 1 FROM ",
        changes!(),
        " WHERE version = 0 ORDER BY game, queue, player ON CONFLICT (game_id, queue_key, player_id) DO NOTHING"
    );
    const UPDATE: &str = concat!(
        "UPDATE ratings SET skill = new.skill, uncertainty = new.uncertainty, match_count = new.matches,",
        " updated_ms = new.at, last_session_id = new.session, last_skill_change = new.change,",
        " version = new.version + 1 FROM ",
        changes!(),
        " WHERE new.version > 0 AND game_id = new.game AND queue_key = new.queue AND player_id = new.player",
        " AND ratings.version = new.version"
    );
    if changes.is_empty() {
        return Ok(true);
    }
    let mut done = 0;
    for statement in [INSERT, UPDATE] {
        let outcome = sqlx::query(statement)
            .bind(changes.iter().map(|it| it.queue.game).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.queue.key.as_str()).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.player).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.rating.skill()).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.rating.uncertainty()).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.match_count).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| to_millis(it.at)).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.session).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.skill_change).collect::<Vec<_>>())
            .bind(changes.iter().map(|it| it.from_version).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
        done += outcome.rows_affected();
    }
    Ok(usize::try_from(done).is_ok_and(|done| done == changes.len()))
}

/// `false` if a rating is not of its version.
async fn change_sqlite(connection: &mut SqliteConnection, changes: &[&RatingChange]) -> Result<bool, sqlx::Error> {
    const INSERT: &str = concat!(
        "INSERT INTO ratings (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10 + 1)",
        " ON CONFLICT (game_id, queue_key, player_id) DO NOTHING"
    );
    const UPDATE: &str = "UPDATE ratings SET skill = $4, uncertainty = $5, match_count = $6, updated_ms = $7, \
         last_session_id = $8, last_skill_change = $9, version = $10 + 1 \
         WHERE game_id = $1 AND queue_key = $2 AND player_id = $3 AND version = $10";
    for it in changes {
        let statement = if it.from_version == 0 { INSERT } else { UPDATE };
        let done = sqlx::query(statement)
            .bind(it.queue.game)
            .bind(it.queue.key.as_str())
            .bind(it.player)
            .bind(it.rating.skill())
            .bind(it.rating.uncertainty())
            .bind(it.match_count)
            .bind(to_millis(it.at))
            .bind(it.session)
            .bind(it.skill_change)
            .bind(it.from_version)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn find_each(pool: PgPool, wanted: Vec<Wanted>) -> Vec<Result<Option<StoredRating>, StoreError>> {
    match find(&pool, &wanted).await {
        Ok(found) => wanted.iter().map(|it| Ok(found.get(it).cloned())).collect(),
        Err(error) => wanted.iter().map(|_| Err(error.clone())).collect(),
    }
}

async fn find(pool: &PgPool, wanted: &[Wanted]) -> Result<HashMap<Wanted, StoredRating>, StoreError> {
    // The LIMIT keeps the planner from joining whole tables.
    const MANY: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS wanted (game, queue, player)",
        " CROSS JOIN LATERAL (SELECT * FROM ratings WHERE game_id = wanted.game AND queue_key = wanted.queue",
        " AND player_id = wanted.player LIMIT 1) AS found"
    );
    let rows: Vec<Row> = sqlx::query_as(MANY)
        .bind(wanted.iter().map(|(queue, _)| queue.game).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(queue, _)| queue.key.as_str()).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(_, player)| *player).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    let found = rows.into_iter().map(|row| {
        let rating = StoredRating::try_from(row)?;
        Ok(((rating.queue.clone(), rating.player), rating))
    });
    found.collect()
}

impl TryFrom<Row> for StoredRating {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = || StoreError::broken("a rating is damaged");
        Ok(Self {
            player: row.player_id,
            queue: QueueId { game: row.game_id, key: Key::parse(&row.queue_key).ok_or_else(damaged)? },
            rating: Rating::new(row.skill, row.uncertainty).ok_or_else(damaged)?,
            match_count: row.match_count,
            updated_at: from_millis(row.updated_ms),
            last_session: row.last_session_id,
            last_skill_change: row.last_skill_change,
            version: row.version,
        })
    }
}

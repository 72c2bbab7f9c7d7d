//! Leases in Postgres or `SQLite`.

use std::time::Duration;

use async_trait::async_trait;
use pkg_db::{Database, on};
use pkg_definition::Key;
use sqlx::{FromRow, QueryBuilder, Sqlite};
use uuid::Uuid;

use super::leases::{Lease, LeaseStore};
use super::{QueueId, StoreError};

/// The database's clock in milliseconds. It goes on within a statement that waits.
macro_rules! postgres_now {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT"
    };
}
/// The same in `SQLite`.
macro_rules! sqlite_now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

/// After how long (ms) a worker that is not alive is forgotten.
const FORGOTTEN_AFTER_MS: i64 = 3_600_000;

/// The leases of a database.
#[derive(Debug, Clone)]
pub struct SqlLeases {
    database: Database,
}

#[derive(FromRow)]
struct Row {
    game_id: Uuid,
    queue_key: String,
    epoch: i64,
}

/// What differs between the databases: how the clock is read.
struct Texts {
    beat: &'static str,
    forget: &'static str,
    alive: &'static str,
}

macro_rules! texts {
    ($now:ident) => {
        Texts {
            beat: concat!(
                "INSERT INTO matchmaking_workers (worker_id, until_ms) VALUES ($1, ",
                $now!(),
                " + $2) ON CONFLICT (worker_id) DO UPDATE SET until_ms = excluded.until_ms"
            ),
            forget: concat!("DELETE FROM matchmaking_workers WHERE until_ms < ", $now!(), " - $1"),
            alive: concat!(
                "SELECT worker_id FROM matchmaking_workers WHERE until_ms > ",
                $now!(),
                " ORDER BY worker_id"
            ),
        }
    };
}

/// After `FROM` what gives game and queue: takes leases that nobody has, or renews them.
macro_rules! acquire {
    ($now:ident, $queues:literal) => {
        concat!(
            "INSERT INTO queue_leases (game_id, queue_key, worker_id, epoch, until_ms) SELECT game, queue, $1, 1, ",
            $now!(),
            " + $2 FROM ",
            $queues,
            " WHERE TRUE ORDER BY game, queue ON CONFLICT (game_id, queue_key) DO UPDATE SET",
            " epoch = queue_leases.epoch + CASE WHEN queue_leases.until_ms > ",
            $now!(),
            " THEN 0 ELSE 1 END,",
            " worker_id = excluded.worker_id, until_ms = excluded.until_ms",
            " WHERE queue_leases.worker_id = excluded.worker_id OR queue_leases.until_ms <= ",
            $now!(),
            " RETURNING game_id, queue_key, epoch"
        )
    };
}

const POSTGRES: Texts = texts!(postgres_now);
const SQLITE: Texts = texts!(sqlite_now);

impl SqlLeases {
    /// The leases of this database, which has the newest migrations.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl LeaseStore for SqlLeases {
    async fn beat(&self, worker: Uuid, lifetime: Duration) -> Result<Vec<Uuid>, StoreError> {
        let texts = match &self.database {
            Database::Postgres(_) => POSTGRES,
            Database::Sqlite(_) => SQLITE,
        };
        Ok(on!(self.database, pool => {
            sqlx::query(texts.beat).bind(worker).bind(millis(lifetime)).execute(pool).await?;
            sqlx::query(texts.forget).bind(FORGOTTEN_AFTER_MS).execute(pool).await?;
            sqlx::query_scalar(texts.alive).fetch_all(pool).await?
        }))
    }

    async fn acquire(&self, worker: Uuid, queues: &[QueueId], lifetime: Duration) -> Result<Vec<Lease>, StoreError> {
        let mut rows: Vec<Row> = Vec::new();
        match &self.database {
            Database::Postgres(pool) => {
                const ACQUIRE: &str = acquire!(postgres_now, "unnest($3::uuid[], $4::text[]) AS wanted (game, queue)");
                let (games, keys) = columns(queues);
                let acquire = sqlx::query_as(ACQUIRE).bind(worker).bind(millis(lifetime)).bind(games).bind(keys);
                rows.extend(acquire.fetch_all(pool).await?);
            }
            Database::Sqlite(pool) => {
                const ACQUIRE: &str = acquire!(sqlite_now, "(SELECT $3 AS game, $4 AS queue)");
                let mut transaction = pkg_db::begin(pool).await?;
                for queue in queues {
                    let acquire = sqlx::query_as(ACQUIRE).bind(worker).bind(millis(lifetime));
                    let acquire = acquire.bind(queue.game).bind(queue.key.as_str());
                    rows.extend(acquire.fetch_optional(&mut *transaction).await?);
                }
                transaction.commit().await?;
            }
        }
        rows.into_iter().map(Lease::try_from).collect()
    }

    async fn renew(&self, worker: Uuid, queues: &[QueueId], lifetime: Duration) -> Result<Vec<Lease>, StoreError> {
        let rows: Vec<Row> = match &self.database {
            Database::Postgres(pool) => {
                const RENEW: &str = concat!(
                    "UPDATE queue_leases SET until_ms = ",
                    postgres_now!(),
                    " + $2 FROM unnest($3::uuid[], $4::text[]) AS held (game, queue)",
                    " WHERE game_id = game AND queue_key = queue AND worker_id = $1 AND until_ms > ",
                    postgres_now!(),
                    " RETURNING game_id, queue_key, epoch"
                );
                let (games, keys) = columns(queues);
                sqlx::query_as(RENEW).bind(worker).bind(millis(lifetime)).bind(games).bind(keys).fetch_all(pool).await?
            }
            Database::Sqlite(pool) => {
                let mut query = QueryBuilder::new(concat!("UPDATE queue_leases SET until_ms = ", sqlite_now!(), " + "));
                query.push_bind(millis(lifetime)).push(concat!(" WHERE until_ms > ", sqlite_now!()));
                query.push(" AND worker_id = ").push_bind(worker);
                push_queues(&mut query, queues);
                query.push(" RETURNING game_id, queue_key, epoch").build_query_as().fetch_all(pool).await?
            }
        };
        rows.into_iter().map(Lease::try_from).collect()
    }

    async fn release(&self, worker: Uuid, queues: &[QueueId]) -> Result<(), StoreError> {
        match &self.database {
            Database::Postgres(pool) => {
                const RELEASE: &str = "UPDATE queue_leases SET until_ms = 0 \
                     FROM unnest($2::uuid[], $3::text[]) AS held (game, queue) \
                     WHERE game_id = game AND queue_key = queue AND worker_id = $1";
                let (games, keys) = columns(queues);
                sqlx::query(RELEASE).bind(worker).bind(games).bind(keys).execute(pool).await?;
            }
            Database::Sqlite(pool) => {
                let mut query = QueryBuilder::new("UPDATE queue_leases SET until_ms = 0 WHERE worker_id = ");
                query.push_bind(worker);
                push_queues(&mut query, queues);
                query.build().execute(pool).await?;
            }
        }
        Ok(())
    }

    async fn leave(&self, worker: Uuid) -> Result<(), StoreError> {
        const RELEASE_ALL: &str = "UPDATE queue_leases SET until_ms = 0 WHERE worker_id = $1";
        const LEAVE: &str = "DELETE FROM matchmaking_workers WHERE worker_id = $1";
        on!(self.database, pool => {
            sqlx::query(RELEASE_ALL).bind(worker).execute(pool).await?;
            sqlx::query(LEAVE).bind(worker).execute(pool).await?;
        });
        Ok(())
    }
}

/// Those of these queues.
fn push_queues(query: &mut QueryBuilder<Sqlite>, queues: &[QueueId]) {
    query.push(" AND (FALSE");
    for queue in queues {
        query.push(" OR (game_id = ").push_bind(queue.game);
        query.push(" AND queue_key = ").push_bind(queue.key.as_str().to_owned()).push(")");
    }
    query.push(")");
}

fn columns(queues: &[QueueId]) -> (Vec<Uuid>, Vec<&str>) {
    queues.iter().map(|queue| (queue.game, queue.key.as_str())).unzip()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl TryFrom<Row> for Lease {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let key = Key::parse(&row.queue_key).ok_or_else(|| StoreError::broken("a lease is damaged"))?;
        Ok(Self { queue: QueueId { game: row.game_id, key }, epoch: row.epoch })
    }
}

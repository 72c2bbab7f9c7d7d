//! Typed pools for Postgres and `SQLite`, migrations, error mapping.
//!
//! One SQL text serves both databases through [`on!`], which expands its body once per typed pool. What such a text may
//! use: `$1` placeholders, `RETURNING`, `ON CONFLICT`, and the column types `UUID` (`Uuid`), `BYTEA` (`Vec<u8>`),
//! `TEXT`, `BIGINT` (`i64`), `BOOLEAN`. Times are `BIGINT` columns named `*_ms`, see [`to_millis`].

mod error;
mod migration;
mod millis;
mod revocations;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

pub use error::{ConnectError, is_unavailable, violates_unique};
pub use migration::{MigrationError, MigrationStatus, migrate_down, migrate_up, status};
pub use millis::{from_millis, to_millis};
pub use revocations::SqlRevocations;
pub use transaction::begin;

/// A Postgres connection that has rested for longer is tested before it is used.
const TRUSTED_WHEN_IDLE: Duration = Duration::from_secs(1);
/// How long `SQLite` waits for another process that holds the file's write lock.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for the one `SQLite` connection.
const SQLITE_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// `SQLite` has one writer at a time whatever we do. With one connection, callers queue fairly in the pool, and a
/// transaction that reads before it writes can never fail because another one wrote in between.
const SQLITE_CONNECTIONS: u32 = 1;

/// A database: Postgres, or `SQLite` in a file or in memory. Cloning shares the pool.
#[derive(Clone, Debug)]
pub enum Database {
    /// The real store.
    Postgres(PgPool),
    /// The embedded store.
    Sqlite(SqlitePool),
}

/// How to use a Postgres server.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// The most connections that this pool opens.
    pub max_connections: u32,
    /// How long a caller waits for a connection, and how long the first connection may take.
    pub acquire_timeout: Duration,
    /// After this long the server ends a statement. Migrations are exempt.
    pub statement_timeout: Duration,
    /// The schema to use, which must exist; `None` for the server's default.
    pub schema: Option<String>,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(5),
            schema: None,
        }
    }
}

impl Database {
    /// Connects to Postgres (`postgres://user:password@host:port/database`) and makes sure that it answers; later
    /// connections are opened as they are needed.
    ///
    /// A server that is gone later is not an error here but one that [`is_unavailable`] at the call that meets it.
    pub async fn postgres(url: &str, settings: PostgresSettings) -> Result<Self, ConnectError> {
        let statement_timeout = settings.statement_timeout.as_millis().to_string();
        let options: PgConnectOptions = url.parse().map_err(ConnectError::Address)?;
        // A plan for any arguments is right for look-ups by key, and is made once per connection.
        let plans = ("plan_cache_mode", "force_generic_plan".to_owned());
        let mut options = options.application_name("muster").options([("statement_timeout", statement_timeout), plans]);
        if let Some(schema) = &settings.schema {
            options = options.options([("search_path", schema)]);
        }

        // The pool itself answers "timed out" to every failure; a connection made by hand says what is wrong.
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let first = tokio::time::timeout(settings.acquire_timeout, options.connect()).await;
        let failed = |source| ConnectError::Refused { server: server.clone(), source };
        match first {
            Ok(Ok(connection)) => connection.close().await.map_err(failed)?,
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(ConnectError::TimedOut { server, after: settings.acquire_timeout }),
        }

        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            // By default every use begins with a ping, which is a round trip. A connection in steady use proves itself;
            // one that has rested may have been cut off, and is replaced without the caller noticing.
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    if metadata.idle_for > TRUSTED_WHEN_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self::Postgres(pool))
    }

    /// Opens an `SQLite` database in a file, which is made if it is missing; its folder must exist.
    ///
    /// A killed process loses nothing. A power cut or a crash of the operating system may lose the transactions since
    /// the last checkpoint (the write-ahead log is not synced at each commit), but never damages the database.
    pub async fn sqlite_file(path: &Path) -> Result<Self, ConnectError> {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        Self::sqlite(options, &path.display().to_string()).await
    }

    /// An `SQLite` database in memory, gone with the last clone of this value.
    pub async fn sqlite_memory() -> Result<Self, ConnectError> {
        Self::sqlite(SqliteConnectOptions::new().in_memory(true), "memory").await
    }

    async fn sqlite(options: SqliteConnectOptions, name: &str) -> Result<Self, ConnectError> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(SQLITE_BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(SQLITE_CONNECTIONS)
            .min_connections(SQLITE_CONNECTIONS)
            .acquire_timeout(SQLITE_ACQUIRE_TIMEOUT)
            // A database in memory lives as long as its connection.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|source| ConnectError::Refused { server: name.to_owned(), source })?;
        Ok(Self::Sqlite(pool))
    }

    /// Asks the database for an answer, for a health check.
    pub async fn ping(&self, timeout: Duration) -> Result<(), sqlx::Error> {
        let ping = async { on!(self, pool => sqlx::query("SELECT 1").execute(pool).await.map(|_| ())) };
        tokio::time::timeout(timeout, ping).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Closes the pool: waits until connections in use come back, and refuses new callers.
    pub async fn close(&self) {
        on!(self, pool => pool.close().await);
    }
}

/// Runs one body with the pool of either database: it is expanded once per typed pool, so each arm is checked by itself.
///
/// ```
/// # async fn example(database: pkg_db::Database) -> Result<(), sqlx::Error> {
/// let admins: i64 = pkg_db::on!(database, pool => {
///     sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE role = $1").bind("admin").fetch_one(pool).await?
/// });
/// # let _ = admins;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! on {
    ($database:expr, $pool:ident => $body:expr) => {
        match &$database {
            $crate::Database::Postgres($pool) => $body,
            $crate::Database::Sqlite($pool) => $body,
        }
    };
}

#[cfg(test)]
mod tests;

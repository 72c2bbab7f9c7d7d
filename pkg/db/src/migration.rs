//! The history of the schema, embedded into the executable.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Acquire, Connection, Executor};
use thiserror::Error;
use time::OffsetDateTime;

use crate::{Database, on};

/// What both databases have.
static SHARED: Migrator = sqlx::migrate!("../../migrations");
/// What only the embedded store has, since the real one is Redis.
static EMBEDDED: Migrator = sqlx::migrate!("../../migrations/embedded");

static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| history(&[&SHARED]));
static SQLITE: LazyLock<Migrator> = LazyLock::new(|| history(&[&SHARED, &EMBEDDED]));

/// A change of the schema could not be made. What was complete stays; the migration that failed is rolled back.
#[derive(Debug, Error)]
pub enum MigrationError {
    /// There is no migration of this version.
    #[error("there is no migration {0}")]
    UnknownVersion(i64),
    /// The database could not be reached.
    #[error("the database cannot be migrated")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or was changed after it had been applied.
    #[error("a migration failed")]
    Migration(#[from] MigrateError),
}

/// One migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its place in the history.
    pub version: i64,
    /// What it is about.
    pub name: String,
    /// When the database got it.
    pub applied_at: Option<OffsetDateTime>,
    /// Whether this executable has it; if not, a newer one applied it.
    pub known: bool,
}

/// Applies what is missing, up to and including version `to`, or everything.
///
/// Processes that start at once wait for one another. Versions that only a newer executable knows are left alone, so an
/// old replica can start beside new ones.
pub async fn migrate_up(database: &Database, to: Option<i64>) -> Result<(), MigrationError> {
    match database {
        Database::Postgres(pool) => {
            let to = to.map(|version| known(&POSTGRES, version)).transpose()?;
            let mut connection = connection_without_limits(pool).await?;
            let outcome = up(&POSTGRES, to, &mut connection).await;
            // Closing releases the migrator's lock, which it keeps when it fails.
            connection.close().await?;
            outcome
        }
        Database::Sqlite(pool) => {
            let to = to.map(|version| known(&SQLITE, version)).transpose()?;
            // The migrator does not lock SQLite; this keeps other processes out, and undoes all of it or nothing.
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            up(&SQLITE, to, &mut *transaction).await?;
            Ok(transaction.commit().await?)
        }
    }
}

/// Reverts every migration after version `to`, newest first; 0 reverts all. The data in what they made is lost.
pub async fn migrate_down(database: &Database, to: i64) -> Result<(), MigrationError> {
    match database {
        Database::Postgres(pool) => {
            let to = if to == 0 { to } else { known(&POSTGRES, to)? };
            let mut connection = connection_without_limits(pool).await?;
            let outcome = down(&POSTGRES, to, &mut connection).await;
            connection.close().await?;
            outcome
        }
        Database::Sqlite(pool) => {
            let to = if to == 0 { to } else { known(&SQLITE, to)? };
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            down(&SQLITE, to, &mut *transaction).await?;
            Ok(transaction.commit().await?)
        }
    }
}

/// Every migration that this executable knows or the database has, oldest first.
pub async fn status(database: &Database) -> Result<Vec<MigrationStatus>, MigrationError> {
    let (migrator, started) = match database {
        Database::Postgres(pool) => {
            let exists = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
            (&POSTGRES, sqlx::query_scalar(exists).fetch_one(pool).await?)
        }
        Database::Sqlite(pool) => {
            let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')";
            (&SQLITE, sqlx::query_scalar(exists).fetch_one(pool).await?)
        }
    };

    let mut all: BTreeMap<i64, MigrationStatus> = migrator
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration())
        .map(|migration| (migration.version, migration.description.to_string()))
        .map(|(version, name)| (version, MigrationStatus { version, name, applied_at: None, known: true }))
        .collect();
    if started {
        let applied: Vec<(i64, String, OffsetDateTime)> = on!(database, pool => {
            let text = "SELECT version, description, installed_on FROM _sqlx_migrations";
            sqlx::query_as(text).fetch_all(pool).await?
        });
        for (version, name, at) in applied {
            let unknown = MigrationStatus { version, name, applied_at: None, known: false };
            all.entry(version).or_insert(unknown).applied_at = Some(at);
        }
    }
    Ok(all.into_values().collect())
}

fn history(parts: &[&Migrator]) -> Migrator {
    let migrations = parts.iter().flat_map(|part| part.iter().cloned()).collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.set_ignore_missing(true);
    migrator
}

fn known(migrator: &Migrator, version: i64) -> Result<i64, MigrationError> {
    if migrator.version_exists(version) { Ok(version) } else { Err(MigrationError::UnknownVersion(version)) }
}

async fn up<C: Migrate>(migrator: &Migrator, to: Option<i64>, connection: &mut C) -> Result<(), MigrationError> {
    Ok(migrator.run_direct(to, connection, false).await?)
}

async fn down<'c, A>(migrator: &Migrator, to: i64, connection: A) -> Result<(), MigrationError>
where
    A: Acquire<'c>,
    <A::Connection as std::ops::Deref>::Target: Migrate,
{
    Ok(migrator.undo(connection, to).await?)
}

/// A connection outside the pool: a migration, and the wait for another process that migrates, may take long.
async fn connection_without_limits(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut connection = pool.acquire().await?.detach();
    connection.execute("SET statement_timeout = 0").await?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn versions_are_used_once_and_every_migration_can_be_reverted() {
        let versions = |direction: fn(&sqlx::migrate::MigrationType) -> bool| -> Vec<i64> {
            let all = SHARED.iter().chain(EMBEDDED.iter());
            all.filter(|migration| direction(&migration.migration_type)).map(|migration| migration.version).collect()
        };
        let up = versions(sqlx::migrate::MigrationType::is_up_migration);
        let down = versions(sqlx::migrate::MigrationType::is_down_migration);

        let distinct: BTreeSet<i64> = up.iter().copied().collect();
        assert_eq!(distinct.len(), up.len());
        assert_eq!(distinct, down.into_iter().collect());
    }
}

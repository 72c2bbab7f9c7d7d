//! The service on embedded stores, for tests.

mod leaderboards;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_bus::{MemoryBus, Retentions};
use pkg_db::Database;
use pkg_log::sqlite::{Settings, SqliteLog};

pub(crate) use self::leaderboards::Leaderboards;
use crate::{Deps, MemoryPresence, MemorySessions, SqlAccountPositions, SqlAnnouncements, SqlGames, SqlSessionCounts};

/// What the service works with, all of it in a migrated `SQLite` database and in memory.
///
/// # Panics
/// If the database is not `SQLite`.
pub(crate) fn embedded(database: &Database, ambient: &Ambient) -> Deps {
    let bus = MemoryBus::new(ambient.clone(), Retentions::default());
    Deps {
        games: SqlGames::new(database.clone()),
        session_counts: SqlSessionCounts::new(database.clone()),
        sessions: MemorySessions::new(ambient.clone(), bus.clone()).into(),
        account_positions: SqlAccountPositions::new(database.clone()),
        presence: Arc::new(MemoryPresence::new()),
        announcements: SqlAnnouncements::new(database.clone()),
        bus: Arc::new(bus),
        log: Arc::new(log(database, ambient)),
        leaderboards: Leaderboards::default().channel(),
        stores: Vec::new(),
        ambient: ambient.clone(),
    }
}

/// The log in the database.
pub(crate) fn log(database: &Database, ambient: &Ambient) -> SqliteLog {
    let Database::Sqlite(pool) = database else { panic!("the embedded log is in SQLite") };
    SqliteLog::start(pool.clone(), ambient.clone(), Settings::default())
}

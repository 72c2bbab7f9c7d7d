//! The game service on embedded stores.

use std::sync::Arc;

use game_service::{
    Deps, MemoryPresence, MemorySessions, SqlAccountPositions, SqlAnnouncements, SqlGames, SqlSessionCounts,
};
use pkg_ambient::Ambient;
use pkg_bus::{MemoryBus, Retentions};
use pkg_db::Database;
use pkg_log::Log;
use pkg_middleware::Service;

use crate::readiness::DatabaseReadiness;

/// Games in the database; sessions, presence and live events in memory.
pub fn embedded(database: &Database, log: Arc<dyn Log>, ambient: &Ambient) -> Service {
    let bus = MemoryBus::new(ambient.clone(), Retentions::default());
    game_service::build(Deps {
        games: SqlGames::new(database.clone()),
        session_counts: SqlSessionCounts::new(database.clone()),
        sessions: MemorySessions::new(ambient.clone(), bus.clone()).into(),
        account_positions: SqlAccountPositions::new(database.clone()),
        presence: Arc::new(MemoryPresence::new()),
        announcements: SqlAnnouncements::new(database.clone()),
        bus: Arc::new(bus),
        log,
        stores: vec![("sqlite", Arc::new(DatabaseReadiness(database.clone())))],
        ambient: ambient.clone(),
    })
}

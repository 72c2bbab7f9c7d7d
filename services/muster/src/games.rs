//! The game service with the stores of a role.

use std::sync::Arc;

use game_service::{
    Deps, MemoryPresence, MemorySessions, RedisPresence, RedisSessions, SqlAccountPositions, SqlAnnouncements,
    SqlGames, SqlSessionCounts,
};
use pkg_ambient::Ambient;
use pkg_bus::{MemoryBus, RedisBus};
use pkg_db::Database;
use pkg_log::Log;
use pkg_middleware::{AnyChannel, Service};

use crate::readiness::DatabaseReadiness;
use crate::stores::Opened;

/// The size of one message, both ways: after a gap a session comes whole, with 1 MiB of entities beside its own data.
pub const MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// Games in Postgres; sessions, presence and live events in Redis. The bus has to be the one of this process.
pub fn on_stores(
    opened: &Opened,
    bus: Arc<RedisBus>,
    log: Arc<dyn Log>,
    leaderboards: AnyChannel,
    ambient: &Ambient,
) -> Service {
    let Opened { database, redis } = opened;
    game_service::build(Deps {
        games: SqlGames::new(database.clone()),
        session_counts: SqlSessionCounts::new(database.clone()),
        sessions: RedisSessions::new(redis.clone(), bus.clone()).into(),
        account_positions: SqlAccountPositions::new(database.clone()),
        presence: Arc::new(RedisPresence::new(redis.clone())),
        announcements: SqlAnnouncements::new(database.clone()),
        bus,
        log,
        leaderboards,
        stores: opened.readiness(),
        ambient: ambient.clone(),
    })
}

/// Games in the database; sessions, presence and live events in memory. The bus has to be the one of this process.
pub fn embedded(
    database: &Database,
    bus: &MemoryBus,
    log: Arc<dyn Log>,
    leaderboards: AnyChannel,
    ambient: &Ambient,
) -> Service {
    game_service::build(Deps {
        games: SqlGames::new(database.clone()),
        session_counts: SqlSessionCounts::new(database.clone()),
        sessions: MemorySessions::new(ambient.clone(), bus.clone()).into(),
        account_positions: SqlAccountPositions::new(database.clone()),
        presence: Arc::new(MemoryPresence::new()),
        announcements: SqlAnnouncements::new(database.clone()),
        bus: Arc::new(bus.clone()),
        log,
        leaderboards,
        stores: vec![("sqlite", Arc::new(DatabaseReadiness(database.clone())))],
        ambient: ambient.clone(),
    })
}

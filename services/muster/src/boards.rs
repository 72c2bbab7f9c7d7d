//! The leaderboard service with the stores of a role.

use std::sync::Arc;

use leaderboard_service::{
    BoardStore, Deps, MemoryBoards, RedisBoards, SqlErasures, SqlHistory, SqlMatches, SqlPositions,
};
use pkg_ambient::Ambient;
use pkg_bus::{Bus, MemoryBus};
use pkg_db::Database;
use pkg_log::Log;
use pkg_middleware::{AnyChannel, Dependency, Service};

use crate::readiness::DatabaseReadiness;
use crate::stores::Opened;

/// The size of one message, both ways: a page of a thousand entries, each with 2 KiB of facts.
pub const MESSAGE_BYTES: usize = 3 * 1024 * 1024;

/// The history in Postgres, boards in Redis. The bus reaches those who watch wherever they are connected.
pub fn on_stores(
    opened: &Opened,
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    game: AnyChannel,
    ambient: &Ambient,
) -> Service {
    let boards = Arc::new(RedisBoards::new(opened.redis.clone()));
    build(&opened.database, boards, bus, log, game, opened.readiness(), ambient)
}

/// The history in the database, boards in memory. The bus has to be the one of this process.
pub fn embedded(
    database: &Database,
    bus: &MemoryBus,
    log: Arc<dyn Log>,
    game: AnyChannel,
    ambient: &Ambient,
) -> Service {
    let boards = Arc::new(MemoryBoards::new(ambient.clone()));
    let readiness: Vec<(_, Arc<dyn Dependency>)> = vec![("sqlite", Arc::new(DatabaseReadiness(database.clone())))];
    build(database, boards, Arc::new(bus.clone()), log, game, readiness, ambient)
}

fn build(
    database: &Database,
    boards: Arc<dyn BoardStore>,
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    game: AnyChannel,
    stores: Vec<(&'static str, Arc<dyn Dependency>)>,
    ambient: &Ambient,
) -> Service {
    leaderboard_service::build(Deps {
        history: SqlHistory::new(database.clone()),
        erasures: SqlErasures::new(database.clone()),
        matches: SqlMatches::new(database.clone()),
        positions: SqlPositions::new(database.clone()),
        boards,
        game,
        bus,
        log,
        stores,
        ambient: ambient.clone(),
    })
}

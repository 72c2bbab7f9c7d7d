//! The matchmaking service with the stores of a role.

use std::sync::Arc;

use matchmaking_service::{Deps, MemoryTickets, RedisTickets, SqlLeases, SqlMatches, SqlPositions, SqlRatings};
use pkg_ambient::Ambient;
use pkg_bus::{Bus, MemoryBus};
use pkg_db::Database;
use pkg_log::Log;
use pkg_middleware::{AnyChannel, Service};

use crate::readiness::DatabaseReadiness;
use crate::stores::Opened;

/// Matches in Postgres, tickets in Redis. The bus reaches players wherever they are connected.
pub fn on_stores(
    opened: &Opened,
    tickets: RedisTickets,
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    game: AnyChannel,
    ambient: &Ambient,
) -> Service {
    let database = &opened.database;
    matchmaking_service::build(Deps {
        tickets: Arc::new(tickets),
        matches: SqlMatches::new(database.clone()),
        ratings: SqlRatings::new(database.clone()),
        leases: SqlLeases::new(database.clone()),
        positions: SqlPositions::new(database.clone()),
        game,
        bus,
        log,
        stores: opened.readiness(),
        ambient: ambient.clone(),
    })
}

/// Matches in the database, tickets in memory. The bus has to be the one of this process.
pub fn embedded(
    database: &Database,
    bus: &MemoryBus,
    log: Arc<dyn Log>,
    game: AnyChannel,
    ambient: &Ambient,
) -> Service {
    matchmaking_service::build(Deps {
        tickets: Arc::new(MemoryTickets::new(ambient.clone())),
        matches: SqlMatches::new(database.clone()),
        ratings: SqlRatings::new(database.clone()),
        leases: SqlLeases::new(database.clone()),
        positions: SqlPositions::new(database.clone()),
        game,
        bus: Arc::new(bus.clone()),
        log,
        stores: vec![("sqlite", Arc::new(DatabaseReadiness(database.clone())))],
        ambient: ambient.clone(),
    })
}

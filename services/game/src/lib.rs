//! Games, sessions, live events, presence.
//!
//! It owns the catalogue: games, the revisions of their definitions, how much they are played (Postgres | SQLite).
//! It owns sessions and their entities (Redis | memory), with all that is told of them on the bus and in the log.
//! It owns presence (Redis | memory) and announcements (Postgres | SQLite), and serves live events from the bus.
//! [`build`] puts the parts together; [`access`] says who may call what.

pub mod access;
mod accounts_gone;
mod announcement;
mod attributes;
mod catalog;
mod entities;
mod entity;
mod grpc;
mod live;
mod play;
mod presence;
mod presence_signs;
mod publishing;
mod rules;
mod session;
mod session_message;
mod sessions;
mod store;
mod subscription;
#[cfg(test)]
mod testing;
mod timestamps;
mod topics;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::game::v1::catalog_service_server::CatalogServiceServer;
use pkg_bus::Bus;
use pkg_log::Log;
use pkg_middleware::{AnyChannel, Dependency, Service};

use crate::catalog::{Catalog, DefinitionFeed, SessionTally, Trending};
use crate::grpc::CatalogApi;
use crate::live::Live;
use crate::play::Play;
use crate::rules::CatalogGames;
use crate::sessions::{Parts, Sessions};
use crate::store::{EntityStore, GameStore, SessionCounts, SessionIndex, SessionStore};
pub use crate::store::{
    MemoryPresence, MemorySessions, PresenceStore, RedisPresence, RedisSessions, SqlAccountPositions, SqlAnnouncements,
    SqlGames, SqlSessionCounts,
};

/// What the service works with.
pub struct Deps {
    /// Games and their definitions.
    pub games: SqlGames,
    /// How many sessions were created.
    pub session_counts: SqlSessionCounts,
    /// Sessions and their entities.
    pub sessions: SessionStores,
    /// How far the log of accounts was followed.
    pub account_positions: SqlAccountPositions,
    /// Who is there.
    pub presence: Arc<dyn PresenceStore>,
    /// What admins have said.
    pub announcements: SqlAnnouncements,
    /// Live events; the one that the sessions publish on.
    pub bus: Arc<dyn Bus>,
    /// Where ends of sessions are recorded, and what becomes of accounts.
    pub log: Arc<dyn Log>,
    /// The leaderboard service, which knows the boards that have scores.
    pub leaderboards: AnyChannel,
    /// The stores, as health checks see them.
    pub stores: Vec<(&'static str, Arc<dyn Dependency>)>,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// A store of sessions, by its three ports.
#[derive(Clone)]
pub struct SessionStores {
    store: Arc<dyn SessionStore>,
    index: Arc<dyn SessionIndex>,
    entities: Arc<dyn EntityStore>,
}

impl From<MemorySessions> for SessionStores {
    fn from(store: MemorySessions) -> Self {
        let store = Arc::new(store);
        Self { store: store.clone(), index: store.clone(), entities: store }
    }
}

impl From<RedisSessions> for SessionStores {
    fn from(store: RedisSessions) -> Self {
        let store = Arc::new(store);
        Self { store: store.clone(), index: store.clone(), entities: store }
    }
}

/// The service, to be mounted on a server.
pub fn build(deps: Deps) -> Service {
    let Deps {
        games,
        session_counts,
        sessions,
        account_positions,
        presence,
        announcements,
        bus,
        log,
        leaderboards,
        stores,
        ambient,
    } = deps;
    let games: Arc<dyn GameStore> = Arc::new(games);
    let counts: Arc<dyn SessionCounts> = Arc::new(session_counts);
    let (feed, clock) = DefinitionFeed::new(games.clone());
    let tally = SessionTally::new(counts.clone(), ambient.clone());
    let SessionStores { store, index, entities } = sessions;
    let rules = Arc::new(CatalogGames::new(games.clone(), tally.clone()));
    let ports = Parts {
        store,
        index,
        entities,
        games: rules.clone(),
        bus: bus.clone(),
        log: log.clone(),
        ambient: ambient.clone(),
    };
    let sessions = Sessions::new(ports);
    let live = Live {
        bus,
        sessions: sessions.clone(),
        games: rules,
        presence,
        announcements: Arc::new(announcements),
        ambient: ambient.clone(),
    };
    let play = Play { sessions, log, positions: Arc::new(account_positions), ambient: ambient.clone() };
    let catalog = CatalogApi {
        catalog: Catalog::new(games.clone(), leaderboards, ambient.clone()),
        trending: Trending::new(counts, games, ambient.clone()),
        feed,
        ambient,
    };

    let service = Service::new("game")
        .add(CatalogServiceServer::new(catalog), access::CATALOG)
        .task("definition clock", |shutdown| clock.run(shutdown))
        .task("session tally", |shutdown| tally.run(shutdown));
    let service = live.mount(play.mount(service));
    stores.into_iter().fold(service, |service, (name, store)| service.needs(name, store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_rpc_has_its_access() {
        let database = pkg_db::testing::sqlite().await;
        let deps = testing::embedded(&database, &Ambient::system());
        build(deps).verify_access(pkg_api::descriptors()).expect("the tables fit the protos");
    }
}

//! Matchmaking: who plays whom, and how good they are.
//!
//! It owns tickets and the claims on them (Redis | memory), and matches, their seats and ratings (Postgres | SQLite). Which
//! games and queues there are it follows from the game service, which also creates the sessions of its matches. [`build`]
//! puts the parts together; [`access`] says who may call what.
//!
//! [`matcher`] says which of the waiting [`ticket`]s make a match, by the rules of their queue. [`rating`] says how good
//! players are after what they have played. All three are pure: time is an argument, and nothing is read or written.

pub mod access;
mod accounts_gone;
mod counters;
mod dispatch;
mod endings;
mod forgetting;
mod grpc;
mod in_flight;
pub mod matcher;
mod player_news;
mod queued_reports;
mod queues;
pub mod rating;
mod results;
mod runs;
mod seat_sweeper;
mod spreading;
mod store;
pub mod ticket;
mod ticket_message;
mod tickets;
mod waits;
mod worker;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::matchmaking::v1::matchmaking_service_server::MatchmakingServiceServer;
use pkg_bus::Bus;
use pkg_log::{Log, Positions};
use pkg_middleware::{AnyChannel, Dependency, Service};

use crate::accounts_gone::AccountsGone;
use crate::counters::Counters;
use crate::dispatch::Dispatcher;
use crate::endings::Endings;
use crate::forgetting::Forgetting;

use crate::grpc::MatchmakingApi;
use crate::in_flight::InFlight;
use crate::queued_reports::QueuedReports;
use crate::queues::Queues;
use crate::results::{RatingRules, ResultsFollower};
use crate::seat_sweeper::SeatSweeper;
use crate::spreading::Spreading;
use crate::store::{LeaseStore, MatchStore, RatingStore};
pub use crate::store::{MemoryTickets, RedisTickets, SqlLeases, SqlMatches, SqlPositions, SqlRatings, TicketStore};
use crate::tickets::{Ports, Tickets};
use crate::worker::Tools;

/// What the service works with.
pub struct Deps {
    /// Tickets and claims.
    pub tickets: Arc<dyn TicketStore>,
    /// Matches and seats.
    pub matches: SqlMatches,
    /// Ratings.
    pub ratings: SqlRatings,
    /// Which worker has which queue.
    pub leases: SqlLeases,
    /// How far the log of accounts was followed.
    pub positions: SqlPositions,
    /// The game service.
    pub game: AnyChannel,
    /// Live events; the one that clients follow.
    pub bus: Arc<dyn Bus>,
    /// Where matches are recorded, and what becomes of sessions and accounts.
    pub log: Arc<dyn Log>,
    /// The stores, as health checks see them.
    pub stores: Vec<(&'static str, Arc<dyn Dependency>)>,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// The service, to be mounted on a server.
pub fn build(deps: Deps) -> Service {
    let Deps { tickets, matches, ratings, leases, positions, game, bus, log, stores, ambient } = deps;
    let matches: Arc<dyn MatchStore> = Arc::new(matches);
    let ratings: Arc<dyn RatingStore> = Arc::new(ratings);
    let (queues, definitions) = Queues::new(game.clone());
    let (reports, reporter) = QueuedReports::new(game.clone());
    let (seen, watchers) = Tickets::new(Ports {
        tickets: tickets.clone(),
        matches: matches.clone(),
        ratings: ratings.clone(),
        queues: queues.clone(),
        bus: bus.clone(),
        reports: reports.clone(),
        ambient: ambient.clone(),
    });
    let api = MatchmakingApi { tickets: seen.clone(), ambient: ambient.clone() };
    let service = Service::new("matchmaking")
        .add(MatchmakingServiceServer::new(api), access::MATCHMAKING)
        .needs("definitions", Arc::new(queues.readiness()))
        .task("definitions of games", |shutdown| definitions.run(shutdown))
        .task("watchers of tickets", |shutdown| watchers.run(shutdown))
        .task("presence in queues", |shutdown| reporter.run(shutdown));
    let works = Works { tickets, seen, matches, ratings, queues, reports, game, bus, log, ambient };
    let service = works.mount(service, Arc::new(leases), Arc::new(positions));
    stores.into_iter().fold(service, |service, (name, store)| service.needs(name, store))
}

/// What makes matches, and follows what becomes of them.
struct Works {
    tickets: Arc<dyn TicketStore>,
    seen: Tickets,
    matches: Arc<dyn MatchStore>,
    ratings: Arc<dyn RatingStore>,
    queues: Queues,
    reports: QueuedReports,
    game: AnyChannel,
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    ambient: Ambient,
}

impl Works {
    fn mount(self, service: Service, leases: Arc<dyn LeaseStore>, positions: Arc<dyn Positions>) -> Service {
        let Self { tickets, seen, matches, ratings, queues, reports, game, bus, log, ambient } = self;
        let counters = Counters::new();
        let endings = Endings { tickets: tickets.clone(), bus: bus.clone(), reports, ambient: ambient.clone() };
        let dispatcher = Dispatcher::new(dispatch::Parts {
            game: game.clone(),
            log: log.clone(),
            bus,
            matches: matches.clone(),
            tickets: tickets.clone(),
            endings: endings.clone(),
            watched: seen,
            ambient: ambient.clone(),
            counters: counters.clone(),
        });
        let tools = Tools {
            tickets: tickets.clone(),
            matches: matches.clone(),
            queues: queues.clone(),
            dispatcher,
            endings: endings.clone(),
            in_flight: InFlight::new(counters.in_flight.clone()),
            ambient: ambient.clone(),
            counters: counters.clone(),
        };
        let spreading = Spreading::new(leases, Arc::new(tools));
        let accounts_gone = AccountsGone {
            log: log.clone(),
            positions,
            tickets,
            ratings: ratings.clone(),
            queues: queues.clone(),
            endings,
        };
        let forgetting = Forgetting { matches: matches.clone(), ratings: ratings.clone(), ambient: ambient.clone() };
        let seats = SeatSweeper { matches, game: game.clone(), ambient: ambient.clone(), counters: counters.clone() };
        let rules = RatingRules::new(game);
        let results = ResultsFollower { log, ratings, rules, ambient, counters };
        service
            .task("workers of queues", |shutdown| spreading.run(shutdown))
            .task("results of matches", |shutdown| results.run(shutdown))
            .task("seats of sessions that ended", |shutdown| seats.run(shutdown))
            .task("tickets of accounts that are gone", |shutdown| accounts_gone.run(shutdown))
            .task("matches that are over", |shutdown| forgetting.run(shutdown))
    }
}

#[cfg(test)]
mod tests;

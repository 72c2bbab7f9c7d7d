//! Stores, a log, a bus, and a game service of the test's own: what the worker and its neighbours work with.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::{Ambient, Clock};
use pkg_api::log::v1::Record;
use pkg_bus::{Bus, MemoryBus, Retentions};
use pkg_db::Database;
use pkg_db::testing::TestDatabase;
use pkg_definition::{Attributes, Region, TeamName};
use pkg_log::sqlite::{Settings, SqliteLog};
use pkg_log::{Log, Start, Topic};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::counters::Counters;
use crate::dispatch::{self, Dispatcher};
use crate::endings::Endings;
use crate::grpc::harness::{GAME, Game, Sessions, channel, definition};
use crate::in_flight::InFlight;
use crate::queued_reports::QueuedReports;
use crate::queues::Queues;
use crate::rating::Rating;
use crate::store::{
    Created, Match, MatchPlayer, MatchStore, MatchTeam, MemoryTickets, NewTicket, QueueId, RatingStore, SqlMatches,
    SqlRatings, Stored, TicketStatus, TicketStore,
};
use crate::ticket::{Latencies, Player, Regions, Ticket};
use crate::tickets::{Ports, Tickets};
use crate::worker::Tools;
use pkg_middleware::AnyChannel;

pub(crate) use crate::grpc::harness::{player, until};

/// How fast the clock of the world runs: deadlines come sooner than in earnest.
const FASTER: u32 = 10;

/// What processes of matchmaking share.
pub(crate) struct World {
    pub(crate) tickets: Arc<dyn TicketStore>,
    pub(crate) matches: Arc<dyn MatchStore>,
    pub(crate) ratings: Arc<dyn RatingStore>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) log: Arc<SqliteLog>,
    pub(crate) game: Game,
    pub(crate) sessions: Sessions,
    pub(crate) queues: Queues,
    pub(crate) ambient: Ambient,
    pub(crate) database: TestDatabase,
    _log_database: TestDatabase,
    _follower: DropGuard,
}

/// Runs faster than the machine's.
struct FastClock {
    first: OffsetDateTime,
    began: Instant,
}

impl Clock for FastClock {
    fn now(&self) -> OffsetDateTime {
        self.first + self.began.elapsed() * FASTER
    }
}

impl World {
    /// In memory.
    pub(crate) async fn start() -> Self {
        let database = pkg_db::testing::sqlite().await;
        let ambient = Self::clock();
        let tickets = Arc::new(MemoryTickets::new(ambient.clone()));
        Self::over(tickets, database, ambient).await
    }

    /// A clock for stores of the test's own.
    pub(crate) fn clock() -> Ambient {
        // Not before the time that real stores go by.
        let first = Ambient::system().now();
        Ambient::with_clock(Arc::new(FastClock { first, began: Instant::now() }))
    }

    pub(crate) async fn over(tickets: Arc<dyn TicketStore>, database: TestDatabase, ambient: Ambient) -> Self {
        let log_database = pkg_db::testing::sqlite().await;
        let Database::Sqlite(pool) = &*log_database else { unreachable!("it is SQLite") };
        let log = Arc::new(SqliteLog::start(pool.clone(), Ambient::system(), Settings::default()));
        let (game, sessions) = (Game::default(), Sessions::new());
        game.define(GAME, definition());
        let (queues, follower) = Queues::new(channel(&game, &sessions));
        let stop = CancellationToken::new();
        tokio::spawn(follower.run(stop.clone()));
        queues.caught_up().await;
        Self {
            tickets,
            matches: Arc::new(SqlMatches::new(database.clone())),
            ratings: Arc::new(SqlRatings::new(database.clone())),
            bus: Arc::new(MemoryBus::new(ambient.clone(), Retentions::default())),
            log,
            game,
            sessions,
            queues,
            ambient,
            database,
            _log_database: log_database,
            _follower: stop.drop_guard(),
        }
    }

    pub(crate) fn channel(&self) -> AnyChannel {
        channel(&self.game, &self.sessions)
    }

    pub(crate) fn endings(&self) -> Endings {
        let (reports, _reporter) = QueuedReports::new(self.channel());
        let (tickets, bus, ambient) = (self.tickets.clone(), self.bus.clone(), self.ambient.clone());
        Endings { tickets, bus, reports, ambient }
    }

    /// What one process has.
    pub(crate) fn process(&self) -> Arc<Tools> {
        let counters = Counters::new();
        let endings = self.endings();
        let (reports, _reporter) = QueuedReports::new(self.channel());
        let (watched, _watchers) = Tickets::new(Ports {
            tickets: self.tickets.clone(),
            matches: self.matches.clone(),
            ratings: self.ratings.clone(),
            queues: self.queues.clone(),
            bus: self.bus.clone(),
            reports,
            ambient: self.ambient.clone(),
        });
        let dispatcher = Dispatcher::new(dispatch::Parts {
            game: self.channel(),
            log: self.log.clone(),
            bus: self.bus.clone(),
            matches: self.matches.clone(),
            tickets: self.tickets.clone(),
            endings: endings.clone(),
            watched,
            ambient: self.ambient.clone(),
            counters: counters.clone(),
        });
        Arc::new(Tools {
            tickets: self.tickets.clone(),
            matches: self.matches.clone(),
            queues: self.queues.clone(),
            dispatcher,
            endings,
            in_flight: InFlight::new(metrics::gauge!("test")),
            ambient: self.ambient.clone(),
            counters,
        })
    }

    /// A ticket of one player.
    pub(crate) fn ticket(&self, number: u128) -> NewTicket {
        let created = self.ambient.now().truncate_to_millisecond();
        let player = Player {
            id: player(number),
            rating: Rating::new(25.0, 8.0).expect("finite"),
            latencies: Latencies::UNKNOWN,
            properties: Attributes::default(),
        };
        let ticket = Ticket { id: self.ambient.id(), players: vec![player], regions: Regions::NONE, created };
        NewTicket { ticket, queue: duel(), expires: created + Duration::from_mins(5) }
    }

    /// Puts a player into "duel".
    pub(crate) async fn queue(&self, number: u128) -> Uuid {
        let new = self.ticket(number);
        assert_eq!(self.tickets.create(&new).await.expect("the store is there"), Created::Done);
        new.ticket.id
    }

    /// A match of two tickets of these players.
    pub(crate) fn match_of(&self, players: [(u128, Uuid); 2]) -> Match {
        let team = |(number, ticket)| MatchTeam {
            name: TeamName::parse(&format!("team-{number}")),
            players: vec![MatchPlayer { player: player(number), ticket, wait: Duration::from_secs(1) }],
            win_probability: Some(0.5),
        };
        Match {
            id: self.ambient.id(),
            queue: duel(),
            session: self.ambient.id(),
            region: Region::Global,
            teams: players.map(team).into(),
            definition_revision: 1,
            created: self.ambient.now().truncate_to_millisecond(),
        }
    }

    pub(crate) async fn stored(&self, ticket: Uuid) -> Stored {
        let found = self.tickets.load(&[ticket]).await.expect("the store is there");
        found.into_iter().next().flatten().expect("the ticket is there")
    }

    pub(crate) async fn status(&self, ticket: Uuid) -> TicketStatus {
        self.stored(ticket).await.status
    }

    /// Waits until a ticket has such a status.
    pub(crate) async fn until(&self, ticket: Uuid, is_it: impl Fn(TicketStatus) -> bool) -> TicketStatus {
        until(async || Some(self.status(ticket).await).filter(|status| is_it(*status))).await
    }

    /// Waits until a ticket is matched, and says in which match.
    pub(crate) async fn matched(&self, ticket: Uuid) -> Uuid {
        let status = self.until(ticket, |status| matches!(status, TicketStatus::Matched(_))).await;
        let TicketStatus::Matched(id) = status else { unreachable!("it was waited for") };
        id
    }

    /// All records of the topic of matches that are of a queue.
    pub(crate) async fn records(&self, queue: &QueueId) -> Vec<Record> {
        let partition = Topic::Matches.partition_of(&format!("{}/{}", queue.game, queue.key));
        let range = self.log.range(Topic::Matches, partition).await.expect("the log is there");
        let mut reader = self.log.read(Topic::Matches, partition, Start::Beginning).await.expect("the log is there");
        let mut records = Vec::new();
        while records.len() < usize::try_from(range.end - range.first).expect("a length") {
            let entries = reader.next(1_000).await.expect("the log is there");
            records.extend(entries.into_iter().map(|entry| entry.record.expect("a record")));
        }
        records
    }
}

/// The queue of pairs.
pub(crate) fn duel() -> QueueId {
    crate::grpc::harness::queue("duel")
}

//! Tickets on embedded stores, without a worker: what it would do, the test does.

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pkg_api::game::v1 as game_api;
use pkg_api::matchmaking::v1::matchmaking_service_server::MatchmakingServiceServer;
use pkg_bus::{MemoryBus, Retentions};
use pkg_definition::{Key, Region};
use time::OffsetDateTime;
use tokio::sync::broadcast;

use super::*;
use crate::access;
use crate::grpc::MatchmakingApi;
use crate::queued_reports::QueuedReports;
use crate::queues::Queues;
use crate::store::{
    Acknowledgement, Arrival, ArrivalNumber, Claim, Claimed, Created, Dispatched, EndOutcome, EndReason, Explanation,
    Fenced, GiveBack, MadeClaim, Match, MatchPlayer, MatchStore, MatchTeam, MemoryTickets, NewTicket, News, QueueId,
    RatingStore, Sign, Signed, SqlMatches, SqlRatings, StoreError, Stored, TicketStore,
};
use crate::tickets::{Ports, Tickets};

pub(crate) const GAME: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0050);

/// A server whose tickets the test holds in its hands.
pub(crate) struct World {
    pub(crate) harness: Harness,
    pub(crate) store: Arc<Losable>,
    pub(crate) matches: Arc<dyn MatchStore>,
    pub(crate) ratings: Arc<dyn RatingStore>,
    pub(crate) bus: Arc<dyn Bus>,
}

/// A queue of the game.
pub(crate) fn queue(key: &str) -> QueueId {
    QueueId { game: GAME, key: Key::parse(key).expect("a key") }
}

/// "duel": one against one, rated; "siege": teams of two, two regions, with limits of latency and a property; "casual":
/// everyone for themselves, not rated.
pub(crate) fn definition() -> game_api::GameDefinition {
    use game_api::queue_definition::Format;
    let teams = |size| Format::Teams(game_api::TeamFormat { team_count: 2, min_team_size: size, max_team_size: size });
    let duel = game_api::QueueDefinition {
        key: "duel".to_owned(),
        format: Some(teams(1)),
        rating: Some(game_api::RatingRule::default()),
        ..Default::default()
    };
    let span = |millis: i32| Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 });
    let siege = game_api::QueueDefinition {
        key: "siege".to_owned(),
        format: Some(teams(2)),
        region: Some(game_api::RegionRule {
            regions: vec![game_api::Region::EuWest.into(), game_api::Region::NaEast.into()],
            ..Default::default()
        }),
        latency: Some(game_api::LatencyRule { start: span(50), growth_per_second: span(10), ceiling: span(100) }),
        properties: vec![game_api::PropertyRule {
            property: "level".to_owned(),
            check: Some(game_api::property_rule::Check::Equality(game_api::PropertyEquality {})),
            ..Default::default()
        }],
        ..Default::default()
    };
    let all = game_api::FreeForAllFormat { min_players: 2, max_players: 8 };
    let casual = game_api::QueueDefinition {
        key: "casual".to_owned(),
        format: Some(Format::FreeForAll(all)),
        ..Default::default()
    };
    let rules = game_api::SessionRules { max_players: 8, ..Default::default() };
    game_api::GameDefinition { session_rules: Some(rules), queues: vec![duel, siege, casual], ..Default::default() }
}

/// A wish for a queue.
pub(crate) fn wish(key: &str) -> api::CreateTicketRequest {
    api::CreateTicketRequest { game_id: GAME.to_string(), queue_key: key.to_owned(), ..Default::default() }
}

impl World {
    pub(crate) async fn start() -> Self {
        let parts = Mutex::new(None);
        let harness = Harness::start(|ground| {
            let Ground { database, game, ambient } = ground;
            let (queues, follower) = Queues::new(game.clone());
            let (reports, reporter) = QueuedReports::new(game);
            let store = Arc::new(Losable::new(ambient.clone()));
            let matches: Arc<dyn MatchStore> = Arc::new(SqlMatches::new(database.clone()));
            let ratings: Arc<dyn RatingStore> = Arc::new(SqlRatings::new(database));
            let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(ambient.clone(), Retentions::default()));
            let (tickets, watchers) = Tickets::new(Ports {
                tickets: store.clone(),
                matches: matches.clone(),
                ratings: ratings.clone(),
                queues: queues.clone(),
                bus: bus.clone(),
                reports,
                ambient: ambient.clone(),
            });
            *parts.lock().unwrap() = Some((store, matches, ratings, bus));
            Service::new("matchmaking")
                .add(MatchmakingServiceServer::new(MatchmakingApi { tickets, ambient }), access::MATCHMAKING)
                .needs("definitions", Arc::new(queues.readiness()))
                .task("definitions", |shutdown| follower.run(shutdown))
                .task("presence", |shutdown| reporter.run(shutdown))
                .task("watchers", |shutdown| watchers.run(shutdown))
        })
        .await;
        harness.game.define(GAME, definition());
        let (store, matches, ratings, bus) = parts.into_inner().unwrap().expect("it was built");
        Self { harness, store, matches, ratings, bus }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.harness.ambient.now()
    }

    /// A ticket of a player in "duel".
    pub(crate) async fn queued(&self, number: u128) -> Uuid {
        let created = self.harness.player(number).create_ticket(wish("duel")).await.expect("it is created");
        Uuid::try_parse(&created.into_inner().ticket.expect("a ticket").ticket_id).expect("an id")
    }

    /// Claims tickets of players in "duel" for a match.
    pub(crate) async fn claim(&self, players: &[(u128, Uuid)]) -> Match {
        let id = self.harness.ambient.id();
        let tickets = players.iter().map(|(_, ticket)| *ticket).collect();
        let claim = Claim { match_id: id, tickets, deadline: self.now() + Duration::from_secs(5) };
        let claimed = self.store.claim(&queue("duel"), 1, &[claim]).await.expect("the store is there");
        assert_eq!(claimed, Ok(vec![Claimed::Done]));
        self.match_of(id, players)
    }

    fn match_of(&self, id: Uuid, players: &[(u128, Uuid)]) -> Match {
        let team = |(number, ticket): &(u128, Uuid)| MatchTeam {
            name: None,
            players: vec![MatchPlayer { player: player(*number), ticket: *ticket, wait: Duration::from_secs(2) }],
            win_probability: Some(0.5),
        };
        Match {
            id,
            queue: queue("duel"),
            session: self.harness.ambient.id(),
            region: Region::Global,
            teams: players.iter().map(team).collect(),
            definition_revision: 1,
            created: self.now(),
        }
    }

    /// Records a match whose session is there.
    pub(crate) async fn record(&self, made: &Match) {
        let recorded = self.matches.record(std::slice::from_ref(made), self.now()).await.expect("it is recorded");
        assert_eq!(recorded, [crate::store::Recorded::Done]);
        let dispatched = Dispatched { match_id: made.id, session_cursor: "begin".to_owned() };
        assert_eq!(self.matches.dispatched(&[dispatched]).await.expect("it is noted"), [true]);
    }

    /// Tells the tickets of a match.
    pub(crate) async fn acknowledge(&self, made: &Match) {
        let acknowledgement = Acknowledgement { match_id: made.id, tickets: made.tickets() };
        self.store.acknowledge(&made.queue, &[acknowledgement], self.now()).await.expect("it is acknowledged");
    }
}

/// A store of tickets that can lose all of them, as a Redis does that is emptied.
pub(crate) struct Losable {
    ambient: Ambient,
    store: RwLock<Arc<MemoryTickets>>,
}

impl Losable {
    fn new(ambient: Ambient) -> Self {
        Self { store: RwLock::new(Arc::new(MemoryTickets::new(ambient.clone()))), ambient }
    }

    pub(crate) fn lose_everything(&self) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(MemoryTickets::new(self.ambient.clone()));
    }

    fn store(&self) -> Arc<MemoryTickets> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl TicketStore for Losable {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.store().$name($($argument),*).await
            })*
        }
    };
}

pass_on! {
    create(new: &NewTicket) -> Created;
    load(ids: &[Uuid]) -> Vec<Option<Stored>>;
    tickets_of(game: Uuid, players: &[Uuid]) -> Vec<Option<Uuid>>;
    queues(game: Uuid) -> Vec<Key>;
    arrivals(queue: &QueueId, after: ArrivalNumber, max: usize) -> Vec<Arrival>;
    still_waiting(queue: &QueueId, tickets: &[Uuid]) -> Vec<bool>;
    waiting_count(queue: &QueueId) -> u64;
    claim(queue: &QueueId, epoch: i64, claims: &[Claim]) -> Result<Vec<Claimed>, Fenced>;
    overdue_claims(queue: &QueueId, now: OffsetDateTime, max: usize) -> Vec<MadeClaim>;
    acknowledge(queue: &QueueId, matches: &[Acknowledgement], now: OffsetDateTime) -> ();
    give_back(queue: &QueueId, epoch: i64, claims: &[GiveBack], now: OffsetDateTime) -> Result<(), Fenced>;
    end(ids: &[Uuid], reason: EndReason, now: OffsetDateTime) -> Vec<EndOutcome>;
    sign(signs: &[Sign], now: OffsetDateTime) -> Vec<Option<Signed>>;
    gone(queue: &QueueId, before: OffsetDateTime, max: usize) -> Vec<Uuid>;
    expired(queue: &QueueId, now: OffsetDateTime, max: usize) -> Vec<Uuid>;
    asked(queue: &QueueId, since: OffsetDateTime, max: usize) -> Vec<Uuid>;
    explain(queue: &QueueId, explanations: &[Explanation]) -> ();
    put_summary(queue: &QueueId, summary: Bytes, lifetime: Duration) -> ();
    summary(queue: &QueueId) -> Option<Bytes>;
    news(game: Uuid) -> broadcast::Receiver<News>;
}

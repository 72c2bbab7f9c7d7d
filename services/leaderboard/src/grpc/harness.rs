//! The whole service in process, beside a game service of the test's own: what callers see.

mod client;
mod losing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::{Ambient, ManualClock};
use pkg_api::game::v1::{
    self as game_api, LeaderboardOperator, LeaderboardOrder, LeaderboardPeriod, LeaderboardWriters,
};
use pkg_auth::{Claims, Issuer, JwkSet, Role, SigningKey, Verifier};
use pkg_bus::{Bus, MemoryBus, Retentions};
use pkg_db::testing::TestDatabase;
use pkg_db::{Database, SqlRevocations};
use pkg_log::Log;
use pkg_log::sqlite::{Settings as LogSettings, SqliteLog};
use pkg_middleware::{Guard, InProcess, RevocationWatch, ServeError, Server, Settings};
use pkg_redis::testing::TestRedis;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Endpoint;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::store::{MemoryBoards, RedisBoards, SqlErasures, SqlHistory, SqlMatches, SqlPositions};
use crate::testing::Games;
use crate::{Deps, build};

pub(crate) use self::client::{Bearer, Client, around, entries, entry, places, score};
pub(crate) use self::losing::Losable;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const GAME: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0070);

/// A running server.
pub(crate) struct Harness {
    pub(crate) games: Games,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ambient: Ambient,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) boards: Arc<Losable>,
    in_process: InProcess,
    endpoint: Endpoint,
    issuer: Issuer,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    stores: Stores,
}

/// What lives as long as the server.
struct Stores {
    history: TestDatabase,
    log: TestDatabase,
    _redis: Option<(TestRedis, TestRedis)>,
}

/// A board of the game.
pub(crate) fn board(key: &str, operator: LeaderboardOperator) -> game_api::LeaderboardDefinition {
    game_api::LeaderboardDefinition {
        key: key.to_owned(),
        order: LeaderboardOrder::HighWins.into(),
        operator: operator.into(),
        periods: vec![LeaderboardPeriod::AllTime.into(), LeaderboardPeriod::Daily.into()],
        writers: LeaderboardWriters::Players.into(),
        rate: Some(game_api::SubmissionRate {
            count: 100_000,
            per: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        }),
        ..Default::default()
    }
}

/// "points": the best one, for all time and daily; "wins": the sum, the same; "times": the lowest one, written by servers
/// and 0 to 1,000; "seated": demands a seat.
pub(crate) fn definition() -> Vec<game_api::LeaderboardDefinition> {
    let times = game_api::LeaderboardDefinition {
        order: LeaderboardOrder::LowWins.into(),
        periods: Vec::new(),
        writers: LeaderboardWriters::Servers.into(),
        min_value: Some(0),
        max_value: Some(1_000),
        ..board("times", LeaderboardOperator::Best)
    };
    let seated = game_api::LeaderboardDefinition { require_seat: true, ..board("seated", LeaderboardOperator::Last) };
    vec![board("points", LeaderboardOperator::Best), board("wins", LeaderboardOperator::Sum), times, seated]
}

impl Harness {
    /// On what `muster dev` stands on, with a clock that stands still until the test moves it.
    pub(crate) async fn embedded() -> Self {
        let (clock, history) = (ManualClock::new(), pkg_db::testing::sqlite().await);
        let ambient = Ambient::with_clock(clock.clone());
        let memory = || Arc::new(MemoryBoards::new(ambient.clone()));
        let boards = Losable::new(memory(), memory());
        let stores = Stores { history, log: pkg_db::testing::sqlite().await, _redis: None };
        Self::start(clock, boards, stores).await
    }

    /// On Postgres and Redis.
    pub(crate) async fn real() -> Self {
        let (first, second) = (pkg_redis::testing::redis().await, pkg_redis::testing::redis().await);
        let redis = |redis: &TestRedis| Arc::new(RedisBoards::new(pkg_redis::Redis::clone(redis)));
        let boards = Losable::new(redis(&first), redis(&second));
        let (history, log) = (pkg_db::testing::postgres().await, pkg_db::testing::sqlite().await);
        let clock = ManualClock::new();
        // Redis forgets old periods by its own clock.
        let now = Ambient::system().now() - Ambient::with_clock(clock.clone()).now();
        clock.advance(now.try_into().unwrap_or_default());
        Self::start(clock, boards, Stores { history, log, _redis: Some((first, second)) }).await
    }

    async fn start(clock: Arc<ManualClock>, boards: Losable, stores: Stores) -> Self {
        let (ambient, boards) = (Ambient::with_clock(clock.clone()), Arc::new(boards));
        let key = SigningKey::generate([7; 32]);
        let keys = JwkSet::new([key.public()]);
        // With Postgres goes a Redis that this needs not know of.
        let revocations = SqlRevocations::new(stores.log.clone());
        let revocations = RevocationWatch::new(Arc::new(revocations), ambient.clone());
        let verifier = Arc::new(Verifier::new(&keys, "muster", "muster").expect("keys"));
        let guard = Guard { verifier, revocations, jwks: keys.to_json() };
        let settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::new(settings, guard, Arc::new(String::new), ambient.clone());
        let in_process = server.in_process();
        let games = Games::default();
        games.define(GAME, definition());
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(ambient.clone(), Retentions::default()));
        let Database::Sqlite(pool) = &*stores.log else { unreachable!("it is SQLite") };
        let log: Arc<dyn Log> = Arc::new(SqliteLog::start(pool.clone(), ambient.clone(), LogSettings::default()));
        let database = stores.history.clone();
        let service = build(Deps {
            history: SqlHistory::new(database.clone()),
            erasures: SqlErasures::new(database.clone()),
            matches: SqlMatches::new(database.clone()),
            positions: SqlPositions::new(database),
            boards: boards.clone(),
            game: games.channel(),
            bus: bus.clone(),
            log,
            stores: Vec::new(),
            ambient: ambient.clone(),
        });
        service.verify_access(pkg_api::descriptors()).expect("the tables fit the protos");
        let bound = server.mount(service).bind().await.expect("the server binds");
        let address = bound.address().expect("an address");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let (shutdown, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(async move {
            let _ = told.await;
        }));
        let issuer = Issuer::new(key, "muster", "muster");
        Self { games, clock, ambient, bus, boards, in_process, endpoint, issuer, shutdown, serving, stores }
    }

    pub(crate) fn player(&self, number: u128) -> Client {
        self.client(player(number), Role::Player)
    }

    /// A game server.
    pub(crate) fn server(&self) -> Client {
        self.client(player(0), Role::Server)
    }

    pub(crate) fn client(&self, user: Uuid, role: Role) -> Client {
        Client::new(self.in_process.clone(), self.bearer(user, role))
    }

    fn bearer(&self, user: Uuid, role: Role) -> Bearer {
        let now = self.ambient.now();
        let token = self.issuer.issue(&Claims {
            subject: user,
            session: self.ambient.id(),
            role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at: now + Duration::from_mins(10),
        });
        Bearer::new(&token)
    }

    /// A player on a connection of their own: a drain waits for those.
    pub(crate) async fn connected_player(&self, number: u128) -> client::Connected {
        let channel = self.endpoint.connect().await.expect("the server listens");
        client::connected(channel, self.bearer(player(number), Role::Player))
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub(crate) fn drain(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).expect("the server serves");
        let (serving, stores) = (self.serving, self.stores);
        async move {
            in_time(serving).await.expect("it does not panic").expect("it ends in order");
            drop(stores);
        }
    }
}

pub(crate) fn player(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0001_0000 + number)
}

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// The code and the reason of an error, and the fields that it names.
pub(crate) fn told(status: &Status) -> (tonic::Code, String, Vec<String>) {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    (status.code(), reason, fields.into_iter().map(|violation| violation.field).collect())
}

/// A fact that an error tells.
pub(crate) fn fact(status: &Status, key: &str) -> String {
    status.get_details_error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}

/// Runs tests on what `muster dev` stands on, and on the real stores.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::grpc::harness::Harness::embedded().await).await;
            })*
        }
        mod real_stores {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::grpc::harness::Harness::real().await).await;
            })*
        }
    };
}
pub(crate) use on_both;

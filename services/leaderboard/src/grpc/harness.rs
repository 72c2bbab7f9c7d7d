//! The whole service in process, beside a game service of the test's own: what callers see.

mod client;

use std::sync::Arc;

use pkg_ambient::{Ambient, ManualClock};
use pkg_api::game::v1::{self as game_api, LeaderboardOperator, LeaderboardOrder, LeaderboardWriters};
use pkg_api::leaderboard::v1::leaderboard_service_client::LeaderboardServiceClient;
use pkg_auth::Role;
use pkg_bus::{Bus, MemoryBus, Retentions};
use pkg_db::testing::TestDatabase;
use pkg_db::{Database, SqlRevocations};
use pkg_log::Log;
use pkg_log::sqlite::{Settings as LogSettings, SqliteLog};
use pkg_middleware::testing::TestServer;
use pkg_redis::testing::TestRedis;
use uuid::Uuid;

use crate::store::{BoardStore, MemoryBoards, RedisBoards, SqlErasures, SqlHistory, SqlMatches, SqlPositions};
use crate::testing::{Exchangeable, Games};
use crate::{Deps, build};

pub(crate) use self::client::{Client, around, entries, entry, places, score};
pub(crate) use crate::testing::board_definition as board;
pub(crate) use pkg_middleware::testing::{fact, in_time, told};

pub(crate) const GAME: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0070);

/// A running server.
pub(crate) struct Harness {
    pub(crate) games: Games,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ambient: Ambient,
    pub(crate) bus: Arc<dyn Bus>,
    boards: Arc<Exchangeable>,
    /// What takes their place when they are lost.
    empty: Arc<dyn BoardStore>,
    server: TestServer,
    stores: Stores,
}

/// What lives as long as the server.
struct Stores {
    history: TestDatabase,
    log: TestDatabase,
    _redis: Option<(TestRedis, TestRedis)>,
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
        let boards = [(); 2].map(|()| Arc::new(MemoryBoards::new(ambient.clone())) as Arc<dyn BoardStore>);
        let stores = Stores { history, log: pkg_db::testing::sqlite().await, _redis: None };
        Self::start(clock, boards, stores).await
    }

    /// On Postgres and Redis.
    pub(crate) async fn real() -> Self {
        let (first, second) = (pkg_redis::testing::redis().await, pkg_redis::testing::redis().await);
        let redis =
            |redis: &TestRedis| Arc::new(RedisBoards::new(pkg_redis::Redis::clone(redis))) as Arc<dyn BoardStore>;
        let boards = [redis(&first), redis(&second)];
        let (history, log) = (pkg_db::testing::postgres().await, pkg_db::testing::sqlite().await);
        let clock = ManualClock::new();
        // Redis forgets old periods by its own clock.
        let now = Ambient::system().now() - Ambient::with_clock(clock.clone()).now();
        clock.advance(now.try_into().unwrap_or_default());
        Self::start(clock, boards, Stores { history, log, _redis: Some((first, second)) }).await
    }

    async fn start(clock: Arc<ManualClock>, [boards, empty]: [Arc<dyn BoardStore>; 2], stores: Stores) -> Self {
        let (ambient, boards) = (Ambient::with_clock(clock.clone()), Arc::new(Exchangeable::new(boards)));
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
        // With Postgres goes a Redis that this needs not know of.
        let revocations = SqlRevocations::new(stores.log.clone());
        let server = TestServer::start(revocations, ambient.clone(), |_| [service]).await;
        Self { games, clock, ambient, bus, boards, empty, server, stores }
    }

    /// All boards are lost, as in a Redis that is emptied; once.
    pub(crate) fn lose_boards(&self) {
        self.boards.exchange(self.empty.clone());
    }

    pub(crate) fn player(&self, number: u128) -> Client {
        self.client(player(number), Role::Player)
    }

    /// A game server.
    pub(crate) fn server(&self) -> Client {
        self.client(player(0), Role::Server)
    }

    pub(crate) fn client(&self, user: Uuid, role: Role) -> Client {
        Client::new(self.server.signed_in(self.server.in_process(), user, role))
    }

    /// A player on a connection of their own: a drain waits for those.
    pub(crate) async fn connected_player(&self, number: u128) -> client::Connected {
        let channel = self.server.connect().await;
        LeaderboardServiceClient::new(self.server.signed_in(channel, player(number), Role::Player))
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub(crate) fn drain(self) -> impl Future<Output = ()> {
        let (ended, stores) = (self.server.drain(), self.stores);
        async move {
            ended.await;
            drop(stores);
        }
    }
}

pub(crate) fn player(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0001_0000 + number)
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

//! The service in process beside a game service of the test's own: what callers see.

mod game;
mod match_sessions;
mod world;

use std::sync::Arc;

use pkg_ambient::{Ambient, ManualClock};
use pkg_api::matchmaking::v1::matchmaking_service_client::MatchmakingServiceClient;
use pkg_api::matchmaking::v1::{self as api};
use pkg_auth::Role;
use pkg_bus::Bus;
use pkg_db::SqlRevocations;
use pkg_db::testing::TestDatabase;
use pkg_middleware::testing::{SignedIn, TestServer};
use pkg_middleware::{AnyChannel, InProcess, Service};
use tonic::transport::Channel;
use uuid::Uuid;

pub(crate) use self::game::Game;
pub(crate) use self::match_sessions::{Mood, Sessions, channel};
pub(crate) use self::world::{GAME, World, definition, queue, wish};
pub(crate) use pkg_middleware::testing::{fact, in_time, told, until};

/// What the service under test is built of.
pub(crate) struct Ground {
    pub(crate) database: pkg_db::Database,
    pub(crate) game: AnyChannel,
    pub(crate) ambient: Ambient,
}

/// A running server.
pub(crate) struct Harness {
    pub(crate) game: Game,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ambient: Ambient,
    server: TestServer,
    database: TestDatabase,
}

/// A client of somebody who is signed in.
pub(crate) type Client = MatchmakingServiceClient<SignedIn<InProcess>>;

impl Harness {
    /// Serves what is built, with a clock that stands still until the test moves it.
    pub(crate) async fn start(service: impl FnOnce(Ground) -> Service) -> Self {
        let clock = ManualClock::new();
        let (ambient, database) = (Ambient::with_clock(clock.clone()), pkg_db::testing::sqlite().await);
        let (game, revocations) = (Game::default(), SqlRevocations::new(database.clone()));
        let build = |channel| {
            let ground = Ground { database: database.clone(), game: channel, ambient: ambient.clone() };
            [game.service(), service(ground)]
        };
        let server = TestServer::start(revocations, ambient.clone(), build).await;
        Self { game, clock, ambient, server, database }
    }

    pub(crate) fn player(&self, number: u128) -> Client {
        self.client(player(number), Role::Player)
    }

    pub(crate) fn client(&self, user: Uuid, role: Role) -> Client {
        MatchmakingServiceClient::new(self.server.signed_in(self.server.in_process(), user, role))
    }

    /// A player on a connection of their own: a drain waits for those.
    pub(crate) async fn connected_player(&self, number: u128) -> MatchmakingServiceClient<SignedIn<Channel>> {
        let channel = self.server.connect().await;
        MatchmakingServiceClient::new(self.server.signed_in(channel, player(number), Role::Player))
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub(crate) fn drain(self) -> impl Future<Output = ()> {
        let (ended, database) = (self.server.drain(), self.database);
        async move {
            ended.await;
            drop(database);
        }
    }
}

pub(crate) fn player(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0001_0000 + number)
}

/// The events on a player's topic from now on.
pub(crate) async fn news_of(bus: &dyn Bus, player: Uuid) -> pkg_bus::Reader {
    let mut reader = bus.reader();
    let topic = pkg_bus::Topic::new(&format!("player/{player}")).expect("a topic");
    reader.follow(&topic, None).await.expect("it can be followed");
    reader
}

/// The next ticket that is told on a topic.
pub(crate) async fn next_ticket(reader: &mut pkg_bus::Reader) -> api::Ticket {
    use pkg_api::events::v1::event::Payload;
    use prost::Message;
    in_time(async {
        loop {
            let pkg_bus::Delivery::Event(event) = reader.next().await else { continue };
            let event = pkg_api::events::v1::Event::decode(&event.payload()[1..]).expect("an event");
            if let Some(Payload::TicketChanged(changed)) = event.payload {
                return changed.ticket.expect("a ticket");
            }
        }
    })
    .await
}

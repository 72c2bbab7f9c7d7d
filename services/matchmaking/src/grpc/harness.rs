//! The service in process beside a game service of the test's own: what callers see.

mod game;
mod match_sessions;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::{Ambient, ManualClock};
use pkg_api::matchmaking::v1::matchmaking_service_client::MatchmakingServiceClient;
use pkg_api::matchmaking::v1::{self as api};
use pkg_auth::{Claims, Issuer, JwkSet, Role, SigningKey, Verifier};
use pkg_bus::Bus;
use pkg_db::SqlRevocations;
use pkg_db::testing::TestDatabase;
use pkg_middleware::{
    AnyChannel, Guard, InProcess, RevocationWatch, ServeError, Server, Service, ServiceIdentity, Settings,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

pub(crate) use self::game::Game;
pub(crate) use self::match_sessions::{Mood, Sessions, channel};
pub(crate) use self::world::{GAME, World, definition, queue, wish};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

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
    in_process: InProcess,
    endpoint: Endpoint,
    issuer: Issuer,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    database: TestDatabase,
}

/// Puts a token into every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

/// A client of somebody who is signed in.
pub(crate) type Client = MatchmakingServiceClient<InterceptedService<InProcess, Bearer>>;

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Harness {
    /// Serves what is built, with a clock that stands still until the test moves it.
    pub(crate) async fn start(service: impl FnOnce(Ground) -> Service) -> Self {
        let clock = ManualClock::new();
        let (ambient, database) = (Ambient::with_clock(clock.clone()), pkg_db::testing::sqlite().await);
        let (key, service_key) = (SigningKey::generate([7; 32]), SigningKey::generate([8; 32]));
        let keys = JwkSet::new([key.public(), service_key.public()]);
        let revocations = RevocationWatch::new(Arc::new(SqlRevocations::new(database.clone())), ambient.clone());
        let verifier = Arc::new(Verifier::new(&keys, "muster", "muster").expect("keys"));
        let guard = Guard { verifier, revocations, jwks: keys.to_json() };
        let settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::new(settings, guard, Arc::new(String::new), ambient.clone());
        let in_process = server.in_process();
        let services = Issuer::new(service_key, "muster", "muster");
        let identity = ServiceIdentity::new(services, Uuid::from_u128(1), ambient.clone());
        let channel = AnyChannel::new(identity.over(in_process.clone()));
        let ground = Ground { database: database.clone(), game: channel, ambient: ambient.clone() };
        let game = Game::default();
        let server = server.mount(game.service()).mount(service(ground));
        let bound = server.bind().await.expect("the server binds");
        let address = bound.address().expect("an address");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let (shutdown, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(async move {
            let _ = told.await;
        }));
        let issuer = Issuer::new(key, "muster", "muster");
        Self { game, clock, ambient, in_process, endpoint, issuer, shutdown, serving, database }
    }

    pub(crate) fn player(&self, number: u128) -> Client {
        self.client(player(number), Role::Player)
    }

    pub(crate) fn client(&self, user: Uuid, role: Role) -> Client {
        MatchmakingServiceClient::new(InterceptedService::new(self.in_process.clone(), self.bearer(user, role)))
    }

    /// A player on a connection of their own: a drain waits for those.
    pub(crate) async fn connected_player(
        &self,
        number: u128,
    ) -> MatchmakingServiceClient<InterceptedService<Channel, Bearer>> {
        let channel = self.endpoint.connect().await.expect("the server listens");
        MatchmakingServiceClient::new(InterceptedService::new(channel, self.bearer(player(number), Role::Player)))
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
        Bearer(format!("Bearer {token}").try_into().expect("a token is text"))
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub(crate) fn drain(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).expect("the server serves");
        let (serving, database) = (self.serving, self.database);
        async move {
            in_time(serving).await.expect("it does not panic").expect("it ends in order");
            drop(database);
        }
    }
}

pub(crate) fn player(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0001_0000 + number)
}

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    in_time(async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
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

//! Many players in sessions, each with a stream of events.

mod bare;
mod codec;
mod heard;
mod publisher;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use pkg_ambient::Ambient;
use pkg_api::events::v1::connect_events_request::Message;
use pkg_api::events::v1::{ConnectEventsRequest, SubscribeRequest, Subscription};
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::session_service_client::SessionServiceClient;
use pkg_api::game::v1::{
    CreateGameRequest, CreateSessionRequest, EventLimits, Game, GameDefinition, JoinSessionRequest, SessionRules,
};
use pkg_auth::{Claims, Issuer, Role, SigningKey};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use self::codec::{Told, told};
use self::heard::{Heard, Outcome};
use self::publisher::{Publisher, Says};
pub use self::wire::{Opening, Wire};
use crate::load::Window;

/// How many connections, streams and sessions are opened at once.
const OPENED_AT_ONCE: usize = 64;
/// How many connections make sessions and fill them.
const CALLING_CONNECTIONS: usize = 8;
/// The rate that a game allows one player at most.
const PLAYER_RATE: i32 = 1_000;
const SESSION_RATE: i32 = 100_000;
/// How long the tokens live: longer than any run.
const TOKEN_LIFETIME: Duration = Duration::from_mins(14);
/// How long sessions last at most: what is left of them in Redis goes away.
const SESSION_LIFETIME: prost_types::Duration = prost_types::Duration { seconds: 15 * 60, nanos: 0 };
/// How long the last deliveries may take.
const LAST_DELIVERIES: Duration = Duration::from_millis(200);

/// A deployment of the game service, and the key that its tokens are signed with.
#[derive(Debug, Clone)]
pub struct Deployment {
    addresses: Vec<SocketAddr>,
    issuer: Arc<Issuer>,
    ambient: Ambient,
}

/// How players reach the service.
#[derive(Debug, Clone, Copy)]
pub enum Reach {
    OwnConnections,
    SharedConnections(usize),
}

/// Players in sessions, each with a stream open. The first of each session publishes.
pub struct Crowd {
    sessions: Vec<Publisher>,
    wires: Vec<Arc<Wire>>,
    heard: Arc<Heard>,
    /// How long it took until all sessions were made and everybody had a seat.
    pub seated_in: Duration,
}

impl Deployment {
    pub fn new(addresses: Vec<SocketAddr>, signing_key: &Path) -> anyhow::Result<Self> {
        ensure!(!addresses.is_empty(), "a deployment has an address");
        let pem = std::fs::read_to_string(signing_key).context("the signing key")?;
        let issuer = Issuer::new(SigningKey::from_pem(&pem)?, "muster", "muster");
        Ok(Self { addresses, issuer: Arc::new(issuer), ambient: Ambient::system() })
    }

    /// A connection to one of the addresses, in turn.
    pub async fn connect(&self, number: usize) -> anyhow::Result<Channel> {
        let address = self.addresses[number % self.addresses.len()];
        Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?)
    }

    /// A request of somebody.
    pub fn request<M>(&self, user: Uuid, role: Role, message: M) -> anyhow::Result<Request<M>> {
        let token = self.token(user, role);
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        Ok(request)
    }

    /// An access token of somebody.
    pub fn token(&self, user: Uuid, role: Role) -> String {
        let now = self.ambient.now();
        self.issuer.issue(&Claims {
            subject: user,
            session: self.ambient.id(),
            role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at: now + TOKEN_LIFETIME,
        })
    }

    /// The connections of so many players.
    async fn wires(&self, players: usize, reach: Reach) -> anyhow::Result<Vec<Arc<Wire>>> {
        let count = match reach {
            Reach::OwnConnections => players,
            Reach::SharedConnections(count) => count,
        };
        let connect = |number: usize| async move {
            anyhow::Ok(Arc::new(Wire::connect(self.addresses[number % self.addresses.len()]).await?))
        };
        stream::iter(0..count).map(connect).buffered(OPENED_AT_ONCE).try_collect().await
    }

    async fn make_game(&self) -> anyhow::Result<String> {
        let limits = EventLimits {
            player_events_per_second: PLAYER_RATE,
            session_events_per_second: SESSION_RATE,
            ..EventLimits::default()
        };
        let rules = SessionRules {
            max_players: 1_000,
            max_duration: Some(SESSION_LIFETIME),
            event_limits: Some(limits),
            ..SessionRules::default()
        };
        let key = format!("bench-{}", self.ambient.id().simple());
        let request = CreateGameRequest {
            game: Some(Game { key, name: "A crowd".to_owned(), ..Game::default() }),
            definition: Some(GameDefinition { session_rules: Some(rules), ..GameDefinition::default() }),
            ..CreateGameRequest::default()
        };
        let request = self.request(self.ambient.id(), Role::Admin, request)?;
        let created = CatalogServiceClient::new(self.connect(0).await?).create_game(request).await?.into_inner();
        Ok(created.game.context("a game")?.game_id)
    }

    /// A session with these players in it.
    async fn make_session(&self, channel: Channel, game: &str, players: &[Uuid]) -> anyhow::Result<Uuid> {
        let (mut client, server) = (SessionServiceClient::new(channel), self.ambient.id());
        let request = CreateSessionRequest { game_id: game.to_owned(), ..CreateSessionRequest::default() };
        let created = client.create_session(self.request(server, Role::Server, request)?).await?.into_inner();
        let session_id = created.session.context("a session")?.session_id;
        for player in players {
            let (session_id, player_id) = (session_id.clone(), player.to_string());
            let request = JoinSessionRequest { session_id, player_id, ..JoinSessionRequest::default() };
            client.join_session(self.request(server, Role::Server, request)?).await?;
        }
        Ok(session_id.parse()?)
    }

    /// Opens so many streams that nothing happens on, each of a player of their own. They end with what is returned.
    pub async fn idle(&self, streams: usize, reach: Reach) -> anyhow::Result<impl Sized + use<>> {
        let wires = self.wires(streams, reach).await?;
        let open = |number: usize| {
            let (player, wire) = (self.ambient.id(), wires[number % wires.len()].clone());
            async move { self.listen(&wire, player, format!("player/{player}"), |_| ()).await }
        };
        let opened = stream::iter(0..streams).map(open).buffer_unordered(OPENED_AT_ONCE);
        opened.try_collect::<Vec<()>>().await?;
        Ok(wires)
    }

    async fn listen(
        &self,
        wire: &Wire,
        player: Uuid,
        topic: String,
        mut hears: impl FnMut(Told) + Send + 'static,
    ) -> anyhow::Result<()> {
        let subscriptions = vec![Subscription { topic, cursor: String::new() }];
        let opening = Opening {
            path: "/muster.events.v1.EventService/Subscribe",
            token: &self.token(player, Role::Player),
            message: &SubscribeRequest { subscriptions },
            goes_on: false,
            ends: false,
        };
        wire.open(opening, move |message| hears(told(message))).await?;
        Ok(())
    }

    async fn speak(&self, wire: Arc<Wire>, player: Uuid, session: Uuid, players: u64) -> anyhow::Result<Publisher> {
        let subscriptions = vec![Subscription { topic: format!("session/{session}"), cursor: String::new() }];
        let subscribe = Message::Subscribe(SubscribeRequest { subscriptions });
        let opening = Opening {
            path: "/muster.events.v1.EventService/ConnectEvents",
            token: &self.token(player, Role::Player),
            message: &ConnectEventsRequest { message: Some(subscribe) },
            goes_on: true,
            ends: false,
        };
        let (tell, hears) = mpsc::unbounded_channel();
        let stream = wire
            .open(opening, move |message| {
                // After the run nobody listens.
                let _ = tell.send(told(message));
            })
            .await?;
        Ok(Publisher { says: Says::Publications { session }, wire, stream, told: hears, players })
    }
}

impl Crowd {
    /// Opens sessions of so many players, and the streams of all.
    pub async fn gather(
        deployment: &Deployment,
        sessions: usize,
        players: usize,
        reach: Reach,
    ) -> anyhow::Result<Self> {
        let game = deployment.make_game().await?;
        let calling = (0..CALLING_CONNECTIONS).map(|number| deployment.connect(number));
        let calling = futures::future::try_join_all(calling).await?;
        let heard = Arc::new(Heard::new());
        let began = Instant::now();
        let made = (0..sessions).map(|number| {
            let ids: Vec<Uuid> = (0..players).map(|_| deployment.ambient.id()).collect();
            let (channel, game) = (calling[number % calling.len()].clone(), &game);
            async move {
                let session = deployment.make_session(channel, game, &ids).await?;
                anyhow::Ok((number, session, ids))
            }
        });
        let made: Vec<_> = stream::iter(made).buffer_unordered(OPENED_AT_ONCE).try_collect().await?;
        let seated_in = began.elapsed();
        let wires = deployment.wires(sessions * players, reach).await?;
        let mut publishers = Vec::new();
        for (number, session, ids) in made {
            let wire = |place: usize| &wires[(number * players + place) % wires.len()];
            for (place, id) in ids.iter().enumerate().skip(1) {
                let heard = heard.clone();
                let listen = move |told| heard.listen(place, told);
                deployment.listen(wire(place), *id, format!("session/{session}"), listen).await?;
            }
            publishers.push(deployment.speak(wire(0).clone(), ids[0], session, players as u64).await?);
        }
        Ok(Self { sessions: publishers, wires, heard, seated_in })
    }

    /// Everyone publishes one event after the other, each when the one before came back; or so many a second in all.
    pub async fn play(mut self, window: Window, retained: bool, per_second: Option<u32>) -> anyhow::Result<Outcome> {
        self.heard.window.set(window).ok().context("a crowd plays once")?;
        let count = u32::try_from(self.sessions.len())?;
        let pace = per_second.map(|per_second| Duration::from_secs(1) * count / per_second);
        let mut playing = JoinSet::new();
        for (number, publisher) in self.sessions.drain(..).enumerate() {
            let heard = self.heard.clone();
            let late = pace.map(|pace| pace * u32::try_from(number).unwrap_or(0) / count);
            playing.spawn(async move {
                match pace {
                    None => publisher.one_after_the_other(&heard, number, window, retained).await,
                    Some(pace) => {
                        tokio::time::sleep(late.unwrap_or_default()).await;
                        publisher.at_a_pace(&heard, number, window, pace, retained).await
                    }
                }
            });
        }
        let mut open = Vec::new();
        while let Some(played) = playing.join_next().await {
            // Streams stay open until all have ended, or others would be told of lost connections.
            open.push(played.context("a publisher panicked")??);
        }
        tokio::time::sleep(LAST_DELIVERIES).await;
        ensure!(!self.wires.iter().any(|wire| wire.has_failed()), "a stream ended");
        self.heard.outcome()
    }
}

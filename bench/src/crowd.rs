//! Many players in sessions, each with a stream of events.

mod codec;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use pkg_ambient::Ambient;
use pkg_api::events::v1::connect_events_request::Message;
use pkg_api::events::v1::{
    ConnectEventsRequest, GameEvent, NewEvent, PublishRequest, StreamPublication, SubscribeRequest, Subscription,
};
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::session_service_client::SessionServiceClient;
use pkg_api::game::v1::{
    CreateGameRequest, CreateSessionRequest, EventLimits, Game, GameDefinition, JoinSessionRequest, SessionRules,
};
use pkg_auth::{Claims, Issuer, Role, SigningKey};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use self::codec::{Listening, Told};
use crate::load::Window;
use crate::tally::Tally;

/// How many connections and streams are opened at once.
const OPENED_AT_ONCE: usize = 64;
/// A client that reads slowly should not be stopped by its own window.
const WINDOW_BYTES: u32 = 4 << 20;
/// The rate that a game allows one player at most.
const PLAYER_RATE: i32 = 1_000;
const SESSION_RATE: i32 = 100_000;
/// How long the tokens live: longer than any run.
const TOKEN_LIFETIME: Duration = Duration::from_mins(14);
/// How long the last deliveries may take.
const LAST_DELIVERIES: Duration = Duration::from_millis(200);
/// Latencies are counted in so many places, so that counting does not serialise.
const TALLIES: usize = 16;

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
    listening: JoinSet<anyhow::Result<()>>,
    heard: Arc<Heard>,
}

/// One who publishes in a session, on a stream of both directions.
struct Publisher {
    session: Uuid,
    say: mpsc::Sender<ConnectEventsRequest>,
    told: Streaming<Told>,
    players: u64,
}

/// What all of them heard.
struct Heard {
    begin: Instant,
    window: OnceLock<Window>,
    tallies: Vec<Mutex<Tally>>,
    expected: AtomicU64,
}

/// What came of a run.
pub struct Outcome {
    pub tally: Tally,
    /// The part of the deliveries that did not arrive, from 0 to 1.
    pub missed: f64,
}

impl Deployment {
    pub fn new(addresses: Vec<SocketAddr>, signing_key: &Path) -> anyhow::Result<Self> {
        ensure!(!addresses.is_empty(), "a deployment has an address");
        let pem = std::fs::read_to_string(signing_key).context("the signing key")?;
        let issuer = Issuer::new(SigningKey::from_pem(&pem)?, "muster", "muster");
        Ok(Self { addresses, issuer: Arc::new(issuer), ambient: Ambient::system() })
    }

    async fn connect(&self, number: usize) -> anyhow::Result<Channel> {
        let address = self.addresses[number % self.addresses.len()];
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_stream_window_size(WINDOW_BYTES);
        Ok(endpoint.connect().await?)
    }

    /// A request of somebody.
    fn request<M>(&self, user: Uuid, role: Role, message: M) -> anyhow::Result<Request<M>> {
        let now = self.ambient.now();
        let token = self.issuer.issue(&Claims {
            subject: user,
            session: self.ambient.id(),
            role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at: now + TOKEN_LIFETIME,
        });
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        Ok(request)
    }

    /// The connections of so many players.
    async fn channels(&self, players: usize, reach: Reach) -> anyhow::Result<Vec<Channel>> {
        let count = match reach {
            Reach::OwnConnections => players,
            Reach::SharedConnections(count) => count,
        };
        stream::iter(0..count).map(|number| self.connect(number)).buffer_unordered(OPENED_AT_ONCE).try_collect().await
    }

    async fn make_game(&self) -> anyhow::Result<String> {
        let limits = EventLimits {
            player_events_per_second: PLAYER_RATE,
            session_events_per_second: SESSION_RATE,
            ..EventLimits::default()
        };
        let rules = SessionRules { max_players: 1_000, event_limits: Some(limits), ..SessionRules::default() };
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

    /// Opens so many streams that nothing happens on, each of a player of their own.
    pub async fn idle(&self, streams: usize, reach: Reach) -> anyhow::Result<Vec<Streaming<Told>>> {
        let channels = self.channels(streams, reach).await?;
        let open = |number: usize| {
            let (player, channel) = (self.ambient.id(), channels[number % channels.len()].clone());
            async move { self.listen(channel, player, format!("player/{player}")).await }
        };
        stream::iter(0..streams).map(open).buffer_unordered(OPENED_AT_ONCE).try_collect().await
    }

    async fn listen(&self, channel: Channel, player: Uuid, topic: String) -> anyhow::Result<Streaming<Told>> {
        let subscriptions = vec![Subscription { topic, cursor: String::new() }];
        let request = self.request(player, Role::Player, SubscribeRequest { subscriptions })?;
        let mut grpc = Grpc::new(channel);
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/muster.events.v1.EventService/Subscribe");
        Ok(grpc.server_streaming(request, path, Listening::<SubscribeRequest>::default()).await?.into_inner())
    }

    async fn speak(
        &self,
        channel: Channel,
        player: Uuid,
        session: Uuid,
    ) -> anyhow::Result<(mpsc::Sender<ConnectEventsRequest>, Streaming<Told>)> {
        let (say, said) = mpsc::channel(1);
        let request = self.request(player, Role::Player, ReceiverStream::new(said))?;
        let mut grpc = Grpc::new(channel);
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/muster.events.v1.EventService/ConnectEvents");
        let mut told = grpc.streaming(request, path, Listening::<ConnectEventsRequest>::default()).await?.into_inner();
        let subscriptions = vec![Subscription { topic: format!("session/{session}"), cursor: String::new() }];
        let subscribe = Message::Subscribe(SubscribeRequest { subscriptions });
        say.send(ConnectEventsRequest { message: Some(subscribe) }).await?;
        told.message().await?.context("the stream ended")?;
        Ok((say, told))
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
        let channels = deployment.channels(sessions * players, reach).await?;
        let heard = Arc::new(Heard::new());
        let mut crowd = Self { sessions: Vec::new(), listening: JoinSet::new(), heard };
        let made = (0..sessions).map(|number| {
            let ids: Vec<Uuid> = (0..players).map(|_| deployment.ambient.id()).collect();
            let (channel, game) = (channels[number % channels.len()].clone(), &game);
            async move {
                let session = deployment.make_session(channel, game, &ids).await?;
                anyhow::Ok((number, session, ids))
            }
        });
        let made: Vec<_> = stream::iter(made).buffer_unordered(OPENED_AT_ONCE).try_collect().await?;
        for (number, session, ids) in made {
            let channel = |place: usize| channels[(number * players + place) % channels.len()].clone();
            for (place, id) in ids.iter().enumerate().skip(1) {
                let told = deployment.listen(channel(place), *id, format!("session/{session}")).await?;
                crowd.listening.spawn(crowd.heard.clone().listen(told, place));
            }
            let (say, told) = deployment.speak(channel(0), ids[0], session).await?;
            crowd.sessions.push(Publisher { session, say, told, players: players as u64 });
        }
        Ok(crowd)
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
        if let Some(Ok(Err(error))) = self.listening.try_join_next() {
            return Err(error.context("a stream ended"));
        }
        self.heard.outcome()
    }
}

impl Publisher {
    async fn one_after_the_other(
        mut self,
        heard: &Heard,
        number: usize,
        window: Window,
        retained: bool,
    ) -> anyhow::Result<Self> {
        while Instant::now() < window.end {
            self.publish(heard, retained).await?;
            let (mut accepted, mut came_back) = (false, false);
            while !(accepted && came_back) {
                match self.told.message().await?.context("the stream ended")? {
                    Told::Event(published) => {
                        heard.hear(number, published);
                        came_back = true;
                    }
                    Told::Accepted => accepted = true,
                    Told::Refused => anyhow::bail!("a publication was refused"),
                    Told::Other => {}
                }
            }
        }
        Ok(self)
    }

    async fn at_a_pace(
        mut self,
        heard: &Heard,
        number: usize,
        window: Window,
        pace: Duration,
        retained: bool,
    ) -> anyhow::Result<Self> {
        let mut clock = tokio::time::interval(pace);
        while Instant::now() < window.end {
            tokio::select! {
                _ = clock.tick() => self.publish(heard, retained).await?,
                told = self.told.message() => match told?.context("the stream ended")? {
                    Told::Event(published) => heard.hear(number, published),
                    Told::Refused => anyhow::bail!("a publication was refused"),
                    Told::Accepted | Told::Other => {}
                },
            }
        }
        Ok(self)
    }

    async fn publish(&self, heard: &Heard, retained: bool) -> anyhow::Result<()> {
        let data = codec::data(heard.note_publication(self.players));
        let event = Some(GameEvent { name: "move".to_owned(), data, ..GameEvent::default() });
        let event_id = if retained { Ambient::system().id().to_string() } else { String::new() };
        let events = vec![NewEvent { event_id, unretained: !retained, event }];
        let publication = Some(PublishRequest { session_id: self.session.to_string(), events });
        let message = Message::Publish(StreamPublication { number: 1, publication });
        Ok(self.say.send(ConnectEventsRequest { message: Some(message) }).await?)
    }
}

impl Heard {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            window: OnceLock::new(),
            tallies: (0..TALLIES).map(|_| Mutex::new(Tally::new())).collect(),
            expected: AtomicU64::new(0),
        }
    }

    /// Says when an event is published.
    fn note_publication(&self, players: u64) -> Duration {
        let now = self.begin.elapsed();
        if self.is_counted(now) {
            self.expected.fetch_add(players, Ordering::Relaxed);
        }
        now
    }

    /// Counts a delivery, by when its event was published.
    fn hear(&self, number: usize, published: Duration) {
        if self.is_counted(published) {
            let took = self.begin.elapsed().saturating_sub(published);
            let mut tally = self.tallies[number % TALLIES].lock().unwrap_or_else(PoisonError::into_inner);
            tally.record(took, Ok(()));
        }
    }

    fn is_counted(&self, published: Duration) -> bool {
        let window = self.window.get();
        window.is_some_and(|window| (window.begin..window.end).contains(&(self.begin + published)))
    }

    async fn listen(self: Arc<Self>, mut told: Streaming<Told>, number: usize) -> anyhow::Result<()> {
        while let Some(told) = told.message().await? {
            if let Told::Event(published) = told {
                self.hear(number, published);
            }
        }
        Err(Status::unavailable("the server ended the stream").into())
    }

    fn outcome(&self) -> anyhow::Result<Outcome> {
        let mut tally = Tally::new();
        for part in &self.tallies {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(std::mem::replace(&mut part, Tally::new()));
        }
        let expected = crate::tally::exact(self.expected.load(Ordering::Relaxed));
        ensure!(expected > 0.0, "nothing was published");
        Ok(Outcome { missed: 1.0 - (tally.successes() / expected).min(1.0), tally })
    }
}

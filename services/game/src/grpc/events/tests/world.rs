//! The whole service, and clients of its live parts.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::event_service_client::EventServiceClient;
use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::events::v1::{
    Event, GameEvent, NewEvent, PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse, Subscription,
    game_event,
};
use pkg_api::game::v1 as game;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::session_service_client::SessionServiceClient;
use pkg_auth::Role;
use pkg_bus::{MemoryBus, Retention, Retentions};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::grpc::harness::{Harness, SignedIn, in_time};
use crate::{Deps, MemorySessions, testing};

/// How many events of a session are kept at least; fewer than [`TOO_MANY`] for certain.
const KEPT: usize = 5_000;
pub(super) const TOO_MANY: usize = 9_000;
/// The leaderboard of every game.
pub(super) const BOARD: &str = "kills";

/// A server, and what a test does beside it.
pub(super) struct World {
    pub(super) harness: Harness,
    pub(super) bus: MemoryBus,
    /// A game server, which has ten times the rate of a player.
    pub(super) server: Client,
    sessions: SessionServiceClient<SignedIn>,
    /// A game whose players may publish as much as any game allows.
    pub(super) game: Uuid,
}

/// Somebody with a token, on a connection of their own.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) id: Uuid,
    pub(super) channel: SignedIn,
    pub(super) events: EventServiceClient<SignedIn>,
}

/// An open subscription.
pub(super) struct Stream(pub(super) Streaming<SubscribeResponse>);

impl World {
    pub(super) async fn start() -> Self {
        let ambient = Ambient::system();
        let retention = Retention { max_length: KEPT, ..Retention::default() };
        let bus = MemoryBus::new(ambient.clone(), Retentions::new(retention));
        let ours = bus.clone();
        let harness = Harness::start(|database, ambient| {
            let sessions = MemorySessions::new(ambient.clone(), ours.clone()).into();
            crate::build(Deps { sessions, bus: Arc::new(ours), ..testing::embedded(&database, &ambient) })
        })
        .await;
        let server = Client::connect(&harness, Role::Server).await;
        let sessions = SessionServiceClient::new(server.channel.clone());
        let mut world = Self { harness, bus, server, sessions, game: Uuid::nil() };
        world.game = world.make_game("free", 1_000, 4_096).await;
        world
    }

    /// A game with limits of events.
    pub(super) async fn make_game(&self, key: &str, per_second: i32, max_bytes: i32) -> Uuid {
        let limits = game::EventLimits {
            player_events_per_second: per_second,
            session_events_per_second: 100_000,
            max_event_bytes: max_bytes,
            ..Default::default()
        };
        let rules = game::SessionRules { event_limits: Some(limits), ..Default::default() };
        let board = game::LeaderboardDefinition { key: BOARD.to_owned(), ..Default::default() };
        let definition =
            game::GameDefinition { session_rules: Some(rules), leaderboards: vec![board], ..Default::default() };
        let shown = game::Game { key: key.to_owned(), name: key.to_owned(), ..Default::default() };
        let request = game::CreateGameRequest { game: Some(shown), definition: Some(definition), ..Default::default() };
        let admin = self.harness.signed_in(Uuid::from_u128(1), Role::Admin);
        let created = CatalogServiceClient::new(admin).create_game(request).await.unwrap().into_inner();
        created.game.unwrap().game_id.parse().unwrap()
    }

    /// A session in which these have seats, in these teams.
    pub(super) async fn session(&self, seats: &[(&Client, Option<&str>)]) -> Uuid {
        self.session_of(self.game, seats).await
    }

    pub(super) async fn session_of(&self, game: Uuid, seats: &[(&Client, Option<&str>)]) -> Uuid {
        let teams = ["red", "blue"].map(|name| game::Team { name: name.to_owned(), max_players: 4 });
        let request = game::CreateSessionRequest {
            game_id: game.to_string(),
            max_players: 8,
            teams: teams.to_vec(),
            ..Default::default()
        };
        let created = self.sessions.clone().create_session(request).await.unwrap().into_inner();
        let session = created.session.unwrap().session_id.parse().unwrap();
        for (client, team) in seats {
            self.seat(session, client, team.unwrap_or_default()).await;
        }
        session
    }

    pub(super) async fn seat(&self, session: Uuid, client: &Client, team: &str) {
        let request = game::JoinSessionRequest {
            session_id: session.to_string(),
            team: team.to_owned(),
            player_id: client.id.to_string(),
            ..Default::default()
        };
        self.sessions.clone().join_session(request).await.unwrap();
    }

    /// Ends a session with results.
    pub(super) async fn finish(&self, session: Uuid) {
        let (mut sessions, session_id) = (self.sessions.clone(), session.to_string());
        sessions.start_session(game::StartSessionRequest { session_id: session_id.clone() }).await.unwrap();
        let results = Some(game::SessionResults::default());
        sessions.finish_session(game::FinishSessionRequest { session_id, results }).await.unwrap();
    }

    pub(super) async fn connected(&self, session: Uuid, client: &Client) -> bool {
        let request = game::GetSessionRequest { session_id: session.to_string() };
        let found = self.sessions.clone().get_session(request).await.unwrap().into_inner().session.unwrap();
        found.seats.iter().any(|seat| seat.player_id == client.id.to_string() && seat.connected)
    }

    pub(super) async fn player(&self) -> Client {
        self.client(Role::Player).await
    }

    pub(super) async fn client(&self, role: Role) -> Client {
        Client::connect(&self.harness, role).await
    }
}

impl Client {
    async fn connect(harness: &Harness, role: Role) -> Self {
        let id = Ambient::system().id();
        let channel = harness.signed_in_apart(id, role).await;
        Self { id, events: EventServiceClient::new(channel.clone()), channel }
    }

    pub(super) async fn leave(&self, session: Uuid) {
        let request = game::LeaveSessionRequest { session_id: session.to_string() };
        SessionServiceClient::new(self.channel.clone()).leave_session(request).await.unwrap();
    }

    pub(super) async fn try_subscribe(&self, topics: &[(&str, &str)]) -> Result<Stream, Status> {
        Ok(Stream(self.events.clone().subscribe(wanted(topics)).await?.into_inner()))
    }

    /// Follows a session's topic after a cursor, or from now on. Takes the first message.
    pub(super) async fn follow(&self, session: Uuid, cursor: &str) -> Stream {
        let topic = session_topic(session);
        let mut stream = self.try_subscribe(&[(&topic, cursor)]).await.expect("the topic may be followed");
        let Message::Subscribed(subscribed) = stream.next().await else { panic!("subscribed first") };
        assert_eq!(subscribed.topic, topic);
        assert!(cursor.is_empty() || subscribed.cursor == cursor);
        stream
    }

    pub(super) async fn publish(&self, session: Uuid, events: Vec<NewEvent>) -> Result<PublishResponse, Status> {
        let request = PublishRequest { session_id: session.to_string(), events };
        Ok(self.events.clone().publish(request).await?.into_inner())
    }

    /// Publishes an event, and says where the topic goes on after it.
    pub(super) async fn publish_one(&self, session: Uuid, name: &str) -> String {
        self.publish(session, vec![retained(name)]).await.expect("it is published").events.remove(0).cursor
    }
}

impl Stream {
    pub(super) async fn next(&mut self) -> Message {
        let message = in_time(self.0.message()).await.expect("it goes on");
        message.expect("it has not ended").message.expect("a message says something")
    }

    /// The next message that is not an event of Muster's own.
    pub(super) async fn next_of_game(&mut self) -> Message {
        loop {
            match self.next().await {
                Message::Event(event) if !matches!(event.payload, Some(Payload::GameEvent(_))) => {}
                Message::Heartbeat(_) => {}
                other => return other,
            }
        }
    }

    /// The next event of the game's own.
    pub(super) async fn next_game_event(&mut self) -> Event {
        match self.next_of_game().await {
            Message::Event(event) => event,
            other => panic!("not an event: {other:?}"),
        }
    }

    /// The names of the next so many events of the game's own.
    pub(super) async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(name(&self.next_game_event().await));
        }
        names
    }

    /// How it ends.
    pub(super) async fn end(mut self) -> Result<(), Status> {
        loop {
            match in_time(self.0.message()).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(status) => return Err(status),
            }
        }
    }
}

pub(super) fn wanted(topics: &[(&str, &str)]) -> SubscribeRequest {
    let subscription =
        |(topic, cursor): &(&str, &str)| Subscription { topic: (*topic).to_owned(), cursor: (*cursor).to_owned() };
    SubscribeRequest { subscriptions: topics.iter().map(subscription).collect() }
}

pub(super) fn session_topic(session: Uuid) -> String {
    format!("session/{session}")
}

pub(super) fn name(event: &Event) -> String {
    match &event.payload {
        Some(Payload::GameEvent(event)) => event.name.clone(),
        other => panic!("not an event of the game's own: {other:?}"),
    }
}

/// A retained event for everyone.
#[expect(clippy::needless_pass_by_value, reason = "a test says it with a word or a number")]
pub(super) fn retained(name: impl ToString) -> NewEvent {
    NewEvent { event_id: Ambient::system().id().to_string(), unretained: false, event: Some(game_event(&name, None)) }
}

#[expect(clippy::needless_pass_by_value, reason = "a test says it with a word or a number")]
pub(super) fn unretained(name: impl ToString) -> NewEvent {
    NewEvent { event_id: String::new(), unretained: true, event: Some(game_event(&name, None)) }
}

/// An event for a team or a player.
#[expect(clippy::needless_pass_by_value, reason = "a test says it with a word or a number")]
pub(super) fn addressed(name: impl ToString, audience: game_event::Audience) -> NewEvent {
    NewEvent { event: Some(game_event(&name, Some(audience))), ..retained("") }
}

fn game_event(name: &impl ToString, audience: Option<game_event::Audience>) -> GameEvent {
    GameEvent { name: name.to_string(), audience, ..GameEvent::default() }
}

/// The code and the reason of a failure.
pub(super) fn failure<T>(outcome: Result<T, Status>) -> (Code, String) {
    let Err(status) = outcome else { panic!("it succeeded") };
    (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
}

pub(super) fn error(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// Tries until it holds; fails when it does not for long.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let tried = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), tried).await.unwrap_or_else(|_| panic!("never: {what}"));
}

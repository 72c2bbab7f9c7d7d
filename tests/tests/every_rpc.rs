//! Whatever is sent to an RPC, the fault is the sender's: no RPC panics, none answers INTERNAL or UNKNOWN.
//!
//! The running server is asked by reflection what it serves, so an RPC that is added is covered by itself.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

#[path = "every_rpc/arbitrary.rs"]
mod arbitrary;
#[path = "every_rpc/hostile.rs"]
mod hostile;
#[path = "every_rpc/routes.rs"]
mod routes;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use arbitrary::{Texts, message};
use bytes::Bytes;
use http::StatusCode;
use pkg_api::auth::v1::CreateServerCredentialRequest;
use pkg_api::game::v1::GameDefinition;
use pkg_api::player::v1::GetProfileRequest;
use pkg_auth::{Role, SigningKey};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost::Message;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::Value;
use system_tests::{
    Client, Deployment, LIMIT, Muster, Outcome, PASSWORD, SignedIn, Signer, UNLIMITED, bearer, board, body,
    call_grpc_within, call_http, duel, frame, game_of, new_score, random_text, refusal,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{FILE_DESCRIPTOR_SET, ServerReflectionRequest};

/// How many random messages each RPC gets, and each JSON route…
const CASES: u32 = 24;
/// …and on real stores, where a call takes longer.
const CASES_ON_STORES: u32 = 6;
/// How long a stream has for its first message, which need not come: its deadline, as gRPC writes it.
const STREAM_PATIENCE: &str = "300m";
/// How many times more in the long form.
const LONG: u32 = 10;

#[test]
fn whatever_is_sent_to_an_rpc_the_server_is_not_at_fault() {
    let scene = Scene::set(Place::dev());
    scene.call_every_rpc(CASES);
    for route in routes::of(&scene.pool) {
        let strategy = (any_caller(), routes::request(&route, &scene.texts));
        let run = runner(CASES).run(&strategy, |(caller, request)| {
            scene.call_route(caller, &request);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{} {}: {error}", route.verb, route.template));
    }
    scene.assert_well();
}

/// With Postgres, Redis and Kafka.
mod real_stores {
    use super::{CASES_ON_STORES, Place, Scene};

    #[test]
    fn whatever_is_sent_to_an_rpc_the_services_are_not_at_fault() {
        let scene = Scene::set(Place::stores());
        scene.call_every_rpc(CASES_ON_STORES);
        scene.assert_well();
    }
}

/// On whose behalf a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    Nobody,
    Player,
    Server,
    Admin,
    Service,
}

fn any_caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        1 => Just(Caller::Nobody),
        3 => Just(Caller::Player),
        1 => Just(Caller::Server),
        3 => Just(Caller::Admin),
        1 => Just(Caller::Service),
    ]
}

/// Where the API is served, and what signs tokens there.
struct Place {
    /// In this order: accounts, games, matches, boards; or one that does all.
    servers: Vec<Muster>,
    signer: Signer,
    /// Ends after the servers.
    _stores: Box<dyn Any>,
}

impl Place {
    fn dev() -> Self {
        let data = TempDir::new().unwrap();
        let muster = Muster::dev(data.path(), &UNLIMITED);
        let key = std::fs::read_to_string(data.path().join("signing-key.pem")).unwrap();
        let signer = Signer::new(SigningKey::from_pem(&key).unwrap());
        Self { servers: vec![muster], signer, _stores: Box::new(data) }
    }

    fn stores() -> Self {
        const DESCRIBED: [&str; 4] = ["--reflection", "true", "--allow-in-production", "reflection"];
        let deployment = Runtime::new().unwrap().block_on(Deployment::of_matches());
        let (accounts, games) = (deployment.unlimited_replica(&DESCRIBED), deployment.game_replica(&DESCRIBED));
        let matches = deployment.matchmaking_replica(&[games.api()], &DESCRIBED);
        let boards = deployment.leaderboard_replica(&[games.api()], &DESCRIBED);
        let servers = vec![accounts, games, matches, boards];
        Self { servers, signer: deployment.signer(), _stores: Box::new(deployment) }
    }
}

/// Servers, and what exists on them.
struct Scene {
    runtime: Runtime,
    place: Place,
    /// One for each server.
    clients: Vec<Client>,
    pool: DescriptorPool,
    texts: Arc<Texts>,
    /// The callers' tokens, as long as no call has ended their sessions.
    tokens: Mutex<HashMap<Caller, Option<String>>>,
}

impl Scene {
    fn set(place: Place) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clients = runtime.block_on(async { place.servers.iter().map(|server| Client::of(server.api())).collect() });
        let mut scene = Self { runtime, place, clients, pool: pool(), texts: Arc::default(), tokens: Mutex::default() };
        scene.texts = Arc::new(scene.runtime.block_on(scene.inhabit()));
        scene
    }

    fn accounts(&self) -> &Client {
        self.clients.first().unwrap()
    }

    fn games(&self) -> &Client {
        self.clients.get(1).unwrap_or_else(|| self.accounts())
    }

    fn matches(&self) -> &Client {
        self.clients.get(2).unwrap_or_else(|| self.accounts())
    }

    fn boards(&self) -> &Client {
        self.clients.get(3).unwrap_or_else(|| self.accounts())
    }

    /// Sends every method what no honest client sends, and so many random messages.
    fn call_every_rpc(&self, cases: u32) {
        let methods = self.runtime.block_on(self.served());
        for name in [
            "muster.auth.v1.AuthService.Register",
            "muster.events.v1.EventService.Publish",
            "muster.matchmaking.v1.MatchmakingService.CreateTicket",
        ] {
            assert!(methods.iter().any(|(_, method)| method.full_name() == name), "{name}");
        }
        for (client, method) in methods {
            for (name, bytes) in hostile::bodies(&method.input()) {
                // One of them comes past the access table of any method.
                for caller in [Caller::Nobody, Caller::Admin, Caller::Service] {
                    self.call(client, &method, caller, &bytes, name);
                }
            }
            let strategy = (any_caller(), message(&method.input(), &self.texts));
            let run = runner(cases).run(&strategy, |(caller, message)| {
                self.call(client, &method, caller, &frame(&message.encode_to_vec()), "a random message");
                Ok(())
            });
            run.unwrap_or_else(|error| panic!("{}: {error}", method.full_name()));
        }
    }

    /// Makes things whose ids and names random messages may mention.
    async fn inhabit(&self) -> Texts {
        let registered = self.accounts().register().await;
        let (user, tokens) = (registered.user.unwrap(), registered.tokens.unwrap());
        let admin = self.token(Caller::Admin).await.unwrap();
        let request = bearer(CreateServerCredentialRequest { name: "fra-1".to_owned() }, &admin);
        let created = self.accounts().auth().create_server_credential(request).await.unwrap().into_inner();
        let guest = self.accounts().new_guest().await;
        self.accounts().player().get_profile(bearer(GetProfileRequest {}, &guest.access_token)).await.unwrap();

        // A session of the player who makes the calls.
        let player = SignedIn { id: user.user_id.clone(), token: tokens.access_token.clone() };
        let definition = GameDefinition { leaderboards: vec![board("best")], ..game_of(vec![duel("duel")]) };
        let game = self.games().create_defined_game(&admin, definition).await;
        let score = self.boards().submit(&player, new_score(&game, "best", 7)).await.unwrap();
        let ticket = self.matches().queue_up(&player, &game, "duel").await.unwrap();
        let session = self.games().create_session(&player, &game).await;
        let (session, cursor) = (session.session.unwrap().session_id, session.cursor);
        self.tokens.lock().await.insert(Caller::Player, Some(player.token));
        Texts::of(&[
            ("game_id", &game),
            ("session_id", &session),
            ("queue_key", "duel"),
            ("board_key", "best"),
            ("submission_id", &score.submission_id),
            ("min_position", &score.position),
            ("ticket_id", &ticket.ticket_id),
            ("cursor", &cursor),
            ("topic", &format!("session/{session}")),
            ("topic", &format!("player/{}", user.user_id)),
            ("topic", "announcements"),
            ("user_id", &user.user_id),
            ("player_id", &user.user_id),
            ("player_ids", &user.user_id),
            ("username", &user.username),
            ("identifier", &user.username),
            ("email", &user.email),
            ("password", PASSWORD),
            ("current_password", PASSWORD),
            ("access_token", &tokens.access_token),
            ("refresh_token", &tokens.refresh_token),
            ("refresh_token", &guest.refresh_token),
            ("session_id", &tokens.session_id),
            ("credential_id", &created.credential.unwrap().credential_id),
            ("secret", &created.secret),
            ("device_secret", &random_text::<32>()),
            ("paths", "player.display_name"),
            ("paths", "player.avatar_url"),
            ("paths", "locale"),
            ("service", "muster.auth.v1.AuthService"),
        ])
    }

    /// The methods of every service that a server says it has, each with a client of the server. The first server names
    /// those of the others, too, which come after it.
    async fn served(&self) -> Vec<(&Client, MethodDescriptor)> {
        let mut served: Vec<(&Client, MethodDescriptor)> = Vec::new();
        for client in &self.clients {
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut reflection = ServerReflectionClient::new(client.channel().clone());
            let answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            let answer = answers.into_inner().message().await.unwrap().unwrap().message_response;
            let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
            for service in list.service {
                let is_same = |method: &MethodDescriptor| method.parent_service().full_name() == service.name;
                served.retain(|(_, method)| !(service.name.starts_with("muster.") && is_same(method)));
                let described = self.pool.get_service_by_name(&service.name);
                let described = described.unwrap_or_else(|| panic!("{} is served and not described", service.name));
                served.extend(described.methods().map(|method| (client, method)));
            }
        }
        served
    }

    /// A new token for a caller.
    async fn token(&self, caller: Caller) -> Option<String> {
        let role = match caller {
            Caller::Nobody => return None,
            Caller::Player => return Some(self.accounts().new_guest().await.access_token),
            Caller::Server => Role::Server,
            Caller::Admin => Role::Admin,
            Caller::Service => Role::Service,
        };
        Some(self.place.signer.sign_in(role).token)
    }

    /// Makes a call with the caller's token; again with a new one if an earlier call has ended the session.
    async fn with_token<T>(&self, caller: Caller, call: impl AsyncFn(Option<&str>) -> T, ended: fn(&T) -> bool) -> T {
        let token = self.tokens.lock().await.get(&caller).cloned();
        if let Some(token) = token {
            let answer = call(token.as_deref()).await;
            if !ended(&answer) {
                return answer;
            }
        }
        let token = self.token(caller).await;
        self.tokens.lock().await.insert(caller, token.clone());
        call(token.as_deref()).await
    }

    /// Makes a call, and checks that whatever is wrong with it is the caller's doing.
    fn call(&self, client: &Client, method: &MethodDescriptor, caller: Caller, bytes: &Bytes, what: &str) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let call = async |token: Option<&str>| {
            let patience = method.is_server_streaming().then_some(STREAM_PATIENCE);
            let call = call_grpc_within(patience, client.channel(), &path, token, body(bytes.clone()));
            let answer = tokio::time::timeout(LIMIT, call).await;
            answer.unwrap_or_else(|_| panic!("{path} does not answer {what} of {caller:?}"))
        };
        let ended = |outcome: &Outcome| outcome.code() == Code::Unauthenticated;
        if let Outcome::Status(status) = self.runtime.block_on(self.with_token(caller, call, ended)) {
            assert!(is_callers_doing(&status), "{path}: {what} of {caller:?}: {status:?}");
        }
    }

    fn call_route(&self, caller: Caller, request: &routes::JsonRequest) {
        let shown = format!("{caller:?} {request:?}").chars().take(500).collect::<String>();
        let call = async |token: Option<&str>| {
            let builder = http::Request::builder()
                .method(request.verb.as_str())
                .uri(request.path.as_str())
                .header("content-type", "application/json");
            let call = call_http(self.games().channel(), builder, token, body(request.body.clone()));
            tokio::time::timeout(LIMIT, call).await.unwrap_or_else(|_| panic!("no answer to {shown}"))
        };
        let ended = |(status, _): &(StatusCode, Bytes)| *status == StatusCode::UNAUTHORIZED;
        let (status, answer) = self.runtime.block_on(self.with_token(caller, call, ended));
        assert!(!status.is_server_error(), "{status} for {shown}");
        let json: Value = serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{error} for {shown}"));
        if !status.is_success() {
            let is_ours = |detail: &Value| detail["domain"] == "muster" && detail["reason"].is_string();
            assert!(json["details"].as_array().unwrap().iter().any(is_ours), "{json} for {shown}");
        }
    }

    fn assert_well(mut self) {
        for server in &mut self.place.servers {
            assert!(server.ended().is_none(), "the process ended");
            assert!(!server.output().contains("panicked"), "a handler panicked");
            server.wait_until_ready();
        }
    }
}

/// Nothing is wrong with this server, so an error is the caller's doing. It says which.
fn is_callers_doing(status: &Status) -> bool {
    let ours = [Code::Internal, Code::Unknown, Code::Unimplemented, Code::Unavailable, Code::DataLoss];
    !ours.contains(&status.code()) && (status.code() == Code::Ok || !refusal(status).1.is_empty())
}

/// Everything that a server may describe.
fn pool() -> DescriptorPool {
    let mut pool = pkg_api::descriptors().clone();
    for set in
        [tonic_health::pb::FILE_DESCRIPTOR_SET, FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET]
    {
        pool.decode_file_descriptor_set(set).unwrap();
    }
    pool
}

/// Other cases at each run; a failure is shrunk and shown.
fn runner(cases: u32) -> TestRunner {
    let times = if std::env::var_os("MUSTER_TEST_LONG").is_some_and(|long| long == "1") { LONG } else { 1 };
    let config = Config { cases: cases * times, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let seed = pkg_ambient::Ambient::system().random::<32>();
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

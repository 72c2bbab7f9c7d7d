//! What Envoy lets through of games, and how: gRPC, JSON, streams of both.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::game::v1::GetSessionRequest;
use pkg_auth::{Role, SigningKey};
use serde_json::{Value, json};
use system_tests::{
    Client, Curl, Deployment, Follower, Outcome, SignedIn, Signer, body, call_grpc, eventually, frame, game_event,
    refusal,
};
use tonic::Code;

use crate::system::{System, generous, topic_of};

/// Longer than Envoy lets a route take if nothing else is said, 15 s.
const PAST_ROUTE_TIMEOUT: Duration = Duration::from_secs(17);

#[tokio::test(flavor = "multi_thread")]
async fn internal_methods_are_not_there_whoever_asks() {
    let system = System::start().await;
    let service = system.deployment.signer().sign_in(Role::Service);
    for (method, path) in [
        ("BatchGetSessionStates", "/muster.game.v1.SessionInternalService/BatchGetSessionStates"),
        ("ReportQueued", "/muster.presence.v1.PresenceInternalService/ReportQueued"),
    ] {
        let call = |client: Client| {
            let token = service.token.clone();
            async move {
                match call_grpc(client.channel(), path, Some(&token), body(frame(&[]))).await {
                    Outcome::Status(status) => status,
                    Outcome::Message => tonic::Status::ok(""),
                }
            }
        };
        let refused = call(system.client()).await;
        assert_eq!(refusal(&refused), (Code::Unimplemented, "METHOD_NOT_FOUND".to_owned()), "{method}");
        // It is there, where only services come.
        assert_ne!(call(Client::of(system.games[0].api())).await.code(), Code::Unimplemented, "{method}");
        let (player, inside) = (system.player(), Client::of(system.games[0].api()));
        let inside = call_grpc(inside.channel(), path, Some(&player.token), body(frame(&[])));
        let Outcome::Status(status) = inside.await else { panic!("a player was let in") };
        assert_eq!(refusal(&status), (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned()), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_old_or_forged_open_nothing() {
    let system = System::start().await;
    let client = system.client();
    let forger = Signer::new(SigningKey::generate(Ambient::system().random()));
    let old = system.deployment.signer().sign_in_at(Duration::from_mins(16), Role::Player);
    for (who, reason) in [(old, "TOKEN_EXPIRED"), (forger.sign_in(Role::Admin), "TOKEN_INVALID")] {
        let expected = (Code::Unauthenticated, reason.to_owned());
        let session = Ambient::system().id().to_string();
        let read = client.get_session(&who, &session).await.unwrap_err();
        assert_eq!(refusal(&read), expected);
        let follow = Follower::of(&client, &who, "announcements", "").await.unwrap_err();
        assert_eq!(refusal(&follow), expected);
        let publish = client.publish(&who, &session, vec![game_event("x")]).await.unwrap_err();
        assert_eq!(refusal(&publish), expected);
        let answer = Curl::to(system.envoy.address()).get(&format!("/v1/sessions/{session}"), &who.token);
        assert_eq!(answer.refusal(), (401, reason));
    }
    let nobody = client.sessions().get_session(GetSessionRequest::default()).await.unwrap_err();
    assert_eq!(refusal(&nobody), (Code::Unauthenticated, "TOKEN_MISSING".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_plays_by_json_and_hears_what_happens_line_by_line() {
    let system = System::start().await;
    let curl = Curl::to(system.envoy.address());
    let (player, game) = (system.player(), system.game(generous()).await);
    let created = curl.post_as(&player.token, "/v1/sessions", &json!({ "gameId": game }));
    assert_eq!(created.status, 200, "{created:?}");
    let (session, cursor) = (created.text("session/sessionId"), created.text("cursor"));

    let mut lines = Lines::of(&system, &player, &topic_of(&session), &cursor);
    assert_eq!(lines.next()["subscribed"]["topic"], topic_of(&session).as_str());
    for number in 0..20 {
        let id = Ambient::system().id().to_string();
        let event =
            json!({ "eventId": id, "event": { "name": "move", "attributes": { "n": { "intValue": number } } } });
        let path = format!("/v1/sessions/{session}/events");
        let published = curl.post_as(&player.token, &path, &json!({ "events": [event] }));
        assert_eq!(published.status, 200, "{published:?}");
        // Each as soon as it happens, not when a buffer is full.
        let event = loop {
            let line = lines.next();
            if line["event"].get("gameEvent").is_some() {
                break line;
            }
        };
        assert_eq!(event["event"]["gameEvent"]["attributes"]["n"]["intValue"], number.to_string());
    }

    let body = json!({ "subscriptions": [{ "topic": topic_of(&Ambient::system().id().to_string()) }] });
    let refused = curl.post_as(&player.token, "/v1/events:subscribe", &body);
    assert_eq!(refused.refusal(), (404, "TOPIC_NOT_FOUND"));
    let misspelt = curl.post_as(&player.token, "/v1/events:subscribe", &json!({ "topics": [] }));
    assert_eq!((misspelt.refusal(), misspelt.violated_fields()), ((400, "INVALID_FIELD"), vec!["topics"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_of_one_address_have_a_limit_of_their_own() {
    const BURST: u32 = 5;
    let system = System::with(Deployment::new().await, |edge| edge.publish_burst = BURST);
    let (client, player) = (system.client(), system.player());
    let session = client.create_session(&player, &system.game(generous()).await).await.session.unwrap().session_id;
    for _ in 0..BURST {
        client.publish(&player, &session, vec![game_event("x")]).await.unwrap();
    }
    let limited = client.publish(&player, &session, vec![game_event("x")]).await.unwrap_err();
    assert_eq!(refusal(&limited), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
    for _ in 0..2 * BURST {
        client.get_session(&player, &session).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_lives_and_is_told_of_a_drain() {
    let mut system = System::start().await;
    let (client, player) = (system.client(), system.player());
    let mut follower = Follower::of(&client, &player, "announcements", "").await.unwrap();
    let began = tokio::time::Instant::now();
    let ended = tokio::time::timeout(PAST_ROUTE_TIMEOUT, follower.next()).await;
    assert!(ended.is_err(), "after {:?}: {ended:?}", began.elapsed());

    // It is on one of the two.
    let told = tokio::spawn(async move { (follower.next().await, follower.next().await) });
    system.drain_one().await;
    system.drain_one().await;
    let (told, end) = told.await.unwrap();
    assert!(matches!(told, Ok(Some(Message::GoAway(_)))), "{told:?}");
    assert!(matches!(end, Ok(None)), "{end:?}");
    // Somebody serves all the while.
    eventually("it goes on elsewhere", async || Follower::of(&client, &player, "announcements", "").await.ok()).await;
}

/// The lines of a stream as a script has them: curl.
struct Lines {
    curl: Child,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Lines {
    fn of(system: &System, who: &SignedIn, topic: &str, cursor: &str) -> Self {
        let body = json!({ "subscriptions": [{ "topic": topic, "cursor": cursor }] });
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--max-time", "60", "-H"]);
        command.arg(format!("authorization: Bearer {}", who.token)).args(["-d", &body.to_string()]);
        command.arg(format!("http://{}/v1/events:subscribe", system.envoy.address()));
        let mut curl = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(curl.stdout.take().unwrap()).lines();
        Self { curl, output }
    }

    fn next(&mut self) -> Value {
        let line = self.output.next().expect("the stream goes on").unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.curl.kill());
        drop(self.curl.wait());
    }
}

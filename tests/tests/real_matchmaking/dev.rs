//! Two people with grpcurl, and nothing installed but Muster.

use std::path::Path;
use std::process::Command;

use serde_json::{Deserializer, Value, json};
use system_tests::{Finished, Muster, PASSWORD, Process, email, run_muster, test_variable, username};
use tempfile::TempDir;

const MATCHMAKING: &str = "muster.matchmaking.v1.MatchmakingService";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/duel/game.toml");

#[test]
fn two_grpcurl_clients_are_matched_and_both_see_the_session() {
    let data = TempDir::new().unwrap();
    let muster = Muster::dev(data.path(), &[]);
    let game = apply(&muster, data.path());
    let tokens = [sign_in(&muster), sign_in(&muster)];

    // Both are in the nearest region.
    let latencies = json!([{ "region": "REGION_EU_WEST", "latency": "0.020s" }]);
    let wish = json!({ "game_id": game, "queue_key": "ranked", "players": [{ "latencies": latencies }] });
    let tickets = tokens.each_ref().map(|token| {
        let created = call(&muster, token, "CreateTicket", &wish);
        created["ticket"]["ticketId"].as_str().unwrap().to_owned()
    });
    let sessions = [0, 1].map(|who| {
        let watch = json!({ "ticket_id": tickets[who] });
        session_of(&call_stream(&muster, &tokens[who], "WatchTicket", &watch))
    });
    assert_eq!(sessions[0], sessions[1]);
    for token in &tokens {
        let active = call(&muster, token, "GetActiveMatch", &json!({ "game_id": game }));
        assert_eq!(active["match"]["sessionId"], sessions[0].as_str());
        let session =
            run(&muster, token, "muster.game.v1.SessionService/GetSession", &json!({ "session_id": sessions[0] }));
        let session: Value = serde_json::from_str(&session.stdout).unwrap();
        assert_eq!(session["session"]["seats"].as_array().map(Vec::len), Some(2), "{session}");
    }
}

/// The example game, as an operator brings it up.
fn apply(muster: &Muster, data: &Path) -> String {
    let token = run_muster(&["token", "--data", data.to_str().unwrap()], &[]).stdout.trim().to_owned();
    let address = format!("http://{}", muster.api());
    let applied = run_muster(&["apply", EXAMPLE, "--address", &address], &[("MUSTER_TOKEN", token.clone())]);
    assert!(applied.status.success(), "{}", applied.stderr);
    let found = run(muster, &token, "muster.game.v1.CatalogService/FindGame", &json!({ "key": "duel" }));
    let found: Value = serde_json::from_str(&found.stdout).unwrap_or_else(|_| panic!("{}", found.stderr));
    found["game"]["gameId"].as_str().unwrap().to_owned()
}

fn sign_in(muster: &Muster) -> String {
    let body = json!({ "username": username(), "email": email(), "password": PASSWORD });
    let registered = run(muster, "", "muster.auth.v1.AuthService/Register", &body);
    let registered: Value = serde_json::from_str(&registered.stdout).unwrap();
    registered["tokens"]["accessToken"].as_str().unwrap().to_owned()
}

/// The session in the last message of a stream.
fn session_of(messages: &[Value]) -> String {
    let ticket = &messages.last().unwrap()["ticket"];
    assert_eq!(ticket["status"], "TICKET_STATUS_MATCHED", "{messages:?}");
    ticket["match"]["sessionId"].as_str().unwrap().to_owned()
}

fn call(muster: &Muster, token: &str, method: &str, body: &Value) -> Value {
    let answer = run(muster, token, &format!("{MATCHMAKING}/{method}"), body);
    assert!(answer.status.success(), "{method}: {}", answer.stderr);
    serde_json::from_str(&answer.stdout).unwrap()
}

fn call_stream(muster: &Muster, token: &str, method: &str, body: &Value) -> Vec<Value> {
    let answer = run(muster, token, &format!("{MATCHMAKING}/{method}"), body);
    assert!(answer.status.success(), "{method}: {}", answer.stderr);
    Deserializer::from_str(&answer.stdout).into_iter().collect::<Result<_, _>>().unwrap()
}

fn run(muster: &Muster, token: &str, method: &str, body: &Value) -> Finished {
    let mut command = Command::new(test_variable("MUSTER_TEST_GRPCURL"));
    command.args(["-plaintext", "-max-time", "25", "-H", &format!("authorization: Bearer {token}")]);
    command.args(["-d", &body.to_string(), &muster.api().to_string(), method]);
    Process::run(command)
}

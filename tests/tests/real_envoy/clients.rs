//! The life of an account: grpcurl by reflection, curl, and a web page's client in Node.

use std::process::Command;

use serde_json::{Value, json};
use system_tests::{PASSWORD, Process, email, generate_javascript, node_client, test_variable, username};

use crate::{System, register};

const AUTH: &str = "muster.auth.v1.AuthService";
const ORIGIN: &str = "https://play.example.com";
const DESCRIBED: [&str; 4] = ["--reflection", "true", "--allow-in-production", "reflection"];

#[tokio::test]
async fn grpcurl_finds_the_api_and_uses_an_account() {
    let system = System::with_flags(&DESCRIBED, |_| {}).await;
    let (name, mail) = (username(), email());
    let services = grpcurl(&system, &[], &["list"]).expect("reflection is routed");
    let others = ["muster.player.v1.PlayerService", "muster.game.v1.SessionService", "muster.events.v1.EventService"];
    for service in [AUTH, "grpc.health.v1.Health"].into_iter().chain(others) {
        assert!(services.lines().any(|line| line == service), "{service} is not in {services}");
    }

    let body = json!({ "username": name, "email": mail, "password": PASSWORD });
    call(&system, None, "Register", &body).expect("a new name can be registered");
    let login =
        call(&system, None, "Login", &json!({ "identifier": name, "password": PASSWORD })).expect("it signs in");
    let token = login["tokens"]["accessToken"].as_str().expect("there are tokens").to_owned();
    let sessions = call(&system, Some(&token), "ListDeviceSessions", &json!({})).expect("the token is good");
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(2));
    call(&system, Some(&token), "Logout", &json!({})).expect("it signs out");
    let refused = call(&system, Some(&token), "Logout", &json!({})).expect_err("the session has ended");
    assert!(refused.contains("TOKEN_REVOKED"), "{refused}");
}

#[tokio::test]
async fn an_api_that_does_not_describe_itself_is_used_without() {
    let system = System::with_flags(&DESCRIBED, |edge| edge.reflection = false).await;
    assert!(grpcurl(&system, &[], &["list"]).is_err());
    register(&system.curl());
}

#[tokio::test]
async fn curl_uses_an_account() {
    let system = System::start(|_| {}).await;
    let curl = system.curl();
    let (name, token) = register(&curl);

    let profile = curl.get("/v1/players/me", &token);
    assert_eq!((profile.status, profile.text("profile/player/displayName")), (200, name.clone()));
    assert_eq!(profile.header("server"), None);
    let body = json!({ "player": { "displayName": "The One ☎" }, "locale": "pt-BR" }).to_string();
    let authorization = format!("authorization: Bearer {token}");
    let patch = ["-X", "PATCH", "-H", &authorization, "-d", &body];
    let changed = curl.call("/v1/players/me?updateMask=player.displayName,locale", &patch);
    assert_eq!((changed.status, changed.text("profile/locale")), (200, "pt-BR".to_owned()), "{changed:?}");

    let found = curl.get(&format!("/v1/players:find?username={}", name.to_uppercase()), &token);
    assert_eq!(found.text("player/displayName"), "The One ☎");
    let others = curl.post_as(&token, "/v1/auth/sessions:endOthers", &json!({}));
    assert_eq!((others.status, &others.body["endedCount"]), (200, &json!(0)));
    assert_eq!(curl.post_as(&token, "/v1/auth/logout", &json!({})).status, 200);
    let refused = curl.get("/v1/players/me", &token);
    assert_eq!((refused.refusal(), refused.header("www-authenticate")), ((401, "TOKEN_REVOKED"), Some("Bearer")));
}

#[tokio::test]
async fn a_web_page_s_client_does_all_it_needs() {
    // The service would do CORS too, if it were asked.
    let system = System::with_flags(&["--cors-origins", ORIGIN], |edge| edge.origins = vec![ORIGIN.to_owned()]).await;
    let generated = generate_javascript();
    let mut command = Command::new("node");
    command.arg(node_client().join("accounts.mjs")).arg(format!("http://{}", system.envoy.address())).arg(ORIGIN);
    command.arg(generated.path());
    let finished = Process::run(command);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
}

fn call(system: &System, token: Option<&str>, method: &str, body: &Value) -> Result<Value, String> {
    let authorization = token.map(|token| format!("authorization: Bearer {token}"));
    let body = body.to_string();
    let mut flags = vec!["-d", body.as_str()];
    flags.extend(authorization.as_deref().into_iter().flat_map(|header| ["-H", header]));
    let answer = grpcurl(system, &flags, &[&format!("{AUTH}/{method}")])?;
    Ok(serde_json::from_str(&answer).expect("grpcurl prints JSON"))
}

/// What grpcurl prints, or what it complains of.
fn grpcurl(system: &System, flags: &[&str], arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(test_variable("MUSTER_TEST_GRPCURL"));
    command.args(["-plaintext", "-max-time", "30"]).args(flags);
    command.arg(system.envoy.address().to_string()).args(arguments);
    let finished = Process::run(command);
    if finished.status.success() { Ok(finished.stdout) } else { Err(finished.stderr) }
}

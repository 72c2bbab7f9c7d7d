//! JSON over HTTP, by curl.

use std::path::Path;

use serde_json::json;
use system_tests::{Answer, Curl, Muster, PASSWORD, email, random_text, username};

const NEW_PASSWORD: &str = "battery-staple-8";

#[test]
fn an_account_lives_from_registration_to_deletion() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    let (name, mail) = (username(), email());

    let registered = curl.post("/v1/auth/register", &json!({ "username": name, "email": mail, "password": PASSWORD }));
    assert_eq!(registered.status, 200, "{registered:?}");
    assert_eq!(registered.text("user/username"), name);
    assert_eq!(registered.text("user/role"), "ROLE_PLAYER");
    let user = registered.text("user/userId");

    for identifier in [name.clone(), name.to_uppercase(), mail.to_lowercase(), mail.to_uppercase()] {
        let answer = log_in(&curl, &identifier, PASSWORD);
        assert_eq!((answer.status, answer.text("user/userId")), (200, user.clone()), "{identifier}");
    }
    let tokens = log_in(&curl, &name, PASSWORD);
    let refreshed = curl.post("/v1/auth/refresh", &json!({ "refreshToken": tokens.text("tokens/refreshToken") }));
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let token = refreshed.text("tokens/accessToken");

    let changed =
        curl.post_as(&token, "/v1/auth/password", &json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD }));
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(log_in(&curl, &name, PASSWORD).refusal(), (401, "CREDENTIALS_INVALID"));
    assert_eq!(log_in(&curl, &name, NEW_PASSWORD).status, 200);

    let wrong = curl.post_as(&token, "/v1/auth/account:delete", &json!({ "password": PASSWORD }));
    assert_eq!(wrong.refusal(), (401, "CREDENTIALS_INVALID"));
    let deleted = curl.post_as(&token, "/v1/auth/account:delete", &json!({ "password": NEW_PASSWORD }));
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert_eq!(curl.get("/v1/players/me", &token).refusal(), (401, "TOKEN_REVOKED"));
    assert_eq!(log_in(&curl, &name, NEW_PASSWORD).refusal(), (401, "CREDENTIALS_INVALID"));
    let again = curl.post("/v1/auth/register", &json!({ "username": name, "email": mail, "password": PASSWORD }));
    assert_eq!(again.status, 200, "name and address are free again: {again:?}");
}

#[test]
fn a_profile_is_read_changed_and_found() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    let (user, name, token) = register(&curl);

    let before = curl.get("/v1/players/me", &token);
    assert_eq!(before.text("profile/player/displayName"), name);
    let body = json!({ "player": { "displayName": "The One ☎", "avatarUrl": "https://example.com/one.png" }, "locale": "pt-BR" });
    let authorization = format!("authorization: Bearer {token}");
    let patch = ["-X", "PATCH", "-H", &authorization, "-d", &body.to_string()];
    let changed = curl.call("/v1/players/me?updateMask=player.displayName,locale", &patch);
    assert_eq!(changed.status, 200, "{changed:?}");

    let after = curl.get("/v1/players/me", &token);
    assert_eq!(after.body, changed.body);
    assert_eq!(after.text("profile/player/displayName"), "The One ☎");
    assert_eq!(after.text("profile/locale"), "pt-BR");
    assert_eq!(after.body["profile"]["player"]["avatarUrl"].as_str().unwrap_or_default(), "", "it is not in the mask");

    let found = curl.get(&format!("/v1/players:find?username={}", name.to_uppercase()), &token);
    assert_eq!(found.text("player/playerId"), user);
    assert!(found.body["player"].get("email").is_none());
    let by_id = curl.get(&format!("/v1/players/{user}"), &token);
    assert_eq!(by_id.body, found.body);
    let unmasked = curl.call("/v1/players/me", &patch);
    assert_eq!((unmasked.refusal(), unmasked.violated_fields()), ((400, "INVALID_FIELD"), vec!["update_mask"]));
}

#[test]
fn device_sessions_are_listed_and_ended() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    let (_, name, token) = register(&curl);
    let body =
        json!({ "identifier": name, "password": PASSWORD, "device": { "name": "Ann's phone", "platform": "android" } });
    let phone = curl.post("/v1/auth/login", &body);
    let third = log_in(&curl, &name, PASSWORD);

    let list = curl.get("/v1/auth/sessions", &token);
    let sessions = list.body["sessions"].as_array().expect("there are sessions");
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|session| session["current"] == true).count(), 1);
    let session = phone.text("tokens/sessionId");
    let listed = sessions.iter().find(|listed| listed["sessionId"] == session.as_str()).expect("the phone is listed");
    assert_eq!((&listed["device"]["name"], &listed["address"]), (&json!("Ann's phone"), &json!("127.0.0.1")));

    let authorization = format!("authorization: Bearer {token}");
    let end =
        |session: &str| curl.call(&format!("/v1/auth/sessions/{session}"), &["-X", "DELETE", "-H", &authorization]);
    assert_eq!(end(&session).status, 200);
    assert_eq!(end(&session).refusal(), (404, "DEVICE_SESSION_NOT_FOUND"));
    assert_eq!(curl.get("/v1/players/me", &phone.text("tokens/accessToken")).refusal(), (401, "TOKEN_REVOKED"));

    let others = curl.post_as(&token, "/v1/auth/sessions:endOthers", &json!({}));
    assert_eq!(others.body["endedCount"], 1);
    assert_eq!(curl.get("/v1/players/me", &third.text("tokens/accessToken")).refusal(), (401, "TOKEN_REVOKED"));
    assert_eq!(curl.post_as(&token, "/v1/auth/logout", &json!({})).status, 200);
    assert_eq!(curl.get("/v1/players/me", &token).refusal(), (401, "TOKEN_REVOKED"));
}

#[test]
fn a_guest_becomes_a_full_account() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    let secret = random_text::<32>();
    let guest = curl.post("/v1/auth/device", &json!({ "deviceSecret": secret }));
    assert_eq!((&guest.body["created"], &guest.body["user"]["guest"]), (&json!(true), &json!(true)));
    let token = guest.text("tokens/accessToken");

    let (name, mail) = (username(), email());
    let body = json!({ "username": name, "email": mail, "password": PASSWORD });
    assert_eq!(curl.post_as(&token, "/v1/auth/upgrade", &body).status, 200);
    assert_eq!(curl.post_as(&token, "/v1/auth/upgrade", &body).refusal(), (400, "NOT_A_GUEST"));

    let user = guest.text("user/userId");
    assert_eq!(log_in(&curl, &name, PASSWORD).text("user/userId"), user);
    let device = curl.post("/v1/auth/device", &json!({ "deviceSecret": secret }));
    assert_eq!(device.text("user/userId"), user);
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    let (_, name, _) = register(&curl);
    let register = |username: &str, email: &str| {
        curl.post("/v1/auth/register", &json!({ "username": username, "email": email, "password": PASSWORD }))
    };

    let taken = register(&name.to_uppercase(), &email());
    assert_eq!((taken.refusal(), taken.violated_fields()), ((409, "USERNAME_TAKEN"), vec!["username"]));
    let short = register("n", &email());
    assert_eq!((short.refusal(), short.violated_fields()), ((400, "INVALID_FIELD"), vec!["username"]));
    assert_eq!(log_in(&curl, &name, "not-the-password").refusal(), (401, "CREDENTIALS_INVALID"));
    let missing = curl.call("/v1/players/me", &[]);
    assert_eq!(missing.refusal(), (401, "TOKEN_MISSING"));
    assert!(missing.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    assert_eq!(curl.get("/v1/players/me", "nonsense").refusal(), (401, "TOKEN_INVALID"));

    let unknown = curl.post("/v1/auth/login", &json!({ "identifier": name, "passwort": PASSWORD }));
    assert_eq!((unknown.refusal(), unknown.violated_fields()), ((400, "INVALID_FIELD"), vec!["passwort"]));
    let malformed = curl.call("/v1/auth/login", &["-d", r#"{"identifier":"#]);
    assert_eq!(malformed.refusal(), (400, "MALFORMED_JSON"));
    assert_eq!(curl.call("/v1/nowhere", &[]).refusal(), (404, "ROUTE_NOT_FOUND"));
    let method = curl.call("/v1/auth/login", &[]);
    assert_eq!((method.refusal(), method.header("allow")), ((405, "METHOD_NOT_ALLOWED"), Some("POST")));
    assert_eq!(curl.post("/v1/auth/users/x:ban", &json!({})).refusal(), (401, "TOKEN_MISSING"));
}

#[test]
fn the_request_id_is_returned_once() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    for path in ["/v1/players/me", "/v1/nowhere", "/healthz"] {
        let given = curl.call(path, &["-H", "x-request-id: I-made-this"]);
        assert_eq!(given.header("x-request-id"), Some("I-made-this"), "{path}");
        assert!(curl.call(path, &[]).header("x-request-id").is_some_and(|id| id.len() == 36), "{path}");
    }
}

#[test]
fn too_many_tries_are_told_when_to_come_back() {
    let muster = Muster::dev(Path::new("none"), &["--account-burst", "2", "--account-rate", "1"]);
    let curl = Curl::to(muster.api());
    let (_, name, _) = register(&curl);
    for _ in 0..2 {
        assert_eq!(log_in(&curl, &name, "not-the-password").refusal(), (401, "CREDENTIALS_INVALID"));
    }
    let limited = log_in(&curl, &name, PASSWORD);
    assert_eq!(limited.refusal(), (429, "RATE_LIMITED"));
    let seconds: u64 = limited.header("retry-after").expect("it says when").parse().expect("in seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[test]
fn the_admin_paths_are_there() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let curl = Curl::to(muster.api());
    assert_eq!(curl.call("/healthz", &[]).status, 200);
    assert_eq!(curl.call("/readyz", &[]).body["dependencies"]["sqlite"]["ok"], true);
    assert_eq!(curl.call("/metrics", &[]).status, 200);
    assert_eq!(curl.call("/.well-known/jwks.json", &[]).body["keys"][0]["crv"], "Ed25519");
}

/// The id, the name and an access token of somebody new.
fn register(curl: &Curl) -> (String, String, String) {
    let name = username();
    let body = json!({ "username": name, "email": email(), "password": PASSWORD });
    let answer = curl.post("/v1/auth/register", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.text("user/userId"), name, answer.text("tokens/accessToken"))
}

fn log_in(curl: &Curl, identifier: &str, password: &str) -> Answer {
    curl.post("/v1/auth/login", &json!({ "identifier": identifier, "password": password }))
}

//! Requests that no service answers: Envoy does, in the shape that services have.

use serde_json::json;
use system_tests::{Client, Deployment, Edge, Envoy, Outcome, body, call_grpc, call_http, frame, refusal};
use tonic::Code;

use crate::{System, register};

#[tokio::test]
async fn what_is_wrong_with_json_is_said_as_muster_dev_says_it() {
    let system = System::start(|_| {}).await;
    let curl = system.curl();
    let (_, token) = register(&curl);

    let unknown = curl.post("/v1/auth/login", &json!({ "identifier": "neo", "passwort": "x" }));
    assert_eq!((unknown.refusal(), unknown.violated_fields()), ((400, "INVALID_FIELD"), vec!["passwort"]));
    let inside = json!({ "identifier": "neo", "password": "x", "device": { "nam": "phone" } });
    let inside = curl.post("/v1/auth/login", &inside);
    assert_eq!((inside.refusal(), inside.violated_fields()), ((400, "INVALID_FIELD"), vec!["device.nam"]));
    let snake = curl.post("/v1/auth/refresh", &json!({ "refresh_token": "x" }));
    assert_eq!(snake.refusal(), (401, "REFRESH_TOKEN_INVALID"), "both names of a field are good");
    let kind = curl.post("/v1/auth/login", &json!({ "identifier": { "name": "neo" } }));
    assert_eq!(kind.refusal(), (400, "INVALID_FIELD"));
    for malformed in [r#"{"identifier":"#, "{'identifier':'neo'}", r#"{"identifier":"neo",}"#, "[1 2]", "{} {}", "nul"]
    {
        assert_eq!(curl.call("/v1/auth/login", &["-d", malformed]).refusal(), (400, "MALFORMED_JSON"), "{malformed}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(curl.call("/v1/auth/login", &["-d", &deep]).refusal(), (400, "MALFORMED_JSON"));
    let text = curl.call("/v1/auth/login", &["-H", "content-type: text/plain", "-d", "{}"]);
    assert_eq!(text.refusal(), (415, "UNSUPPORTED_CONTENT_TYPE"));

    assert_eq!(curl.get("/v1/players:find?usernam=neo", &token).refusal(), (400, "INVALID_FIELD"));
    assert_eq!(curl.call("/v1/nowhere", &[]).refusal(), (404, "ROUTE_NOT_FOUND"));
    assert_eq!(curl.call("/", &[]).refusal(), (404, "ROUTE_NOT_FOUND"));
    let method = curl.call("/v1/auth/login", &[]);
    assert_eq!((method.refusal(), method.header("allow")), ((405, "METHOD_NOT_ALLOWED"), Some("POST")));
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let system = System::start(|_| {}).await;
    let curl = system.curl();
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let file = folder.path().join("body");
    std::fs::write(&file, vec![b'a'; 2 * 1024 * 1024]).expect("the folder is ours");
    let large = curl.call("/v1/auth/login", &["-H", "expect:", "--data-binary", &format!("@{}", file.display())]);
    assert_eq!(large.refusal(), (413, "BODY_TOO_LARGE"));
    let header = format!("x-large: {}", "a".repeat(20_000));
    assert_eq!(curl.call("/v1/players/me", &["-H", &header]).refusal(), (431, "HEADERS_TOO_LARGE"));

    // Over HTTP/2 the call ends alone: its neighbours on the connection do not notice.
    let client = Client::of(system.envoy.address());
    let message =
        call_grpc(client.channel(), "/muster.auth.v1.AuthService/Login", None, body(frame(&vec![0; 300_000])));
    let Outcome::Status(status) = message.await else { panic!("the message was taken") };
    assert_eq!(refusal(&status), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
    let mut request = tonic::Request::new(pkg_api::auth::v1::ValidateTokenRequest::default());
    request.metadata_mut().insert("x-large", "a".repeat(20_000).parse().expect("it is ASCII"));
    assert!(client.auth().validate_token(request).await.is_err());
    client.new_guest().await;
}

#[tokio::test]
async fn a_path_has_one_meaning() {
    let system = System::start(|_| {}).await;
    let curl = system.curl();
    for escaped in ["/v1%2fplayers%2fme", "/v1/players/%5c/me"] {
        assert_eq!(curl.call(escaped, &["--path-as-is"]).refusal(), (400, "MALFORMED_REQUEST"), "{escaped}");
    }
    for detour in ["/v1/auth/../players/me", "//v1///players/me", "/v1/./players/me"] {
        assert_eq!(curl.call(detour, &["--path-as-is"]).refusal(), (401, "TOKEN_MISSING"), "{detour}");
    }
    let underscore = curl.call("/v1/players/me", &["-H", "x_user_id: 1"]);
    assert_eq!(underscore.refusal(), (400, "MALFORMED_REQUEST"));
}

#[tokio::test]
async fn what_is_internal_or_not_there_is_not_routed() {
    let system = System::start(|_| {}).await;
    let client = Client::of(system.envoy.address());
    for path in [
        "/muster.presence.v1.PresenceInternalService/ReportQueued",
        "/muster.game.v1.SessionInternalService/CreateSession",
        "/muster.leaderboard.v1.BoardInternalService/BatchCheckScores",
        "/muster.nothing.v1.NothingService/Nothing",
        "/nothing",
    ] {
        let Outcome::Status(status) = call_grpc(client.channel(), path, None, body(frame(&[]))).await else {
            panic!("{path} was answered")
        };
        assert_eq!(refusal(&status), (Code::Unimplemented, "METHOD_NOT_FOUND".to_owned()), "{path}");
        let web = http::Request::post(path).header("content-type", "application/grpc-web+proto");
        let web = call_http(client.channel(), web, None, body(frame(&[]))).await;
        assert_eq!((web.0.as_u16(), web.1.len()), (200, 0), "{path}: the status is in the headers");
    }
    for path in ["/metrics", "/readyz", "/.well-known/jwks.json", "/stats", "/config_dump"] {
        assert_eq!(system.curl().call(path, &[]).refusal(), (404, "ROUTE_NOT_FOUND"), "{path}");
    }
}

#[tokio::test]
async fn a_service_that_is_gone_is_unavailable() {
    let deployment = Deployment::new().await;
    let mut replica = deployment.replica(&[]);
    let envoy = Envoy::start(&Edge::of(&[replica.api()]));
    replica.kill();

    let client = Client::of(envoy.address());
    let refused = client.use_token("nonsense").await.expect_err("nobody is there");
    assert_eq!(refusal(&refused), (Code::Unavailable, "SERVICE_UNAVAILABLE".to_owned()));
    let curl = system_tests::Curl::to(envoy.address());
    assert_eq!(curl.call("/v1/players/me", &[]).refusal(), (503, "SERVICE_UNAVAILABLE"));
    system_tests::eventually("Envoy is not ready", async || (curl.status("/healthz") == Some(503)).then_some(())).await;
}

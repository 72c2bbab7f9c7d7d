//! The layers around a call, over a socket and in process.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_auth::Role;
use pkg_middleware::{AccessError, BindError, Cors, Service, ServiceIdentity, Settings};
use tonic::Code;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::{ProbeClient, ask, error, failure, frame, grpc, http2};
use crate::harness::{Harness, issuer, local, recorder, unbound};
use crate::probe::{ProbeServer, take};

#[tokio::test]
async fn a_sane_request_id_is_taken_and_every_answer_has_one() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;

    let answer = client.call("Echo", ask(&[("x-request-id", "from-the-client")])).await.expect("an answer");
    assert_eq!(answer.metadata().get("x-request-id").expect("an id"), "from-the-client");
    assert_eq!(answer.get_ref().request_id, "from-the-client");

    let long = "x".repeat(129);
    for insane in ["", "two words", long.as_str()] {
        let answer = client.call("Echo", ask(&[("x-request-id", insane)])).await.expect("an answer");
        let id = answer.metadata().get("x-request-id").expect("an id").to_str().expect("text");
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{id}");
    }

    let refused = client.call("WhoAmI", ask(&[("x-request-id", "refused")])).await.expect_err("there is no token");
    assert_eq!(refused.metadata().get("x-request-id").expect("an id"), "refused");
}

#[tokio::test]
async fn the_callers_trace_is_taken() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = client.call("Echo", ask(&[("traceparent", parent)])).await.expect("an answer");
    assert_eq!(answer.get_ref().trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");

    let answer = client.call("Echo", ask(&[("traceparent", "nonsense")])).await.expect("an answer");
    assert_eq!(answer.get_ref().trace_id.len(), 32);
}

#[tokio::test]
async fn forged_forwarding_headers_do_not_change_the_address() {
    for hops in [0, 1] {
        let harness = Harness::with(|settings| settings.trusted_hops = hops).await;
        let mut client = harness.client().await;
        for forged in ["192.0.2.1", "192.0.2.2, 192.0.2.3"] {
            // With one trusted proxy, it is the proxy that adds the last entry.
            let header = if hops == 0 { forged.to_owned() } else { format!("{forged}, 198.51.100.9") };
            let answer = client.call("Echo", ask(&[("x-forwarded-for", &header)])).await.expect("an answer");
            let expected = if hops == 0 { "127.0.0.1" } else { "198.51.100.9" };
            assert_eq!(answer.get_ref().client_address, expected);
        }
    }
}

#[tokio::test]
async fn only_a_good_token_with_an_allowed_role_comes_in() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let (player, token) = (harness.player(), harness.player().replace("Bearer ", ""));

    let told = client.call("WhoAmI", ask(&[("authorization", &player)])).await.expect("an answer").into_inner();
    assert_eq!((told.user_id, told.role), (uuid::Uuid::from_u128(1).to_string(), "player".to_owned()));
    for scheme in ["bearer", "BEARER"] {
        let header = format!("{scheme} {token}");
        assert!(client.call("WhoAmI", ask(&[("authorization", &header)])).await.is_ok());
    }

    let missing = client.call("WhoAmI", ask(&[])).await;
    assert_eq!(failure(missing), error(Code::Unauthenticated, "TOKEN_MISSING"));
    let forged = format!("Bearer {}x", &token[..token.len() - 4]);
    for bad in [forged.as_str(), "Bearer", "Bearer ", "Basic dXNlcg==", token.as_str()] {
        let refused = client.call("WhoAmI", ask(&[("authorization", bad)])).await;
        assert_eq!(failure(refused), error(Code::Unauthenticated, "TOKEN_INVALID"), "{bad}");
    }
    let twice = client.call("WhoAmI", ask(&[("authorization", &player), ("authorization", &player)])).await;
    assert_eq!(failure(twice), error(Code::Unauthenticated, "TOKEN_INVALID"));
    let elsewhere = client.call("Inside", ask(&[("authorization", &player)])).await;
    assert_eq!(failure(elsewhere), error(Code::PermissionDenied, "ROLE_NOT_ALLOWED"));

    let told = client.call("Echo", ask(&[("authorization", "Bearer rubbish")])).await.expect("public").into_inner();
    assert_eq!(told.user_id, "");
}

#[tokio::test]
async fn expiry_and_revocation_count_for_tokens_that_were_verified_before() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let mut old = harness.claims(1, Role::Player);
    old.issued_at -= Duration::from_mins(15);
    old.expires_at = old.issued_at + Duration::from_mins(10);
    let refused = client.call("WhoAmI", ask(&[("authorization", &harness.bearer(&old))])).await;
    assert_eq!(failure(refused), error(Code::Unauthenticated, "TOKEN_EXPIRED"));

    let claims = harness.claims(1, Role::Player);
    let bearer = harness.bearer(&claims);
    assert!(client.call("WhoAmI", ask(&[("authorization", &bearer)])).await.is_ok());
    harness.watch.revoke(&[claims.session]).await.expect("the store answers");
    let refused = client.call("WhoAmI", ask(&[("authorization", &bearer)])).await;
    assert_eq!(failure(refused), error(Code::Unauthenticated, "TOKEN_REVOKED"));

    let mut short = harness.claims(1, Role::Player);
    short.expires_at = short.issued_at + Duration::from_secs(2);
    let bearer = harness.bearer(&short);
    assert!(client.call("WhoAmI", ask(&[("authorization", &bearer)])).await.is_ok());
    loop {
        match client.call("WhoAmI", ask(&[("authorization", &bearer)])).await {
            Ok(_) => tokio::task::yield_now().await,
            refused => {
                assert_eq!(failure(refused), error(Code::Unauthenticated, "TOKEN_EXPIRED"));
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_in_the_table_does_not_exist() {
    let harness = Harness::start().await;
    let refused = harness.client().await.call("Nothing", ask(&[("authorization", &harness.player())])).await;
    assert_eq!(failure(refused), error(Code::Unimplemented, "METHOD_NOT_FOUND"));
}

#[tokio::test]
async fn a_deadline_ends_the_handler() {
    let harness = Harness::start().await;
    // Raw, for tonic's client has a clock of its own and would not wait for our answer.
    let call = async |rpc: &str, timeout: &'static str| {
        let mut request = grpc(harness.address, rpc, frame(&[]));
        request.headers_mut().insert("grpc-timeout", http::HeaderValue::from_static(timeout));
        http2(harness.address, request).await.grpc()
    };
    assert_eq!(call("Hang", "50m").await, error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    take(&harness.backstage.left).await;
    assert_eq!(call("Hang", "0n").await, error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    for bad in ["5", "S", "123456789m", "1 S", "-1S"] {
        assert_eq!(call("Echo", bad).await, error(Code::InvalidArgument, "INVALID_TIMEOUT"), "{bad}");
    }
}

#[tokio::test]
async fn a_call_with_one_answer_has_a_deadline_whatever_its_caller_says() {
    let harness = Harness::with(|settings| settings.limits.unary_deadline = Duration::from_millis(50)).await;
    let mut client = harness.client().await;
    for headers in [&[][..], &[("grpc-timeout", "1H")]] {
        let late = client.call("Hang", ask(headers)).await;
        assert_eq!(failure(late), error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    }
}

#[tokio::test]
async fn a_panic_fails_its_call_and_nothing_else() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let panicked = client.call("Panic", ask(&[])).await.expect_err("it panics");
    assert!(!panicked.message().contains("secret"));
    assert_eq!(failure(Err::<(), _>(panicked)), error(Code::Internal, "INTERNAL"));

    let mut stream = client.open("PanicLater", ask(&[])).await.expect("a stream");
    assert!(stream.message().await.expect("the first message").is_some());
    assert_eq!(failure(stream.message().await), error(Code::Internal, "INTERNAL"));
    assert!(client.call("Echo", ask(&[])).await.is_ok(), "the connection is still good");
}

#[tokio::test]
async fn a_call_made_further_carries_id_trace_and_deadline_as_a_service() {
    let harness = Harness::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("authorization", harness.player()),
        ("x-request-id", "outer".to_owned()),
        ("traceparent", parent.to_owned()),
        ("grpc-timeout", "5S".to_owned()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let told = harness.client().await.call("Nested", ask(&headers)).await.expect("an answer").into_inner();

    assert_eq!((told.role.as_str(), told.request_id.as_str()), ("service", "outer"));
    assert_eq!(told.user_id, uuid::Uuid::from_u128(0xfeed).to_string());
    assert_eq!(told.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!((1..=5_000).contains(&told.milliseconds_left), "{}", told.milliseconds_left);
}

#[tokio::test]
async fn calls_in_process_pass_the_same_layers() {
    let harness = Harness::start().await;
    let mut client = ProbeClient::new(harness.in_process.clone());
    assert!(client.call("Echo", ask(&[])).await.is_ok());
    let refused = client.call("Inside", ask(&[])).await;
    assert_eq!(failure(refused), error(Code::Unauthenticated, "TOKEN_MISSING"));
    let late = client.call("Hang", ask(&[("grpc-timeout", "10m")])).await;
    assert_eq!(failure(late), error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    let as_service = ProbeClient::new(harness.backstage.nested.clone()).call("Inside", ask(&[])).await;
    assert_eq!(as_service.expect("an answer").get_ref().role, "service");
    let identity = ServiceIdentity::new(issuer(), uuid::Uuid::from_u128(3), Ambient::system());
    let over_a_socket = ProbeClient::new(identity.over(harness.channel().await)).call("Inside", ask(&[])).await;
    assert_eq!(over_a_socket.expect("an answer").get_ref().role, "service");
}

#[tokio::test]
async fn a_server_that_is_not_bound_yet_is_unavailable_in_process() {
    let (_server, harness) = unbound(Settings::new(local()), |service| service);
    let early = ProbeClient::new(harness.in_process.clone()).call("Echo", ask(&[])).await;
    assert_eq!(failure(early), error(Code::Unavailable, "SERVER_STARTING"));
}

#[tokio::test]
async fn every_call_is_counted() {
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let _ = client.call("Big", ask(&[])).await;
    let _ = client.call("Nothing-With-A-Made-Up-Name", ask(&[])).await;

    let metrics = recorder().render();
    for line in [
        r#"grpc_server_started_total{grpc_service="muster.testing.Probe",grpc_method="Big",grpc_type="unary"}"#,
        r#"grpc_server_handled_total{grpc_service="muster.testing.Probe",grpc_method="Big",grpc_type="unary",grpc_code="OK"}"#,
        r#"grpc_server_handling_seconds_count{grpc_service="muster.testing.Probe",grpc_method="Big",grpc_type="unary"}"#,
        r#"grpc_server_started_total{grpc_service="unknown",grpc_method="unknown",grpc_type="unknown"}"#,
        r#"grpc_server_active_streams{grpc_service="muster.testing.Probe",grpc_method="Hold",grpc_type="server_stream"}"#,
    ] {
        assert!(metrics.contains(line), "{line}\nis not in\n{metrics}");
    }
    assert!(!metrics.contains("Made-Up"));
}

/// What was logged by all tests of this process.
static LOG: LazyLock<&'static Log> = LazyLock::new(|| {
    let log: &'static Log = Box::leak(Box::default());
    let subscriber = tracing_subscriber::fmt().json().with_writer(log).finish();
    tracing::subscriber::set_global_default(subscriber).expect("there is no other subscriber");
    log
});

#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

impl std::io::Write for &'static Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for &'static Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self
    }
}

#[tokio::test]
async fn every_call_is_logged_once() {
    LazyLock::force(&LOG);
    let harness = Harness::start().await;
    let mut client = harness.client().await;
    let player = harness.player();
    let headers = [("authorization", player.as_str()), ("x-request-id", "in-the-log")];
    let _ = client.call("Inside", ask(&headers)).await;

    let log = String::from_utf8(LOG.0.lock().expect("nobody panicked").clone()).expect("text");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.contains("in-the-log"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [line] = lines.as_slice() else { panic!("{} lines", lines.len()) };
    let fields = &line["fields"];
    assert_eq!((&line["level"], &fields["message"]), (&"INFO".into(), &"request".into()));
    assert_eq!(fields["service"], "muster.testing.Probe");
    assert_eq!(fields["method"], "Inside");
    assert_eq!(fields["code"], "PermissionDenied");
    assert!(fields["latency_ms"].is_number() && fields["trace_id"].is_string() && fields["error"].is_string());
    assert!(!log.contains(player.trim_start_matches("Bearer ")));
}

#[tokio::test]
async fn what_does_not_fit_does_not_bind() {
    let backstage = unbound(Settings::new(local()), |service| service).1.backstage;
    let bind = |settings: Settings, service: Service| async move {
        unbound(settings, |_| service).0.bind().await.expect_err("it does not fit")
    };
    let incomplete = Service::new("probe").add(ProbeServer(backstage.clone()), &[]);
    let refused = bind(Settings::new(local()), incomplete).await;
    let BindError::Access(AccessError::Mismatch { missing, .. }) = refused else { panic!("{refused}") };
    assert!(missing.contains(&"Echo".to_owned()));

    let table = crate::probe::ACCESS;
    let twice = Service::new("probe").add(ProbeServer(backstage.clone()), table).add(ProbeServer(backstage), table);
    assert!(matches!(bind(Settings::new(local()), twice).await, BindError::MountedTwice(_)));

    let spoil: [fn(&mut Settings); 4] = [
        |settings| settings.limits.message_bytes = usize::MAX,
        |settings| settings.limits.header_bytes = 100,
        |settings| settings.limits.connection_age = Duration::MAX,
        |settings| settings.limits.unary_deadline = Duration::ZERO,
    ];
    for spoil in spoil {
        let mut settings = Settings::new(local());
        spoil(&mut settings);
        assert!(matches!(bind(settings, Service::new("empty")).await, BindError::Setting(_)));
    }
    for origin in ["*", "example.com", "https://example.com/path", "https://", "https://Example.com"] {
        let mut settings = Settings::new(local());
        settings.cors = Cors::Origins(vec![origin.to_owned()]);
        assert!(matches!(bind(settings, Service::new("empty")).await, BindError::Setting(_)), "{origin}");
    }
}

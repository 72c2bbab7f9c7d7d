//! What a service behind Envoy sees of a request, and what a page is told.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::HeaderMap;
use serde_json::json;
use system_tests::{Answer, Edge, Envoy};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

use crate::System;

const AUTH: &str = "muster.auth.v1.AuthService";
const ORIGIN: &str = "https://play.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_about_itself_does_not_reach_a_service() {
    let witness = Witness::start().await;
    let envoy = Envoy::start(&Edge::of(&[witness.address]));
    let curl = system_tests::Curl::to(envoy.address());
    let lies = [
        "x-user-id: 1",
        "x-user: 1",
        "x-userid: 1",
        "x-user-role: admin",
        "x-role: admin",
        "x-roles: admin",
        "x-player-id: 1",
        "x-session-id: 1",
        "x-account-id: 1",
        "x-jwt-payload: 1",
        "x-forwarded-user: 1",
        "remote-user: 1",
        "x-muster-user: 1",
        "x-real-ip: 192.0.2.1",
        "true-client-ip: 192.0.2.1",
        "forwarded: for=192.0.2.1",
        "x-envoy-external-address: 192.0.2.1",
        "x-envoy-upstream-rq-timeout-ms: 1",
        "x-envoy-retry-on: 5xx",
        "x-envoy-max-retries: 9",
        "x-envoy-original-path: /v1/auth/login",
    ];
    let mut arguments = vec!["-d", "{}", "-H", "user-agent: a page", "-H", "x-user-agent: grpc-web"];
    arguments.extend(lies.iter().flat_map(|lie| ["-H", *lie]));
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    arguments.extend(["-H", "x-request-id: I-made-this", "-H", trace, "-H", "origin: https://evil.example.com"]);
    arguments.extend(["-H", "x-forwarded-for: 192.0.2.1", "-H", "authorization: Bearer nonsense"]);
    assert_eq!(curl.call("/v1/auth/logout", &arguments).status, 401);

    let seen = witness.seen.lock().unwrap().pop().expect("the call came here");
    let names: Vec<_> = seen.keys().map(http::HeaderName::as_str).collect();
    let expected = [
        "accept",
        "authorization",
        "content-type",
        "te",
        "traceparent",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
        "x-user-agent",
        "x-envoy-original-method",
        "x-envoy-original-path",
        "x-envoy-external-address",
        "x-envoy-expected-rq-timeout-ms",
        "grpc-accept-encoding",
        "content-length",
    ];
    for name in names {
        assert!(expected.contains(&name), "{name} was passed on: {seen:?}");
    }
    let value = |name: &str| seen.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(value("authorization"), "Bearer nonsense");
    assert_eq!(value("x-request-id"), "I-made-this");
    assert_eq!(value("traceparent"), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!(value("x-envoy-original-path"), "/v1/auth/logout");
    assert_ne!(value("x-envoy-external-address"), "192.0.2.1");
    let forwarded: Vec<_> = value("x-forwarded-for").split(',').collect();
    assert_eq!(forwarded.len(), 2, "Envoy adds whom it saw, on the right");
    assert_ne!(forwarded[1], "192.0.2.1");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_is_told_so_once_and_no_other_page_is() {
    let system = System::with_flags(&["--cors-origins", ORIGIN], |edge| edge.origins = vec![ORIGIN.to_owned()]).await;
    let curl = system.curl();
    let call = |origin: &str, path: &str, arguments: &[&str]| {
        let origin = format!("origin: {origin}");
        curl.call(path, &[&["-H", &origin], arguments].concat())
    };
    let paths = ["/v1/players/me", "/v1/nowhere", "/v1/auth/login", "/muster.auth.v1.AuthService/Login"];
    for path in paths {
        let answer = call(ORIGIN, path, &[]);
        assert_eq!(allowed(&answer), Some(ORIGIN), "{path}: {answer:?}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{path}: {name}");
        }
        let preflight = ["-X", "OPTIONS", "-H", "access-control-request-method: POST"];
        let answer = call(ORIGIN, path, &preflight);
        assert_eq!((answer.status, allowed(&answer)), (200, Some(ORIGIN)), "{path}: {answer:?}");
        for header in ["access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"] {
            assert!(answer.header(header).is_some(), "{path}: {header}");
        }
        for other in
            ["https://evil.example.com", "https://play.example.com.evil.org", "http://play.example.com", "null"]
        {
            for arguments in [&preflight[..], &[]] {
                assert_eq!(allowed(&call(other, path, arguments)), None, "{path} of {other}");
            }
        }
    }
    let limited = call(ORIGIN, "/v1/auth/login", &["-d", &json!({ "identifier": "neo", "nothing": 1 }).to_string()]);
    assert_eq!((limited.status, allowed(&limited)), (400, Some(ORIGIN)), "errors are readable too");
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

/// A service that keeps the headers of what it is asked, and does nothing else.
struct Witness {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Witness {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there are free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status(AUTH, tonic_health::ServingStatus::Serving).await;
        let seen = Arc::<Mutex<Vec<HeaderMap>>>::default();
        let server = tonic::transport::Server::builder().add_service(health).add_service(Keeper(seen.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, seen }
    }
}

#[derive(Clone)]
struct Keeper(Arc<Mutex<Vec<HeaderMap>>>);

impl NamedService for Keeper {
    const NAME: &'static str = AUTH;
}

impl tower::Service<http::Request<Body>> for Keeper {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.lock().expect("nobody panics with it").push(request.headers().clone());
        ready(Ok(Status::unauthenticated("nobody is known here").into_http()))
    }
}

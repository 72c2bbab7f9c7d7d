//! gRPC-Web, CORS, JSON, and what nobody serves, over HTTP/1.1.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pkg_middleware::{Cors, Settings};
use prost::Message;

use crate::client::{Raw, frame, grpc, http1, http2};
use crate::harness::Harness;
use crate::probe::{Ask, Told};

const ORIGIN: &str = "https://play.example.com";

fn post(path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("host", "localhost").header("content-type", content_type);
    request.body(Full::new(body.into())).expect("a request")
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "localhost").body(Full::default()).expect("a request")
}

fn echo() -> Vec<u8> {
    frame(&Ask { text: "hello".to_owned(), number: 0 }.encode_to_vec())
}

/// The frames of a gRPC-Web answer.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).expect("small");
        frames.push((*flag, &rest[..length]));
        bytes = &rest[length..];
    }
    frames
}

fn reason(answer: &Raw) -> String {
    answer.json()["details"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

fn web_pages(settings: &mut Settings) {
    settings.cors = Cors::Origins(vec![ORIGIN.to_owned()]);
}

#[tokio::test]
async fn grpc_web_passes_the_same_layers_in_both_encodings() {
    let harness = Harness::start().await;
    for (content_type, is_text) in [
        ("application/grpc-web+proto", false),
        ("application/grpc-web; charset=utf-8", false),
        ("application/grpc-web-text", true),
    ] {
        let body = if is_text { BASE64_STANDARD.encode(echo()).into_bytes() } else { echo() };
        let answer = http1(harness.address, post("/muster.testing.Probe/Echo", content_type, body)).await;
        assert_eq!(answer.header("x-request-id").len(), 1);
        // Each chunk is base64 by itself, and its padding may stand in the middle.
        let binary = if is_text { decoded(&answer.body) } else { answer.body.to_vec() };
        let frames = frames(&binary);
        let [(0, message), (0x80, trailers)] = frames.as_slice() else { panic!("{frames:?}") };
        assert_eq!(Told::decode(*message).expect("a message").client_address, "127.0.0.1");
        assert!(String::from_utf8_lossy(trailers).contains("grpc-status:0"));
    }
    let refused = http1(harness.address, post("/muster.testing.Probe/WhoAmI", "application/grpc-web", echo())).await;
    assert_eq!(refused.grpc(), crate::client::error(tonic::Code::Unauthenticated, "TOKEN_MISSING"));
    for bad in [&b"!!!!"[..], b"AAAA"] {
        let malformed =
            http1(harness.address, post("/muster.testing.Probe/Echo", "application/grpc-web-text", bad)).await;
        assert_eq!(malformed.grpc(), crate::client::error(tonic::Code::InvalidArgument, "MALFORMED_MESSAGE"));
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|part| BASE64_STANDARD.decode(part).expect("base64")).collect()
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_is_told_so_once() {
    let harness = Harness::with(web_pages).await;
    let mut request = post("/muster.testing.Probe/Echo", "application/grpc-web", echo());
    request.headers_mut().insert("origin", ORIGIN.parse().expect("a header"));
    let answer = http1(harness.address, request).await;
    assert_eq!(answer.header("access-control-allow-origin"), [ORIGIN]);
    let exposed = answer.header("access-control-expose-headers");
    let [exposed] = exposed.as_slice() else { panic!("{exposed:?}") };
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"] {
        assert!(exposed.contains(name), "{name} is not in {exposed}");
    }

    let preflight = |origin: &str| {
        let request =
            Request::options("/muster.testing.Probe/Echo").header("host", "localhost").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.body(Full::default()).expect("a request")
    };
    let allowed = http1(harness.address, preflight(ORIGIN)).await;
    assert_eq!((allowed.status.as_u16(), allowed.header("access-control-allow-origin")), (200, vec![ORIGIN]));
    let headers = allowed.header("access-control-allow-headers");
    let [headers] = headers.as_slice() else { panic!("{headers:?}") };
    for name in ["authorization", "content-type", "x-grpc-web", "x-user-agent", "grpc-timeout", "traceparent"] {
        assert!(headers.contains(name), "{name} is not in {headers}");
    }
    let refused = http1(harness.address, preflight("https://evil.example.com")).await;
    assert!(refused.header("access-control-allow-origin").is_empty());
}

#[tokio::test]
async fn without_cors_no_page_is_told_anything() {
    let harness = Harness::start().await;
    let mut request = post("/muster.testing.Probe/Echo", "application/grpc-web", echo());
    request.headers_mut().insert("origin", ORIGIN.parse().expect("a header"));
    let answer = http1(harness.address, request).await;
    assert!(answer.header("access-control-allow-origin").is_empty());
}

#[tokio::test]
async fn json_passes_the_same_layers() {
    let harness = Harness::with(|settings| settings.json = true).await;
    let answer = http1(harness.address, post("/v1/testing/echo", "application/json", r#"{"text":"hello"}"#)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["text"]), (200, &"hello".into()));
    assert_eq!(answer.json()["clientAddress"], "127.0.0.1");
    assert_eq!(answer.header("x-request-id"), [answer.json()["requestId"].as_str().expect("an id")]);

    let refused = http1(harness.address, get("/v1/testing/me")).await;
    assert_eq!((refused.status.as_u16(), reason(&refused).as_str()), (401, "TOKEN_MISSING"));
    let mut with_token = get("/v1/testing/me");
    with_token.headers_mut().insert("authorization", harness.player().parse().expect("a header"));
    let answer = http1(harness.address, with_token).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["role"]), (200, &"player".into()));
    assert_eq!(http1(harness.address, get("/nothing")).await.status, 404);
}

#[tokio::test]
async fn what_nobody_serves_is_refused_in_the_shape_of_our_errors() {
    let harness = Harness::start().await;
    let cases = [
        (get("/nothing"), 404, "PATH_NOT_FOUND"),
        (post("/v1/testing/echo", "application/json", "{}"), 415, "CONTENT_TYPE_NOT_SUPPORTED"),
        (post("/muster.testing.Probe/Echo", "application/grpc+json", "{}"), 415, "CONTENT_TYPE_NOT_SUPPORTED"),
        (post("/muster.testing.Probe/Echo", "application/grpc", echo()), 505, "HTTP2_NEEDED"),
    ];
    for (request, status, expected) in cases {
        let answer = http1(harness.address, request).await;
        assert_eq!((answer.status.as_u16(), reason(&answer).as_str()), (status, expected));
    }
    let mut wrong_method = grpc(harness.address, "Echo", echo());
    *wrong_method.method_mut() = http::Method::GET;
    assert_eq!(http2(harness.address, wrong_method).await.status, 405);
}

//! Bad input: refused with a reason, never our fault, and the server lives.

use proptest::prelude::*;
use tonic::Code;

use crate::client::{Raw, ask, error, failure, frame, grpc, http2};
use crate::harness::Harness;
use crate::probe::Ask;

async fn send(harness: &Harness, rpc: &str, body: Vec<u8>) -> Raw {
    http2(harness.address, grpc(harness.address, rpc, body)).await
}

fn malformed() -> (Code, String) {
    error(Code::InvalidArgument, "MALFORMED_MESSAGE")
}

#[tokio::test]
async fn frames_and_messages_that_are_none_are_malformed() {
    let harness = Harness::start().await;
    let cases: [(&str, Vec<u8>); 7] = [
        ("not protobuf", frame(&[0xff, 0xff, 0xff])),
        ("not UTF-8", frame(&[0x0a, 2, 0xff, 0xfe])),
        ("compressed, without saying how", [&[1, 0, 0, 0, 1], &[0][..]].concat()),
        ("a flag that does not exist", vec![2, 0, 0, 0, 0]),
        ("shorter than it says", vec![0, 0, 0, 0, 9, 1, 2]),
        ("a part of a header", vec![0, 0]),
        ("nothing at all", vec![]),
    ];
    for (name, body) in cases {
        assert_eq!(send(&harness, "Echo", body.clone()).await.grpc(), malformed(), "{name}");
        if !body.is_empty() {
            assert_eq!(send(&harness, "Chat", body).await.grpc(), malformed(), "{name}, in a stream");
        }
    }
}

#[tokio::test]
async fn messages_over_the_limit_are_refused_both_ways() {
    let harness = Harness::with(|settings| settings.limits.message_bytes = 1_000).await;
    let too_large = error(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_eq!(send(&harness, "Echo", frame(&[0; 1_001])).await.grpc(), too_large);
    assert_eq!(send(&harness, "Chat", frame(&[0; 1_001])).await.grpc(), too_large);
    assert_eq!(send(&harness, "Echo", vec![0, 0xff, 0xff, 0xff, 0xff]).await.grpc(), too_large);

    let mut client = harness.client().await;
    let big = |number| Ask { text: String::new(), number }.into_request();
    assert!(client.call("Big", big(900)).await.is_ok());
    assert_eq!(failure(client.call("Big", big(1_001)).await), too_large);
}

#[tokio::test]
async fn compression_that_we_do_not_do_is_told_apart_from_a_missing_method() {
    let harness = Harness::start().await;
    let mut request = grpc(harness.address, "Echo", frame(&[]));
    request.headers_mut().insert("grpc-encoding", "gzip".parse().expect("a header"));
    let answer = http2(harness.address, request).await;
    assert_eq!(answer.grpc(), error(Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"));
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let harness = Harness::start().await;
    let mut request = grpc(harness.address, "Echo", frame(&[]));
    request.headers_mut().insert("x-large", "x".repeat(20_000).parse().expect("a header"));
    assert_eq!(http2(harness.address, request).await.status, 431);
}

#[test]
fn no_bytes_are_our_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let harness = runtime.block_on(Harness::start());
    let framed = prop_oneof![any::<Vec<u8>>().prop_map(|bytes| frame(&bytes)), any::<Vec<u8>>()];
    proptest!(ProptestConfig::with_cases(200), |(body in framed, rpc in prop_oneof![Just("Echo"), Just("Chat")])| {
        let (code, reason) = runtime.block_on(send(&harness, rpc, body)).grpc();
        prop_assert!(!matches!(code, Code::Internal | Code::Unknown));
        prop_assert!(code == Code::Ok || !reason.is_empty());
    });
    assert!(runtime.block_on(async { harness.client().await.call("Echo", ask(&[])).await }).is_ok());
}

//! A proxy carries many players on one connection: what one of them does wrong is no harm to the others.

use std::path::Path;

use bytes::Bytes;
use pkg_api::player::v1::GetProfileRequest;
use system_tests::{Client, Muster, body, call_grpc, eventually, frame, refusal};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How many calls of others go wrong meanwhile.
const CALLS: usize = 1_000;

const GET_PROFILE: &str = "/muster.player.v1.PlayerService/GetProfile";
const LOGIN: &str = "/muster.auth.v1.AuthService/Login";

#[tokio::test]
async fn calls_that_are_refused_leave_other_calls_alone() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let client = Client::of(muster.api());
    let mut watch =
        HealthClient::new(client.channel().clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();

    for _ in 0..CALLS {
        let refused = client.player().get_profile(GetProfileRequest {}).await.unwrap_err();
        assert_eq!(refusal(&refused), (Code::Unauthenticated, "TOKEN_MISSING".to_owned()));
    }
    assert_still_open(&muster, watch).await;
}

#[tokio::test]
async fn messages_that_are_no_messages_leave_other_calls_alone() {
    let muster = Muster::dev(Path::new("none"), &[]);
    let client = Client::of(muster.api());
    let mut watch =
        HealthClient::new(client.channel().clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();

    let half = frame(&[0; 100]).slice(..50);
    for bytes in [Bytes::new(), half, frame(&[0xff; 100]), frame(&vec![0; 2 * 1024 * 1024])] {
        for _ in 0..CALLS / 4 {
            let answer = call_grpc(client.channel(), LOGIN, None, body(bytes.clone())).await;
            assert!([Code::InvalidArgument, Code::ResourceExhausted].contains(&answer.code()), "{answer:?}");
            let answer = call_grpc(client.channel(), GET_PROFILE, None, body(bytes.clone())).await;
            assert_eq!(answer.code(), Code::Unauthenticated, "{answer:?}");
        }
    }
    assert_still_open(&muster, watch).await;
}

/// The stream goes on until the server ends it: with news, and not with an error.
async fn assert_still_open(muster: &Muster, mut watch: tonic::Streaming<tonic_health::pb::HealthCheckResponse>) {
    muster.terminate();
    eventually("the drain begins", async || muster.output().contains("draining").then_some(())).await;
    let last = watch.message().await;
    assert!(matches!(last, Ok(Some(_))), "the stream was cut: {last:?}");
}

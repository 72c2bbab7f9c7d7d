//! Streams through Envoy live as long as they have something to say.

use std::time::Duration;

use system_tests::{Client, eventually};
use tokio::time::{Instant, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::System;

/// Longer than Envoy lets a route take if nothing else is said, 15 s.
const PAST_ROUTE_TIMEOUT: Duration = Duration::from_secs(17);
/// Longer than Envoy lets a stream be silent if nothing else is said, 5 min.
const PAST_IDLE_TIMEOUT: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_envoy_s_own_time_outs() {
    let system = System::start(|_| {}).await;
    let client = Client::of(system.envoy.address());
    let request = HealthCheckRequest { service: "muster.auth.v1.AuthService".to_owned() };
    let mut stream = HealthClient::new(client.channel().clone()).watch(request).await.expect("a stream").into_inner();
    let first = stream.message().await.expect("a message").expect("a message");
    assert_eq!(first.status(), ServingStatus::Serving);

    let long = std::env::var_os("MUSTER_TEST_LONG").is_some();
    let silence = if long { PAST_IDLE_TIMEOUT } else { PAST_ROUTE_TIMEOUT };
    let began = Instant::now();
    let ended = timeout(silence, stream.message()).await;
    assert!(ended.is_err(), "after {:?}: {ended:?}", began.elapsed());

    system.replica.terminate();
    let told = eventually("it is told of the drain", async || stream.message().await.expect("it lives")).await;
    assert_eq!(told.status(), ServingStatus::NotServing);
}

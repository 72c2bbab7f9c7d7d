//! The end of a server: in good order, and in time.

use std::time::Duration;

use pkg_middleware::{AdminAt, ServeError, Settings};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::client::{ProbeClient, ask, end, error, failure, http1};
use crate::harness::{Harness, eventually, local, unbound};
use crate::probe::take;

#[tokio::test]
async fn calls_finish_streams_are_told_and_then_the_server_ends() {
    let mut harness = Harness::with(|settings| settings.admin = AdminAt::Address(local())).await;
    let mut client = harness.client().await;
    let mut polite = client.open("SayGoAway", ask(&[])).await.expect("a stream");
    let mut held = client.open("HoldPublic", ask(&[])).await.expect("a stream");
    for stream in [&mut polite, &mut held] {
        assert!(stream.message().await.expect("the first message").is_some());
    }
    let mut health = HealthClient::new(harness.channel().await);
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    let mut waiting = harness.client().await;
    let waiting = tokio::spawn(async move { waiting.call("Wait", ask(&[])).await });
    for _ in 0..2 {
        take(&harness.backstage.entered).await;
    }

    harness.shut_down();
    while watched.message().await.expect("told before it ends").expect("told").status() != ServingStatus::NotServing {}
    let ready =
        http1(harness.admin, http::Request::get("/readyz").body(http_body_util::Full::default()).unwrap()).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["draining"]), (503, &true.into()));
    let last = polite.message().await.expect("a message").expect("a message");
    assert_eq!(last.text, "go away");
    assert!(polite.message().await.expect("a good end").is_none());
    let status = end(&mut held).await;
    assert_eq!(failure(Err::<(), _>(status)), error(Code::Unavailable, "SERVER_DRAINING"));
    eventually("nobody listens", || async { TcpStream::connect(harness.address).await.is_err() }).await;

    harness.backstage.go.add_permits(1);
    assert!(waiting.await.expect("no panic").is_ok(), "a call under way is answered");
    assert!(harness.ended().await.is_ok());
}

#[tokio::test]
async fn a_lame_duck_says_so_and_serves_on_until_its_time_is_over() {
    let change = |settings: &mut Settings| settings.lame_duck = Duration::from_secs(1);
    let mut harness = Harness::with(change).await;
    let mut health = HealthClient::new(harness.channel().await);
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();

    harness.shut_down();
    while watched.message().await.expect("told before it ends").expect("told").status() != ServingStatus::NotServing {}
    let mut newcomer = harness.client().await;
    assert!(newcomer.call("Echo", ask(&[])).await.is_ok(), "a new connection is served");
    assert!(newcomer.open("HoldPublic", ask(&[])).await.is_ok(), "a new stream is served");
    assert!(harness.ended().await.is_ok());
    assert!(TcpStream::connect(harness.address).await.is_err());
}

#[tokio::test]
async fn a_drain_ends_in_time_whatever_hangs() {
    let mut harness = Harness::with(|settings| settings.drain = Duration::from_millis(300)).await;
    let mut client = harness.client().await;
    let call = tokio::spawn(async move { client.call("Hang", ask(&[])).await });
    take(&harness.backstage.entered).await;
    harness.shut_down();
    assert!(harness.ended().await.is_ok());
    assert!(call.await.expect("no panic").is_err());
}

#[tokio::test]
async fn tasks_end_after_the_calls_and_one_that_does_not_is_named() {
    let change = |settings: &mut Settings| settings.drain = Duration::from_millis(500);
    let mut harness = Harness::with_service(change, |service| {
        service
            .task("obedient", |shutdown| async move { shutdown.cancelled().await })
            .task("stubborn", |_shutdown| std::future::pending())
    })
    .await;
    harness.shut_down();
    let Err(ServeError::TasksLeft(left)) = harness.ended().await else { panic!("a task was left") };
    assert_eq!(left, ["stubborn"]);
}

#[tokio::test]
async fn a_server_that_is_dropped_serves_nobody() {
    let (server, _harness) = unbound(Settings::new(local()), |service| service);
    let bound = server.bind().await.expect("it binds");
    let address = bound.address().expect("an address");
    let serving = tokio::spawn(bound.serve(std::future::pending()));
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut client = ProbeClient::new(endpoint.connect().await.expect("it listens"));
    assert!(client.call("Echo", ask(&[])).await.is_ok());

    serving.abort();
    eventually("nobody listens", || async { TcpStream::connect(address).await.is_err() }).await;
}

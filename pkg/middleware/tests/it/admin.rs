//! Health, readiness, reflection, metrics, keys.

use http::Request;
use http_body_util::Full;
use pkg_middleware::AdminAt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::client::{Raw, error, http1};
use crate::harness::{Harness, eventually, local};

async fn get(address: std::net::SocketAddr, path: &str) -> Raw {
    http1(address, Request::get(path).header("host", "localhost").body(Full::default()).expect("a request")).await
}

async fn is_serving(harness: &Harness, service: &str) -> bool {
    let request = HealthCheckRequest { service: service.to_owned() };
    let checked = HealthClient::new(harness.channel().await).check(request).await.expect("an answer");
    checked.into_inner().status() == ServingStatus::Serving
}

#[tokio::test]
async fn health_and_readiness_say_what_the_services_need() {
    let harness = Harness::start().await;
    for service in ["", "muster.testing.Probe"] {
        eventually("it serves", || is_serving(&harness, service)).await;
    }
    let ready = get(harness.admin, "/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["dependencies"]["switch"]["ok"]), (200, &true.into()));
    assert_eq!(ready.json()["dependencies"]["revocations"]["ok"], true);

    *harness.switch.0.lock().expect("nobody panicked") = Some("is off".to_owned());
    for service in ["", "muster.testing.Probe"] {
        eventually("it does not serve", || async { !is_serving(&harness, service).await }).await;
    }
    let not_ready = get(harness.admin, "/readyz").await;
    assert_eq!(not_ready.status, 503);
    assert_eq!(not_ready.json()["dependencies"]["switch"]["reason"], "is off");
    assert_eq!(get(harness.admin, "/healthz").await.status, 200, "alive all the same");

    let unknown = HealthCheckRequest { service: "muster.testing.Nobody".to_owned() };
    let unknown = HealthClient::new(harness.channel().await).check(unknown).await;
    assert_eq!(crate::client::failure(unknown), error(Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn a_task_that_ends_by_itself_or_panics_makes_the_server_not_ready() {
    for panics in [false, true] {
        let harness = Harness::with_service(
            |_| {},
            |service| service.task("brief", move |_| async move { assert!(!panics, "the task panics") }),
        )
        .await;
        eventually("the task is missed", || async {
            get(harness.admin, "/readyz").await.json()["ended_tasks"][0] == "probe/brief"
        })
        .await;
        eventually("it does not serve", || async { !is_serving(&harness, "muster.testing.Probe").await }).await;
    }
}

#[tokio::test]
async fn admin_paths_are_served_where_they_should_be() {
    let harness = Harness::with(|settings| settings.admin = AdminAt::Address(local())).await;
    let keys = get(harness.admin, "/.well-known/jwks.json").await;
    assert_eq!(keys.status, 200);
    assert!(keys.json()["keys"].is_array());
    assert_eq!(keys.header("cache-control"), ["public, max-age=300"]);
    let metrics = get(harness.admin, "/metrics").await;
    assert_eq!(metrics.header("content-type"), ["text/plain; version=0.0.4; charset=utf-8"]);
    for path in ["/metrics", "/readyz", "/healthz", "/.well-known/jwks.json"] {
        assert_eq!(get(harness.address, path).await.status, 404, "{path} on the port of the API");
    }
    assert_eq!(get(harness.admin, "/nothing").await.status, 404);
    let written = Request::post("/metrics").header("host", "localhost").body(Full::default()).expect("a request");
    assert_eq!(http1(harness.admin, written).await.status, 405);
}

#[tokio::test]
async fn reflection_names_what_is_mounted_if_it_is_on() {
    let ask = || ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let harness = Harness::with(|settings| settings.reflection = true).await;
    let mut client = ServerReflectionClient::new(harness.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(ask())).await.expect("on").into_inner();
    let answer = answers.message().await.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "muster.testing.Probe"]);

    let harness = Harness::start().await;
    let refused = ServerReflectionClient::new(harness.channel().await)
        .server_reflection_info(tokio_stream::once(ask()))
        .await
        .map(|_| ());
    assert_eq!(crate::client::failure(refused), error(Code::Unimplemented, "METHOD_NOT_FOUND"));
}

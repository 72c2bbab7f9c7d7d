//! One request, found by its id in every log.

use serde_json::Value;
use system_tests::eventually;

use crate::System;

#[tokio::test]
async fn a_request_is_found_by_its_id_in_both_logs() {
    let system = System::start(|_| {}).await;
    let curl = system.curl();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    let too_long = format!("x-request-id: {}", "a".repeat(200));
    for given in [&["-H", "x-request-id: I-made-this"][..], &["-H", &too_long], &[]] {
        let answer = curl.call("/v1/players:find?username=secret", &[given, &["-H", &traceparent]].concat());
        let id = answer.header("x-request-id").expect("there is an id");
        if given.contains(&"x-request-id: I-made-this") {
            assert_eq!(id, "I-made-this");
        } else {
            assert_eq!(id.len(), 36, "{id}");
        }
        let edge = line(id, || system.envoy.output()).await;
        let service = line(id, || system.replica.output()).await;
        assert_eq!((&edge["path"], &edge["status"]), (&"/v1/players:find".into(), &401.into()));
        assert_eq!(edge["grpc_method"], "/muster.player.v1.PlayerService/FindPlayer");
        assert_eq!((&service["method"], &service["code"]), (&"FindPlayer".into(), &"Unauthenticated".into()));
        assert_eq!(service["trace_id"], trace);
        assert!(edge["traceparent"].as_str().is_some_and(|parent| parent.contains(trace)));
    }
}

#[tokio::test]
async fn a_request_that_no_service_sees_has_an_id_too() {
    let system = System::start(|_| {}).await;
    let answer = system.curl().call("/v1/nowhere", &[]);
    let edge = line(answer.header("x-request-id").expect("there is an id"), || system.envoy.output()).await;
    assert_eq!((&edge["path"], &edge["status"]), (&"/v1/nowhere".into(), &404.into()));
}

/// The line of a log that has this id.
async fn line(id: &str, log: impl Fn() -> String) -> Value {
    eventually("the request is in the log", async || {
        let log = log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["request_id"] == id)
    })
    .await
}

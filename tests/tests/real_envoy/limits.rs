//! How much one address may do, by Envoy: before any service has work with it.

use std::time::Duration;

use pkg_api::auth::v1::{RefreshTokenRequest, ValidateTokenRequest};
use serde_json::json;
use system_tests::{Client, Curl, Deployment, Edge, Envoy, refusal, with_forwarded_for};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{BEHIND_ENVOY, System};

const BURST: u32 = 5;

#[tokio::test]
async fn sign_ins_of_one_address_are_limited_in_every_protocol() {
    let system = System::start(|edge| edge.sign_in_burst = BURST).await;
    let client = Client::of(system.envoy.address());
    for number in 0..BURST {
        let refused = client.auth().refresh_token(forged(number)).await.expect_err("it is no token");
        assert_eq!(refusal(&refused), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned()));
    }

    // Whatever the client writes into the header: the address is the one that Envoy sees.
    for number in 0..BURST {
        let limited = client.auth().refresh_token(forged(number)).await.expect_err("there were too many");
        assert_eq!(refusal(&limited), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
        let retry = limited.get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(retry, Some(Duration::from_secs(1)));
        for header in ["retry-after", "grpc-retry-pushback-ms"] {
            assert!(limited.metadata().contains_key(header), "{header}");
        }
    }
    let limited = refresh_as_json(&system.curl());
    assert_eq!((limited.refusal(), limited.header("retry-after")), ((429, "RATE_LIMITED"), Some("1")), "{limited:?}");
    let web = ["-H", "content-type: application/grpc-web+proto", "--data-binary", ""];
    let web = system.curl().call("/muster.auth.v1.AuthService/RefreshToken", &web);
    assert_eq!((web.status, web.header("grpc-status")), (200, Some("8")), "{web:?}");

    // Other calls are not sign-ins, and each kind of sign-in has its own count.
    client.use_token("nonsense").await.map_err(|status| refusal(&status)).expect_err("it is no token");
    let login = json!({ "identifier": "nobody", "password": "correct-horse-9" });
    assert_eq!(system.curl().post("/v1/auth/login", &login).refusal(), (401, "CREDENTIALS_INVALID"));
}

#[tokio::test]
async fn all_calls_of_one_address_are_limited() {
    let system = System::start(|edge| edge.address_burst = BURST).await;
    let client = Client::of(system.envoy.address());
    for _ in 0..BURST {
        client.auth().validate_token(ValidateTokenRequest::default()).await.expect("anybody may ask");
    }
    let limited = client.auth().validate_token(ValidateTokenRequest::default()).await.expect_err("there were too many");
    assert_eq!(refusal(&limited), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_of_its_clients_counts_alone() {
    let system = System::start(|edge| {
        edge.sign_in_burst = 1;
        edge.trusted_hops = 1;
    })
    .await;
    let client = Client::of(system.envoy.address());
    let refresh = async |list: &str| {
        let request = with_forwarded_for(RefreshTokenRequest { refresh_token: "forged".to_owned() }, list);
        client.auth().refresh_token(request).await.expect_err("it is no token").code()
    };
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1"] {
        assert_eq!(refresh(address).await, Code::Unauthenticated, "{address}");
        assert_eq!(refresh(address).await, Code::ResourceExhausted, "{address}");
    }
    // What stands left of the trusted proxy's word is the client's own; and IPv6 counts by the network.
    assert_eq!(refresh("198.51.100.7, 192.0.2.1").await, Code::ResourceExhausted);
    assert_eq!(refresh("2001:db8:0:1:ffff::1").await, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_service_s_own_limit_says_when_to_come_back() {
    let deployment = Deployment::new().await;
    let flags = [&BEHIND_ENVOY[..], &["--address-burst", "1", "--address-rate", "1"]].concat();
    let replica = deployment.replica(&flags);
    let envoy = Envoy::start(&Edge::of(&[replica.api()]));
    let curl = Curl::to(envoy.address());
    let limited = loop {
        let answer = refresh_as_json(&curl);
        if answer.status != 401 {
            break answer;
        }
    };
    assert_eq!(limited.refusal(), (429, "RATE_LIMITED"));
    assert_eq!(limited.header("retry-after"), Some("1"));
}

/// A refresh with another address in the header each time.
fn forged(number: u32) -> tonic::Request<RefreshTokenRequest> {
    let request = RefreshTokenRequest { refresh_token: "forged".to_owned() };
    with_forwarded_for(request, &format!("192.0.2.{number}"))
}

fn refresh_as_json(curl: &Curl) -> system_tests::Answer {
    curl.post("/v1/auth/refresh", &json!({ "refreshToken": "forged" }))
}

//! Accounts through Envoy: `muster auth` on real stores, behind the configuration that production has, used by clients
//! that are not ours.

mod browser;
mod clients;
mod configuration;
mod errors;
mod headers;
mod limits;
mod replicas;
mod requests;
mod streams;

use serde_json::json;
use system_tests::{Curl, Deployment, Edge, Envoy, Muster, PASSWORD, email, username};

/// What every service behind Envoy is told: there is one proxy.
const BEHIND_ENVOY: [&str; 2] = ["--trusted-hops", "1"];

/// Envoy and a replica of the auth service.
struct System {
    envoy: Envoy,
    // Before its stores, so that it ends first.
    replica: Muster,
    _deployment: Deployment,
}

impl System {
    /// With what one Envoy has differently from another.
    async fn start(change: impl FnOnce(&mut Edge)) -> Self {
        Self::with_flags(&[], change).await
    }

    /// As [`Self::start`], with flags of the replica.
    async fn with_flags(flags: &[&str], change: impl FnOnce(&mut Edge)) -> Self {
        let deployment = Deployment::new().await;
        let replica = deployment.unlimited_replica(&[&BEHIND_ENVOY, flags].concat());
        let mut edge = Edge::of(&[replica.api()]);
        change(&mut edge);
        Self { envoy: Envoy::start(&edge), replica, _deployment: deployment }
    }

    fn curl(&self) -> Curl {
        Curl::to(self.envoy.address())
    }
}

/// The name and an access token of somebody new.
fn register(curl: &Curl) -> (String, String) {
    let name = username();
    let body = json!({ "username": name, "email": email(), "password": PASSWORD });
    let answer = curl.post("/v1/auth/register", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    (name, answer.text("tokens/accessToken"))
}

//! Who watches over the replicas of a service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Replica, Shared};

/// How often each replica is asked for its health…
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// …and how long it may take to answer.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// How often names are resolved anew…
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// …and how long that may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// Finds the replicas of a service, and asks them for their health.
#[must_use = "replicas are looked for while it runs"]
pub struct ReplicaWatch {
    shared: Arc<Shared>,
    service: &'static str,
    next_resolution: Instant,
}

impl ReplicaWatch {
    /// Looks once.
    pub(super) async fn begin(shared: Arc<Shared>, service: &'static str) -> Self {
        let mut watch = Self { shared, service, next_resolution: Instant::now() };
        watch.look().await;
        watch
    }

    /// Watches until it is told to end.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while timeout(PROBE_EVERY, shutdown.cancelled()).await.is_err() {
            if shutdown.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self) {
        if Instant::now() >= self.next_resolution {
            self.next_resolution = Instant::now() + RESOLVE_EVERY;
            self.resolve().await;
        }
        join_all(self.shared.replicas().iter().map(|replica| self.probe(replica))).await;
    }

    /// Replicas that are still there keep their connections. While a name cannot be resolved, all stay.
    async fn resolve(&self) {
        let mut found = BTreeSet::new();
        for (host, port) in &self.shared.places {
            match timeout(RESOLVE_WITHIN, lookup_host((host.as_str(), *port))).await {
                Ok(Ok(addresses)) => found.extend(addresses),
                Ok(Err(error)) => return tracing::warn!(host, %error, "a service is not found"),
                Err(_elapsed) => return tracing::warn!(host, "a service is not found in time"),
            }
        }
        let known = self.shared.replicas();
        if known.iter().map(|replica| replica.address).collect::<BTreeSet<_>>() == found {
            return;
        }
        let replica = |address: SocketAddr| {
            let known = known.iter().find(|replica| replica.address == address);
            known.cloned().unwrap_or_else(|| Arc::new(Replica::new(address)))
        };
        tracing::info!(service = self.service, replicas = ?found, "replicas of a service");
        let replicas = found.iter().copied().map(replica).collect();
        *self.shared.replicas.write().unwrap_or_else(PoisonError::into_inner) = replicas;
    }

    async fn probe(&self, replica: &Replica) {
        let was_healthy = replica.is_healthy();
        let mut client = HealthClient::new(replica.channel.clone());
        let asked = client.check(HealthCheckRequest { service: self.service.to_owned() });
        match timeout(PROBE_WITHIN, asked).await {
            Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => replica.is_well(),
            Ok(_) => replica.is_gone(),
            Err(_elapsed) => replica.is_silent(),
        }
        if was_healthy != replica.is_healthy() {
            let (service, address, healthy) = (self.service, replica.address, replica.is_healthy());
            tracing::info!(service, %address, healthy, "a replica of a service has changed");
        }
    }
}

//! Replicas that go and come under load: calls that may be repeated never fail, and a drain loses no call at all.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use pkg_api::auth::v1::ValidateTokenRequest;
use system_tests::{Client, Curl, Deployment, Edge, Envoy, Muster, eventually, random_text};
use tokio::task::JoinSet;
use tonic::Status;

use crate::BEHIND_ENVOY;

const REPLICAS: usize = 2;
/// How many clients call at once, of each kind.
const CLIENTS: usize = 8;
/// How many calls are answered between two events.
const SOME: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_killed_and_comes_back_without_a_failed_read() {
    let (envoy, mut replicas) = Replicas::start().await;
    let load = Load::start(&envoy, &[Call::Validate, Call::Profile]).await;
    for _ in 0..REPLICAS {
        load.goes_on().await;
        let mut replica = replicas.running.remove(0);
        replica.kill();
        load.goes_on().await;
        replicas.start_again(&envoy, replica.api()).await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_drained_in_turn_without_a_failed_call() {
    let (envoy, mut replicas) = Replicas::start().await;
    // Sign-ins too, which nobody repeats.
    let load = Load::start(&envoy, &[Call::Validate, Call::Profile, Call::SignIn]).await;
    for _ in 0..REPLICAS {
        load.goes_on().await;
        let replica = replicas.running.remove(0);
        let address = replica.api();
        replica.terminate();
        let ended = tokio::task::spawn_blocking(|| replica.finish()).await.expect("it is waited for");
        assert!(ended.status.success(), "{}", ended.stderr);
        load.goes_on().await;
        replicas.start_again(&envoy, address).await;
    }
    load.end().await;
}

/// Replicas of the auth service.
struct Replicas {
    running: Vec<Muster>,
    // After them, so that they end first.
    deployment: Deployment,
}

impl Replicas {
    async fn start() -> (Envoy, Self) {
        let deployment = Deployment::new().await;
        let running: Vec<_> = (0..REPLICAS).map(|_| deployment.unlimited_replica(&BEHIND_ENVOY)).collect();
        let addresses: Vec<_> = running.iter().map(Muster::api).collect();
        (Envoy::start(&Edge::of(&addresses)), Self { running, deployment })
    }

    /// Starts a replica where one has been, and waits until Envoy uses it.
    async fn start_again(&mut self, envoy: &Envoy, api: SocketAddr) {
        let replica = self.deployment.unlimited_replica_at(api, &BEHIND_ENVOY);
        let admin = Curl::to(envoy.admin());
        let host = format!("{api}::health_flags::healthy");
        eventually("Envoy uses it", async || admin.text("/clusters").contains(&host).then_some(())).await;
        self.running.push(replica);
    }
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Validate,
    Profile,
    SignIn,
}

/// Clients that call without a pause, until one fails or they are told to end.
struct Load<'e> {
    envoy: &'e Envoy,
    progress: Arc<Progress>,
    callers: JoinSet<()>,
}

#[derive(Default)]
struct Progress {
    answered: AtomicUsize,
    ends: AtomicBool,
    failed: Mutex<Vec<(Call, Status)>>,
}

impl<'e> Load<'e> {
    async fn start(envoy: &'e Envoy, calls: &[Call]) -> Self {
        let token = Client::of(envoy.address()).new_guest().await.access_token;
        let progress = Arc::<Progress>::default();
        let mut callers = JoinSet::new();
        for call in calls {
            for _ in 0..CLIENTS {
                let caller = Caller { client: Client::of(envoy.address()), token: token.clone(), call: *call };
                callers.spawn(caller.run(progress.clone()));
            }
        }
        Self { envoy, progress, callers }
    }

    /// Waits until some more calls were answered.
    async fn goes_on(&self) {
        let before = self.progress.answered.load(Ordering::Relaxed);
        eventually("calls are answered", async || {
            self.check();
            (self.progress.answered.load(Ordering::Relaxed) >= before + SOME).then_some(())
        })
        .await;
    }

    async fn end(mut self) {
        self.progress.ends.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("a caller does not panic");
        }
        self.check();
    }

    /// No call may have failed. If one has, Envoy's log says more of it.
    fn check(&self) {
        let failed = self.progress.failed.lock().expect("nobody panics with it");
        let Some((call, status)) = failed.first() else { return };
        let id = status.metadata().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("\"flags\":\"U");
        let log = self.envoy.output();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(id)).collect();
        panic!("{call:?} failed: {status:?}: {lines:?}");
    }
}

struct Caller {
    client: Client,
    token: String,
    call: Call,
}

impl Caller {
    async fn run(self, progress: Arc<Progress>) {
        while !progress.ends.load(Ordering::Relaxed) {
            if let Err(status) = self.call().await {
                progress.failed.lock().expect("nobody panics with it").push((self.call, status));
                return;
            }
            progress.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn call(&self) -> Result<(), Status> {
        match self.call {
            Call::Validate => {
                let request = ValidateTokenRequest { access_token: self.token.clone() };
                self.client.auth().validate_token(request).await.map(drop)
            }
            Call::Profile => self.client.use_token(&self.token).await,
            Call::SignIn => self.client.log_in_with_device(&random_text::<32>()).await.map(drop),
        }
    }
}

//! A server with the probe on a port of its own.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, JwkSet, Revocation, Revocations, RevocationsUnavailable, Role, SigningKey, Verifier};
use pkg_middleware::{
    Dependency, Guard, InProcess, RevocationWatch, ServeError, Server, Service, ServiceIdentity, Settings,
};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::client::ProbeClient;
use crate::probe::{ACCESS, Backstage, ProbeServer, pool};

/// The store of revocations.
#[derive(Default)]
pub(crate) struct Store {
    revocations: Mutex<Vec<Revocation>>,
}

#[async_trait]
impl Revocations for Store {
    async fn append(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), RevocationsUnavailable> {
        let new = sessions.iter().map(|session| Revocation { session: *session, at: now });
        self.revocations.lock().expect("nobody panicked").extend(new);
        Ok(())
    }

    async fn since(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, RevocationsUnavailable> {
        Ok(self
            .revocations
            .lock()
            .expect("nobody panicked")
            .iter()
            .filter(|revocation| revocation.at >= from)
            .copied()
            .collect())
    }
}

/// A dependency that can be broken.
#[derive(Default)]
pub(crate) struct Switch(pub(crate) Mutex<Option<String>>);

#[async_trait]
impl Dependency for Switch {
    fn name(&self) -> &'static str {
        "switch"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.lock().expect("nobody panicked").clone().map_or(Ok(()), Err)
    }
}

/// A running server.
pub(crate) struct Harness {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) backstage: Arc<Backstage>,
    pub(crate) store: Arc<Store>,
    pub(crate) watch: RevocationWatch,
    pub(crate) switch: Arc<Switch>,
    pub(crate) in_process: InProcess,
    issuer: Issuer,
    ambient: Ambient,
    shutdown: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

pub(crate) fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn recorder() -> &'static PrometheusHandle {
    static HANDLE: LazyLock<PrometheusHandle> =
        LazyLock::new(|| PrometheusBuilder::new().install_recorder().expect("there is no other recorder"));
    &HANDLE
}

fn key() -> SigningKey {
    SigningKey::generate([7; 32])
}

pub(crate) fn issuer() -> Issuer {
    Issuer::new(key(), "muster", "muster")
}

/// A server that is made but not bound, and what a test needs of it.
pub(crate) fn unbound(settings: Settings, service: impl FnOnce(Service) -> Service) -> (Server, Harness) {
    let ambient = Ambient::system();
    let store = Arc::new(Store::default());
    let watch = RevocationWatch::new(store.clone(), ambient.clone());
    let keys = JwkSet::new([key().public()]);
    let guard = Guard {
        verifier: Arc::new(Verifier::new(&keys, "muster", "muster").expect("a key")),
        revocations: watch.clone(),
        jwks: keys.to_json(),
    };
    recorder();
    let server = Server::new(settings, guard, Arc::new(|| recorder().render()), ambient.clone()).descriptors(pool());
    let identity = ServiceIdentity::new(issuer(), Uuid::from_u128(0xfeed), ambient.clone());
    let backstage = Backstage::new(identity.over(server.in_process()));
    let switch = Arc::new(Switch::default());
    let probe = Service::new("probe").add(ProbeServer(backstage.clone()), ACCESS).needs("switch", switch.clone());
    let harness = Harness {
        address: local(),
        admin: local(),
        backstage,
        store,
        watch,
        switch,
        in_process: server.in_process(),
        issuer: issuer(),
        ambient,
        shutdown: None,
        serving: None,
    };
    (server.mount(service(probe)), harness)
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_service(change, |service| service).await
    }

    pub(crate) async fn with_service(
        change: impl FnOnce(&mut Settings),
        service: impl FnOnce(Service) -> Service,
    ) -> Self {
        let mut settings = Settings::new(local());
        change(&mut settings);
        let (server, mut harness) = unbound(settings, service);
        let bound = server.bind().await.expect("the server binds");
        harness.address = bound.address().expect("an address");
        harness.admin = bound.admin_address().expect("an address");
        let (shutdown, told) = oneshot::channel::<()>();
        harness.shutdown = Some(shutdown);
        harness.serving = Some(tokio::spawn(bound.serve(async move {
            let _ = told.await;
        })));
        harness
    }

    /// A channel of its own: one connection.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("the server listens")
    }

    pub(crate) async fn client(&self) -> ProbeClient<Channel> {
        ProbeClient::new(self.channel().await)
    }

    pub(crate) fn claims(&self, user: u128, role: Role) -> Claims {
        let now = self.ambient.now();
        Claims {
            subject: Uuid::from_u128(user),
            session: self.ambient.id(),
            role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at: now + Duration::from_mins(10),
        }
    }

    pub(crate) fn bearer(&self, claims: &Claims) -> String {
        format!("Bearer {}", self.issuer.issue(claims))
    }

    pub(crate) fn player(&self) -> String {
        self.bearer(&self.claims(1, Role::Player))
    }

    /// Tells the server to end.
    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().expect("told once").send(()).expect("the server serves");
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(&mut self) -> Result<(), ServeError> {
        let serving = self.serving.take().expect("waited for once");
        tokio::time::timeout(Duration::from_secs(30), serving).await.expect("it ends").expect("it does not panic")
    }
}

/// Tries until it holds; fails when it does not for long.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let tried = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap_or_else(|_| panic!("never: {what}"));
}

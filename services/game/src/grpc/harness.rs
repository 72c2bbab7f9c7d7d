//! A server with the services of this crate on a port of its own, for tests of what callers see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, JwkSet, Role, SigningKey, Verifier};
use pkg_db::SqlRevocations;
use pkg_db::testing::TestDatabase;
use pkg_middleware::{Guard, InProcess, RevocationWatch, ServeError, Server, Service, Settings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub(super) struct Harness {
    channel: Channel,
    endpoint: Endpoint,
    in_process: InProcess,
    issuer: Issuer,
    ambient: Ambient,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    database: TestDatabase,
}

/// Puts a token into every call.
#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

/// A channel of somebody who is signed in.
pub(super) type SignedIn = InterceptedService<Channel, Bearer>;

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Harness {
    /// Serves what is built of an embedded database.
    pub(super) async fn start(service: impl FnOnce(pkg_db::Database, Ambient) -> Service) -> Self {
        let (ambient, database) = (Ambient::system(), pkg_db::testing::sqlite().await);
        let key = SigningKey::generate([7; 32]);
        let keys = JwkSet::new([key.public()]);
        let revocations = RevocationWatch::new(Arc::new(SqlRevocations::new(database.clone())), ambient.clone());
        let verifier = Arc::new(Verifier::new(&keys, "muster", "muster").expect("a key"));
        let guard = Guard { verifier, revocations, jwks: keys.to_json() };
        let settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::new(settings, guard, Arc::new(String::new), ambient.clone());
        let in_process = server.in_process();
        let bound = server.mount(service(database.clone(), ambient.clone())).bind().await.expect("the server binds");
        let address = bound.address().expect("an address");
        let (shutdown, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(async move {
            let _ = told.await;
        }));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("the server listens");
        let issuer = Issuer::new(key, "muster", "muster");
        Self { channel, endpoint, in_process, issuer, ambient, shutdown, serving, database }
    }

    pub(super) fn signed_in(&self, user: Uuid, role: Role) -> SignedIn {
        InterceptedService::new(self.channel.clone(), self.bearer(user, role))
    }

    /// On a connection of their own: what they do not read holds up nobody else.
    pub(super) async fn signed_in_apart(&self, user: Uuid, role: Role) -> SignedIn {
        let channel = self.endpoint.connect().await.expect("the server listens");
        InterceptedService::new(channel, self.bearer(user, role))
    }

    /// Without a socket, for tests that stop the time.
    pub(super) fn signed_in_process(&self, user: Uuid, role: Role) -> InterceptedService<InProcess, Bearer> {
        InterceptedService::new(self.in_process.clone(), self.bearer(user, role))
    }

    fn bearer(&self, user: Uuid, role: Role) -> Bearer {
        let now = self.ambient.now();
        let token = self.issuer.issue(&Claims {
            subject: user,
            session: self.ambient.id(),
            role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at: now + Duration::from_mins(10),
        });
        Bearer(format!("Bearer {token}").try_into().expect("a token is text"))
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub(super) fn drain(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).expect("the server serves");
        let (serving, database) = (self.serving, self.database);
        async move {
            in_time(serving).await.expect("it does not panic").expect("it ends in order");
            drop(database);
        }
    }
}

pub(super) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// The code and the reason of an error, and the fields that it names.
pub(super) fn told(status: &Status) -> (tonic::Code, String, Vec<String>) {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    (status.code(), reason, fields.into_iter().map(|violation| violation.field).collect())
}

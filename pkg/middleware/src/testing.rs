//! For tests: a server of their own, callers who are signed in at it, and what its errors tell.

#![expect(clippy::missing_panics_doc, reason = "it panics: that is how a test learns what went wrong")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, JwkSet, Revocations, Role, SigningKey, Verifier};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{AnyChannel, Guard, InProcess, RevocationWatch, ServeError, Server, Service, ServiceIdentity, Settings};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Who issues tokens, and for whom.
const NAME: &str = "muster";
const TOKEN_LIFETIME: Duration = Duration::from_mins(10);

/// A running server, on a port of its own.
pub struct TestServer {
    in_process: InProcess,
    endpoint: Endpoint,
    issuer: Issuer,
    ambient: Ambient,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

/// Puts a token into every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

/// A channel of somebody who is signed in.
pub type SignedIn<C> = InterceptedService<C, Bearer>;

impl TestServer {
    /// Serves what is built; that may call itself, as a service, over the channel that it is given.
    pub async fn start<S>(
        revocations: impl Revocations + 'static,
        ambient: Ambient,
        build: impl FnOnce(AnyChannel) -> S,
    ) -> Self
    where
        S: IntoIterator<Item = Service>,
    {
        let (key, service_key) = (SigningKey::generate([7; 32]), SigningKey::generate([8; 32]));
        let keys = JwkSet::new([key.public(), service_key.public()]);
        let revocations = RevocationWatch::new(Arc::new(revocations), ambient.clone());
        let verifier = Arc::new(Verifier::new(&keys, NAME, NAME).expect("the keys are good"));
        let guard = Guard { verifier, revocations, jwks: keys.to_json() };
        let settings = Settings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = Server::new(settings, guard, Arc::new(String::new), ambient.clone());
        let in_process = server.in_process();
        let identity = ServiceIdentity::new(Issuer::new(service_key, NAME, NAME), Uuid::from_u128(1), ambient.clone());
        let services = build(AnyChannel::new(identity.over(in_process.clone())));
        let server = services.into_iter().fold(server, Server::mount);
        let bound = server.bind().await.expect("the server binds");
        let address = bound.address().expect("an address");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let (shutdown, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(async move {
            let _ = told.await;
        }));
        Self { in_process, endpoint, issuer: Issuer::new(key, NAME, NAME), ambient, shutdown, serving }
    }

    /// The way to it without a socket, for tests that stop the time; a drain waits for no stream that goes there.
    #[must_use]
    pub fn in_process(&self) -> InProcess {
        self.in_process.clone()
    }

    /// A connection of its own: what its streams do not read holds up no other one.
    pub async fn connect(&self) -> Channel {
        self.endpoint.connect().await.expect("the server listens")
    }

    /// Somebody who calls over this channel, with a token that is good for ten minutes.
    #[must_use]
    pub fn signed_in<C>(&self, channel: C, user: Uuid, role: Role) -> SignedIn<C> {
        let now = self.ambient.now();
        let token = self.issuer.issue(&Claims {
            subject: user,
            session: self.ambient.id(),
            role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at: now + TOKEN_LIFETIME,
        });
        let bearer = Bearer(format!("Bearer {token}").try_into().expect("a token is text"));
        InterceptedService::new(channel, bearer)
    }

    /// Begins to drain; the answer comes when the server has ended.
    pub fn drain(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).expect("the server serves");
        async move {
            in_time(self.serving).await.expect("it does not panic").expect("it ends in order");
        }
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// What a future answers within [`PATIENCE`].
pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Asks again and again until there is an answer, for as long as [`PATIENCE`].
pub async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    in_time(async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    })
    .await
}

/// The code and the reason of an error, and the fields that it names.
#[must_use]
pub fn told(status: &Status) -> (Code, String, Vec<String>) {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    (status.code(), reason, fields.into_iter().map(|violation| violation.field).collect())
}

/// A fact that an error tells; empty if it does not.
#[must_use]
pub fn fact(status: &Status, key: &str) -> String {
    status.get_details_error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}

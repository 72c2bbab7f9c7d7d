//! Calls to a service that has several replicas, which come and go.

mod watch;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

pub use watch::ReplicaWatch;

use super::RemoteError;
use crate::problem::{Problem, chain};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a connection is asked for a sign of life…
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// …and how long that may take. Then it is dead, and so are the calls on it.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// A replica that has not answered so often in a row is passed over.
const FAILURES: u32 = 2;
const HTTP_PORT: u16 = 80;

/// A channel for generated clients to the replicas of a service, each in turn. One that is not healthy is passed over, as
/// its [`ReplicaWatch`] sees it; without a healthy one, calls are refused with `SERVICE_UNAVAILABLE` at once.
#[derive(Clone)]
pub struct ReplicaChannel {
    shared: Arc<Shared>,
}

struct Shared {
    /// Where replicas are looked for: hosts and ports. Each address of a host is a replica.
    places: Vec<(String, u16)>,
    replicas: RwLock<Arc<[Arc<Replica>]>>,
    turn: AtomicUsize,
}

struct Replica {
    address: SocketAddr,
    channel: Channel,
    /// How often in a row it was found not to be healthy.
    failures: AtomicU32,
}

impl ReplicaChannel {
    /// A channel to the replicas at these addresses, such as `http://game:50052`, and what watches over them. A host with
    /// several addresses has as many replicas. They are healthy if the gRPC service of this name is.
    pub async fn connect(addresses: &[String], service: &'static str) -> Result<(Self, ReplicaWatch), RemoteError> {
        let places = addresses.iter().map(|address| place(address)).collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared { places, replicas: RwLock::new(Arc::default()), turn: AtomicUsize::new(0) });
        let watch = ReplicaWatch::begin(shared.clone(), service).await;
        Ok((Self { shared }, watch))
    }
}

impl Shared {
    fn replicas(&self) -> Arc<[Arc<Replica>]> {
        self.replicas.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The healthy replica whose turn it is.
    fn next(&self) -> Option<Arc<Replica>> {
        let replicas = self.replicas();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = replicas.iter().cycle().skip(turn % replicas.len().max(1)).take(replicas.len());
        in_turn.into_iter().find(|replica| replica.is_healthy()).cloned()
    }
}

impl Replica {
    fn new(address: SocketAddr) -> Self {
        // A socket address makes a URI, always.
        let endpoint = Endpoint::from(
            Uri::builder()
                .scheme(Scheme::HTTP)
                .authority(address.to_string())
                .path_and_query("/")
                .build()
                .unwrap_or_default(),
        );
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        // It is not healthy before it has said so.
        Self { address, channel: endpoint.connect_lazy(), failures: AtomicU32::new(FAILURES) }
    }

    fn is_healthy(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < FAILURES
    }

    fn is_well(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// It did not answer: that may happen once.
    fn is_silent(&self) {
        let count = |failures: u32| Some(failures.saturating_add(1).min(FAILURES));
        // The closure always answers.
        let _ = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    fn is_gone(&self) {
        self.failures.store(FAILURES, Ordering::Relaxed);
    }
}

impl fmt::Debug for ReplicaChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaChannel").field("places", &self.shared.places).finish_non_exhaustive()
    }
}

impl tower::Service<Request<Body>> for ReplicaChannel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(replica) = self.shared.next() else {
            return std::future::ready(Ok(unavailable("no replica is healthy"))).boxed();
        };
        async move {
            let answer = replica.channel.clone().oneshot(request).await;
            Ok(answer.unwrap_or_else(|error| {
                replica.is_gone();
                unavailable(&chain(&error))
            }))
        }
        .boxed()
    }
}

fn unavailable(cause: &str) -> Response<Body> {
    Status::from(Problem::unavailable("SERVICE_UNAVAILABLE", cause)).into_http()
}

/// The host and the port of an address.
fn place(address: &str) -> Result<(String, u16), RemoteError> {
    let not_one = || RemoteError::Address(address.to_owned());
    let uri: Uri = address.parse().map_err(|_| not_one())?;
    let host = uri.host().filter(|_| uri.scheme() == Some(&Scheme::HTTP) && uri.path() == "/").ok_or_else(not_one)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), uri.port_u16().unwrap_or(HTTP_PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(ports: std::ops::Range<u16>) -> Shared {
        let replica = |port| Arc::new(Replica::new(SocketAddr::from(([127, 0, 0, 1], port))));
        Shared { places: vec![], replicas: RwLock::new(ports.map(replica).collect()), turn: AtomicUsize::new(0) }
    }

    fn turns(shared: &Shared, count: usize) -> Vec<Option<u16>> {
        (0..count).map(|_| shared.next().map(|replica| replica.address.port())).collect()
    }

    #[tokio::test]
    async fn healthy_replicas_take_turns() {
        let shared = shared(1..4);
        assert_eq!(turns(&shared, 2), [None, None]);
        shared.replicas().iter().for_each(|replica| replica.is_well());
        shared.turn.store(0, Ordering::Relaxed);
        assert_eq!(turns(&shared, 4), [Some(1), Some(2), Some(3), Some(1)]);
        shared.replicas()[1].is_gone();
        shared.turn.store(0, Ordering::Relaxed);
        assert_eq!(turns(&shared, 3), [Some(1), Some(3), Some(3)]);
    }

    #[tokio::test]
    async fn a_replica_may_be_silent_once() {
        let replica = Replica::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        replica.is_well();
        replica.is_silent();
        assert!(replica.is_healthy());
        replica.is_silent();
        assert!(!replica.is_healthy());
        replica.is_well();
        assert!(replica.is_healthy());
    }

    #[test]
    fn a_place_has_a_host_and_a_port() {
        assert_eq!(place("http://game:50052").ok(), Some(("game".to_owned(), 50_052)));
        assert_eq!(place("http://[::1]:7").ok(), Some(("::1".to_owned(), 7)));
        assert_eq!(place("http://game").ok(), Some(("game".to_owned(), 80)));
        for bad in ["game:50052", "https://game:50052", "http://game:50052/path", "", "http://"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}

//! A service as it is handed to a [`Server`](crate::Server): its gRPC servers, what they need, what runs beside them.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use http::{Request, Response};
use prost_reflect::DescriptorPool;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;

use crate::access::{self, AccessError, AccessTable};
use crate::pages::Pages;

/// Something that a service cannot work without, such as a database.
#[async_trait]
pub trait Dependency: Send + Sync {
    /// What it is, for the log: `"postgres"`, `"sqlite"`.
    fn name(&self) -> &str;

    /// Whether it works now; the error says what does not, without secrets. Called once a second, with a time-out.
    async fn check(&self) -> Result<(), String>;
}

/// A service: gRPC servers with their access tables, dependencies, background tasks.
#[must_use = "a service does nothing until it is mounted on a server"]
pub struct Service {
    pub(crate) name: &'static str,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) needs: Vec<Need>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) pages: Pages,
}

pub(crate) struct Mount {
    pub(crate) grpc_name: &'static str,
    pub(crate) access: AccessTable,
    pub(crate) handler: Arc<dyn Handler>,
}

#[derive(Clone)]
pub(crate) struct Need {
    pub(crate) name: &'static str,
    pub(crate) dependency: Arc<dyn Dependency>,
}

pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) start: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Service {
    /// A service with a name for the log and for readiness.
    pub fn new(name: &'static str) -> Self {
        Self { name, mounts: Vec::new(), needs: Vec::new(), tasks: Vec::new(), pages: Pages::default() }
    }

    /// Adds a generated gRPC server and the access of each of its RPCs.
    pub fn add<S>(mut self, server: S, access: AccessTable) -> Self
    where
        S: NamedService + GrpcServer,
    {
        self.mounts.push(Mount { grpc_name: S::NAME, access, handler: Arc::new(Generated(server)) });
        self
    }

    /// Says what the service cannot work without, under a name that `/readyz` shows. While its check fails, the gRPC
    /// servers of this service are `NOT_SERVING`.
    pub fn needs(mut self, name: &'static str, dependency: Arc<dyn Dependency>) -> Self {
        self.needs.push(Need { name, dependency });
        self
    }

    /// Adds work that runs beside the calls. Its token is cancelled after the last call has been answered, and it is
    /// waited for. A task that ends before that, or panics, makes the process not ready.
    pub fn task<F>(mut self, name: &'static str, start: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.push(Task::new(name, start));
        self
    }

    /// Serves these pages beside the calls, to everybody.
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = self.pages.and(pages);
        self
    }

    /// Checks that each access table names exactly the RPCs that the pool describes. The server checks this when it
    /// binds; a test may do so earlier.
    pub fn verify_access(&self, pool: &DescriptorPool) -> Result<(), AccessError> {
        self.mounts.iter().try_for_each(|mount| {
            let service = pool
                .get_service_by_name(mount.grpc_name)
                .ok_or_else(|| AccessError::UnknownService(mount.grpc_name.to_owned()))?;
            access::verify(&service, mount.access)
        })
    }
}

impl Task {
    pub(crate) fn new<F>(name: &'static str, start: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, start: Box::new(move |shutdown| Box::pin(start(shutdown))) }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a generated server's call returns. It is boxed already, so a table of servers costs no second box.
pub type GrpcFuture = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// What tonic generates for a service, with any state.
pub trait GrpcServer:
    tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = GrpcFuture>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcServer for S where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = GrpcFuture>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A generated gRPC server without its type, so that a table can hold all of them.
pub(crate) trait Handler: Send + Sync {
    fn call(&self, request: Request<Body>) -> GrpcFuture;
}

struct Generated<S>(S);

impl<S: GrpcServer> Handler for Generated<S> {
    fn call(&self, request: Request<Body>) -> GrpcFuture {
        // Generated servers are always ready: their poll_ready says so without looking.
        self.0.clone().call(request)
    }
}

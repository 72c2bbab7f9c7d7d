//! [`Server`]: services, settings and guard come together, are checked, bound, served and drained.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_auth::Verifier;
use pkg_transcoding::{RouteError, Transcoder};
use prost_reflect::{DescriptorError, DescriptorPool};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic_health::server::{HealthReporter, HealthService};

use crate::access::{Access, AccessError, AccessTable};
use crate::admin::{Admin, RenderMetrics};
use crate::authentication::Authenticator;
use crate::background::Background;
use crate::connections::{self, Connections};
use crate::edge::{Api, Edge, cors_layer};
use crate::methods::{MethodTable, describe_metrics};
use crate::pages::Pages;
use crate::readiness::{Group, Readiness};
use crate::revocation::RevocationWatch;
use crate::service::{Need, Service, Task};
use crate::settings::{AdminAt, SettingError, Settings};
use crate::stack::{InProcess, Stack};
use crate::streams::Streams;

/// How long streams have after a drain began to say `GoAway` themselves, before they are ended.
pub const STREAM_GRACE: Duration = Duration::from_secs(1);

/// How long the admin port takes for its last answers.
const ADMIN_GRACE: Duration = Duration::from_millis(500);

/// The part of the drain that is kept for background tasks: one in so many.
const SHARE_OF_TASKS: u32 = 10;

/// The name of what the server itself does beside the services, and what all of them need.
pub(crate) const OWN_NAME: &str = "server";

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

const HEALTH_ACCESS: AccessTable = &[("Check", Access::Public), ("Watch", Access::Public)];
const REFLECTION_ACCESS: AccessTable = &[("ServerReflectionInfo", Access::Public)];

/// Whom the server lets in.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Checks access tokens.
    pub verifier: Arc<Verifier>,
    /// Knows which sessions were ended; every service needs it to work.
    pub revocations: RevocationWatch,
    /// The public keys as a JSON Web Key Set, for `/.well-known/jwks.json`.
    pub jwks: String,
}

/// The one way any Muster service is served: gRPC, gRPC-Web and JSON on one port, with the same layers around each.
#[must_use = "a server does nothing until it is bound and served"]
pub struct Server {
    settings: Settings,
    guard: Guard,
    metrics: RenderMetrics,
    ambient: Ambient,
    pool: DescriptorPool,
    services: Vec<Service>,
    beside: &'static [&'static str],
    in_process: InProcess,
}

/// Why a server could not be made or bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A setting cannot be honoured.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A service and its access table do not fit.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Two servers for one gRPC service.
    #[error("{0} is mounted twice")]
    MountedTwice(&'static str),
    /// The descriptors do not go together with those of health and reflection.
    #[error("the descriptors are not valid")]
    Descriptors(#[from] DescriptorError),
    /// The descriptors cannot be served by reflection.
    #[error("the descriptors cannot be served by reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The `google.api.http` annotations are not valid.
    #[error("the JSON routes are not valid")]
    Routes(#[from] RouteError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What went wrong while serving or draining.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Background tasks did not end in time and were aborted.
    #[error("background tasks did not end in time: {0:?}")]
    TasksLeft(Vec<&'static str>),
}

impl Server {
    /// A server without services. `metrics` renders the process's metrics; its recorder must be installed before
    /// [`Self::bind`], which registers what is counted.
    pub fn new(settings: Settings, guard: Guard, metrics: RenderMetrics, ambient: Ambient) -> Self {
        let pool = pkg_api::descriptors().clone();
        let in_process = InProcess::default();
        Self { settings, guard, metrics, ambient, pool, services: Vec::new(), beside: &[], in_process }
    }

    /// Describes the services by another pool than Muster's API.
    pub fn descriptors(self, pool: DescriptorPool) -> Self {
        Self { pool, ..self }
    }

    /// Names gRPC services of other servers that clients reach at the same address: reflection lists them too, since a
    /// proxy in front can ask one server only.
    pub fn beside(self, names: &'static [&'static str]) -> Self {
        Self { beside: names, ..self }
    }

    /// Adds a service.
    pub fn mount(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// A way into this server without a socket, also for services that are mounted on it. Works once it is bound.
    #[must_use]
    pub fn in_process(&self) -> InProcess {
        self.in_process.clone()
    }

    /// Checks that all fits together, and listens. Nothing is answered until [`Bound::serve`].
    pub async fn bind(mut self) -> Result<Bound, BindError> {
        self.settings.verify()?;
        let cors = cors_layer(&self.settings.cors)?;
        describe_metrics();
        // Before the first call, for until then every revoked token would be good.
        self.guard.revocations.read().await;

        let own_need = Need { name: "revocations", dependency: Arc::new(self.guard.revocations.clone()) };
        let groups: Vec<Group> = self.services.iter().map(|service| group(service, &own_need)).collect();
        let needs = self.services.iter().flat_map(|service| service.needs.iter().cloned()).chain([own_need]).collect();
        let reporter = HealthReporter::new();
        let readiness = Readiness::new(needs, groups, reporter.clone()).await;

        let names = self.served_names()?;
        let (own, pool) = self.own_services(reporter, &names)?;
        let mounts = self.services.iter().chain([&own]).flat_map(|service| &service.mounts);
        let methods = MethodTable::of(&pool, mounts, &[HEALTH, REFLECTION, REFLECTION_ALPHA])?;
        let stack = self.stack(methods);
        self.in_process.connect(stack.clone());

        let admin = Arc::new(Admin {
            metrics: self.metrics.clone(),
            jwks: self.guard.jwks.clone(),
            readiness: readiness.clone(),
        });
        let (beside, apart) = match self.settings.admin {
            AdminAt::SamePort => (Some(admin), None),
            AdminAt::Address(address) => (None, Some((listen(address)?, admin))),
        };
        let pages = self.services.iter_mut().map(|service| std::mem::take(&mut service.pages));
        let pages = pages.fold(Pages::default(), Pages::and);
        let api = self.api(&names, pages)?;
        let listener = listen(self.settings.listen)?;
        let edge = Edge::new(Some(api), beside, cors, self.ambient.clone());
        let connections = Connections::new(edge, self.settings.limits.clone(), self.ambient.clone());
        let admin = apart.map(|(listener, admin)| {
            let edge = Edge::new(None, Some(admin), None, self.ambient.clone());
            (listener, Connections::new(edge, self.settings.limits.clone(), self.ambient.clone()))
        });
        let tasks = std::mem::take(&mut self.services)
            .into_iter()
            .flat_map(|service| service.tasks.into_iter().map(move |task| (service.name, task)))
            .collect();
        let Settings { lame_duck, drain, .. } = self.settings;
        let revocations = self.guard.revocations;
        Ok(Bound { listener, connections, admin, stack, readiness, revocations, tasks, lame_duck, drain })
    }

    /// The full names of the mounted gRPC services, each of which is mounted once.
    fn served_names(&self) -> Result<Vec<&'static str>, BindError> {
        let mut seen = BTreeSet::new();
        let names: Vec<_> =
            self.services.iter().flat_map(|service| &service.mounts).map(|mount| mount.grpc_name).collect();
        match names.iter().find(|name| !seen.insert(**name)) {
            Some(twice) => Err(BindError::MountedTwice(twice)),
            None => Ok(names),
        }
    }

    /// Health, and reflection where it is wanted; and the pool with their descriptors.
    fn own_services(
        &self,
        reporter: HealthReporter,
        names: &[&'static str],
    ) -> Result<(Service, DescriptorPool), BindError> {
        let mut pool = self.pool.clone();
        pool.decode_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
        let health = tonic_health::pb::health_server::HealthServer::new(HealthService::from_health_reporter(reporter));
        let mut own = Service::new(OWN_NAME).add(health, HEALTH_ACCESS);
        if self.settings.reflection {
            let described = self.pool.encode_to_vec();
            let listed = || names.iter().chain(self.beside).chain(&[HEALTH]);
            let builder = || {
                let builder = tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(&described)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
                listed().fold(builder, |builder, name| builder.with_service_name(*name))
            };
            pool.decode_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)?;
            pool.decode_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)?;
            own = own
                .add(builder().with_service_name(REFLECTION).build_v1()?, REFLECTION_ACCESS)
                .add(builder().with_service_name(REFLECTION_ALPHA).build_v1alpha()?, REFLECTION_ACCESS);
        }
        Ok((own, pool))
    }

    fn stack(&self, methods: MethodTable) -> Arc<Stack> {
        let Guard { verifier, revocations, .. } = &self.guard;
        let streams = Streams::new(self.settings.limits.streams_per_user);
        let ended = Arc::downgrade(&streams);
        revocations.listen(move |session| {
            if let Some(streams) = ended.upgrade() {
                streams.end_session(session);
            }
        });
        Arc::new(Stack {
            methods,
            authenticator: Authenticator::new(verifier.clone(), revocations.clone(), self.ambient.clone()),
            streams,
            limits: self.settings.limits.clone(),
            trusted_hops: self.settings.trusted_hops,
            draining: Arc::new(CancellationToken::new()),
            ambient: self.ambient.clone(),
        })
    }

    fn api(&self, names: &[&'static str], pages: Pages) -> Result<Api, BindError> {
        let limits = &self.settings.limits;
        let json = if self.settings.json {
            let transcoder = Transcoder::new(self.pool.clone(), names.iter().copied())?;
            Some(transcoder.with_body_limit(limits.message_bytes).layer_over(self.in_process()))
        } else {
            None
        };
        Ok(Api::new(self.in_process(), json, pages, limits.header_read_timeout + limits.unary_deadline))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.settings)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

/// A server that listens.
#[must_use = "a bound server answers nothing until it is served"]
pub struct Bound {
    listener: TcpListener,
    connections: Arc<Connections>,
    admin: Option<(TcpListener, Arc<Connections>)>,
    stack: Arc<Stack>,
    readiness: Arc<Readiness>,
    revocations: RevocationWatch,
    tasks: Vec<(&'static str, Task)>,
    lame_duck: Duration,
    drain: Duration,
}

impl Bound {
    /// Where the API is served.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the admin paths are served: the same as [`Self::address`] if they have no port of their own.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.as_ref().map_or_else(|| self.address(), |(listener, _)| listener.local_addr())
    }

    /// Serves until `shutdown` resolves, then drains: not ready at once, no new connections after its time as a lame duck,
    /// calls under way finish,
    /// streams are ended after [`STREAM_GRACE`], background tasks are told to end when all that is done. What takes
    /// longer than the configured drain is cut. Dropped, everything is cut at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let mut background = Background::new(self.readiness.clone());
        let (readiness, revocations) = (self.readiness.clone(), self.revocations.clone());
        background.start(OWN_NAME, Task::new("readiness", move |shutdown| readiness.follow(shutdown)));
        background.start(OWN_NAME, Task::new("revocations", move |shutdown| revocations.follow(shutdown)));
        for (service, task) in self.tasks {
            background.start(service, task);
        }
        let _cut_if_dropped = self.connections.cut_guard();
        let _cut_admin_if_dropped = self.admin.as_ref().map(|(_, connections)| connections.cut_guard());
        let mut accepting = JoinSet::new();
        accepting.spawn(self.connections.clone().accept(self.listener));
        let admin = self.admin.map(|(listener, connections)| {
            accepting.spawn(connections.clone().accept(listener));
            connections
        });

        shutdown.await;
        tracing::info!(lame_duck_ms = self.lame_duck.as_millis(), drain_ms = self.drain.as_millis(), "draining");
        self.readiness.drain().await;
        tokio::time::sleep(self.lame_duck).await;
        let until = Instant::now() + self.drain;
        self.stack.draining.cancel();
        self.stack.streams.close();
        drain_connections(&self.connections, &self.stack.streams, until - self.drain / SHARE_OF_TASKS).await;
        let left = background.end(until).await;
        if let Some(admin) = admin {
            admin.drain(until.min(Instant::now() + ADMIN_GRACE)).await;
        }
        if left.is_empty() { Ok(()) } else { Err(ServeError::TasksLeft(left)) }
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("listener", &self.listener).finish_non_exhaustive()
    }
}

async fn drain_connections(connections: &Connections, streams: &Streams, until: Instant) {
    let mut drained = std::pin::pin!(connections.drain(until));
    let cut = tokio::select! {
        cut = drained.as_mut() => cut,
        () = tokio::time::sleep_until(until.min(Instant::now() + STREAM_GRACE)) => {
            streams.end_all();
            drained.await
        }
    };
    // Those without a connection: calls in process.
    streams.end_all();
    if cut > 0 {
        tracing::warn!(connections = cut, "connections were cut at the end of the drain");
    }
}

fn group(service: &Service, own_need: &Need) -> Group {
    Group {
        service: service.name,
        grpc_names: service.mounts.iter().map(|mount| mount.grpc_name).collect(),
        needs: service.needs.iter().chain([own_need]).map(|need| need.name).collect(),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    connections::bind(address).map_err(|source| BindError::Listen { address, source })
}

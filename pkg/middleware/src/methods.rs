//! Every RPC that is served: found by its path, with all that the layers need to know of it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use crate::access::{self, Access, AccessError};
use crate::service::{Handler, Mount};

/// The name that methods have in metrics which nobody serves: labels come from us only, never from a client.
const UNKNOWN: &str = "unknown";

/// How many gRPC codes there are.
const CODES: usize = 17;

/// Which side sends how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ClientStream,
    ServerStream,
    Bidirectional,
}

impl Kind {
    fn of(method: &MethodDescriptor) -> Self {
        match (method.is_client_streaming(), method.is_server_streaming()) {
            (false, false) => Self::Unary,
            (true, false) => Self::ClientStream,
            (false, true) => Self::ServerStream,
            (true, true) => Self::Bidirectional,
        }
    }

    /// Whether the answer is a stream, which may stay open for as long as its token is good.
    pub(crate) fn streams_answer(self) -> bool {
        matches!(self, Self::ServerStream | Self::Bidirectional)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ClientStream => "client_stream",
            Self::ServerStream => "server_stream",
            Self::Bidirectional => "bidi_stream",
        }
    }
}

/// One RPC.
pub(crate) struct Method {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) access: Access,
    /// Nobody, for the method that stands for all that do not exist.
    pub(crate) handler: Option<Arc<dyn Handler>>,
    /// Asked by machines all day: logged at debug.
    pub(crate) quiet: bool,
    pub(crate) metrics: MethodMetrics,
}

/// The RPCs by path, `/package.Service/Rpc`.
pub(crate) struct MethodTable {
    by_path: HashMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

impl MethodTable {
    /// The table of these gRPC servers, each of which the pool must describe and its access table must fit.
    pub(crate) fn of<'a>(
        pool: &DescriptorPool,
        mounts: impl Iterator<Item = &'a Mount>,
        quiet: &[&str],
    ) -> Result<Self, AccessError> {
        let mut by_path = HashMap::new();
        for mount in mounts {
            let service = pool
                .get_service_by_name(mount.grpc_name)
                .ok_or_else(|| AccessError::UnknownService(mount.grpc_name.to_owned()))?;
            access::verify(&service, mount.access)?;
            for method in service.methods() {
                // The tables were just compared, so every method has its row.
                let Some((_, access)) = mount.access.iter().find(|(rpc, _)| *rpc == method.name()) else { continue };
                let kind = Kind::of(&method);
                let entry = Method {
                    service: mount.grpc_name.to_owned(),
                    name: method.name().to_owned(),
                    kind,
                    access: *access,
                    handler: Some(mount.handler.clone()),
                    quiet: quiet.contains(&mount.grpc_name),
                    metrics: MethodMetrics::new(mount.grpc_name, method.name(), kind.label()),
                };
                by_path.insert(format!("/{}/{}", mount.grpc_name, method.name()), Arc::new(entry));
            }
        }
        let unknown = Method {
            service: UNKNOWN.to_owned(),
            name: UNKNOWN.to_owned(),
            kind: Kind::Unary,
            access: Access::Roles(&[]),
            handler: None,
            quiet: false,
            metrics: MethodMetrics::new(UNKNOWN, UNKNOWN, UNKNOWN),
        };
        Ok(Self { by_path, unknown: Arc::new(unknown) })
    }

    /// The method at a path, or the one without a handler.
    pub(crate) fn find(&self, path: &str) -> &Arc<Method> {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

/// The metrics of one method, registered before the first call: a call looks nothing up and allocates nothing.
pub(crate) struct MethodMetrics {
    labels: Vec<Label>,
    started: Counter,
    handled: [OnceLock<Counter>; CODES],
    seconds: Histogram,
    active: Gauge,
}

impl MethodMetrics {
    fn new(service: &str, method: &str, kind: &'static str) -> Self {
        let labels = vec![
            Label::new("grpc_service", service.to_owned()),
            Label::new("grpc_method", method.to_owned()),
            Label::new("grpc_type", kind),
        ];
        Self {
            started: metrics::counter!("grpc_server_started_total", labels.clone()),
            handled: [const { OnceLock::new() }; CODES],
            seconds: metrics::histogram!("grpc_server_handling_seconds", labels.clone()),
            active: metrics::gauge!("grpc_server_active_streams", labels.clone()),
            labels,
        }
    }

    pub(crate) fn started(&self, kind: Kind) {
        self.started.increment(1);
        if kind.streams_answer() {
            self.active.increment(1);
        }
    }

    pub(crate) fn handled(&self, kind: Kind, code: Code, after: Duration) {
        if let Some(counter) = self.handled.get(code as usize) {
            // A code that a method never answers with gets no series.
            counter.get_or_init(|| self.counter_of(code)).increment(1);
        }
        self.seconds.record(after);
        if kind.streams_answer() {
            self.active.decrement(1);
        }
    }

    fn counter_of(&self, code: Code) -> Counter {
        let mut labels = self.labels.clone();
        labels.push(Label::new("grpc_code", code_name(code)));
        metrics::counter!("grpc_server_handled_total", labels)
    }
}

/// Says what the metrics mean, once per process.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!("grpc_server_started_total", "RPCs started on the server.");
    metrics::describe_counter!("grpc_server_handled_total", "RPCs completed on the server, by code.");
    metrics::describe_histogram!(
        "grpc_server_handling_seconds",
        metrics::Unit::Seconds,
        "Time from the request's headers to the end of the answer."
    );
    metrics::describe_gauge!("grpc_server_active_streams", "Answers that are open streams.");
}

/// A code as metrics of gRPC servers usually spell it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

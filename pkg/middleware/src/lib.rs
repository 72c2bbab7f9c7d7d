//! What every server shares: the one way a Muster service is served.
//!
//! A [`Service`] is gRPC servers with their [`AccessTable`]s, what they need, and what runs beside them. A [`Server`]
//! serves services: gRPC, gRPC-Web and JSON on one port, with the same layers around every RPC, also for calls
//! [in process](Server::in_process). Handlers learn who calls from [`Caller`] and the rest from [`RequestContext`], and
//! say what went wrong with a [`Problem`].

mod access;
mod actor;
mod admin;
mod answer;
mod aside;
mod authentication;
mod background;
mod caller;
mod client;
mod client_address;
mod connections;
mod deadline;
mod edge;
mod frames;
mod limiter;
mod methods;
mod normalise;
mod observation;
mod own_task;
mod pages;
mod panic_guard;
mod problem;
mod readiness;
mod refusal;
mod revocation;
mod server;
mod service;
mod settings;
mod stack;
mod streams;
#[cfg(feature = "testing")]
pub mod testing;
mod trace_context;
mod unread;
mod watching;

pub use access::{Access, AccessError, AccessTable};
pub use actor::Actor;
pub use admin::RenderMetrics;
pub use aside::Aside;
pub use caller::{Caller, RequestContext, RequestId};
pub use client::{
    AnyChannel, CallRefused, RemoteChannel, RemoteError, ReplicaChannel, ReplicaWatch, ServiceChannel, ServiceIdentity,
};
pub use limiter::{KeyedLimiter, MAX_KEYS, Quota, SHARED_BUCKETS, address_key};
pub use pages::{PageFile, Pages};
pub use problem::{ERROR_DOMAIN, Problem, REASON_INTERNAL, chain};
pub use revocation::{POLL_INTERVAL, RevocationWatch, STALE_AFTER};
pub use server::{BindError, Bound, Guard, STREAM_GRACE, ServeError, Server};
pub use service::{Dependency, GrpcFuture, GrpcServer, Service};
pub use settings::{AdminAt, Cors, Limits, SettingError, Settings};
pub use stack::InProcess;
pub use trace_context::{TRACEPARENT, TraceContext, TraceId};
pub use watching::{HEARTBEAT, Watched, go_away, heartbeat, watch};

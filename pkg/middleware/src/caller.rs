//! What a handler may know about its request: who calls, and from where, until when.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderValue};
use pkg_auth::Role;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::problem::Problem;
use crate::trace_context::TraceContext;

/// Who calls, as the verified access token says. Nothing else in a request is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user, game server or service.
    pub user_id: Uuid,
    /// The session that the token belongs to.
    pub session_id: Uuid,
    /// What the caller may do.
    pub role: Role,
    /// When the token ends; streams end with it.
    pub expires_at: OffsetDateTime,
}

impl Caller {
    /// The caller of a request to a method that needs a token.
    ///
    /// A public method has no caller: to ask there is a mistake in the program, and answers `INTERNAL`.
    pub fn of<T>(request: &Request<T>) -> Result<&Self, Status> {
        request
            .extensions()
            .get::<Self>()
            .ok_or_else(|| Problem::internal("a public method asks for its caller").into())
    }
}

/// The id of a request, taken from the caller or made: at most 128 visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the server knows of a request, whoever calls.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The id in the log, in the answer's `x-request-id`, and in calls made further.
    pub request_id: RequestId,
    /// The trace that the request belongs to, and our span.
    pub trace: TraceContext,
    /// The client's address: the peer's, or what trusted proxies say of it. In-process calls have their caller's.
    pub client_address: Option<IpAddr>,
    /// When nobody waits for the answer any more.
    pub deadline: Option<Instant>,
    /// Shared rather than cloned: a clone of a token takes a lock that all requests would share.
    pub(crate) draining: Arc<CancellationToken>,
}

tokio::task_local! {
    static CURRENT: Arc<RequestContext>;
}

impl RequestContext {
    /// The context of a request that came through a [`Server`](crate::Server).
    ///
    /// A request made by hand has none: to ask there is a mistake in the program, and answers `INTERNAL`.
    pub fn of<T>(request: &Request<T>) -> Result<&Self, Status> {
        Self::among(request.extensions()).ok_or_else(|| Problem::internal("the request came past the server").into())
    }

    /// The context among what a request carries, if it came through a [`Server`](crate::Server).
    #[must_use]
    pub fn among(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Arc<Self>>().map(AsRef::as_ref)
    }

    /// Cancelled when the server begins to drain: a stream may then say where to go, before it is ended.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// What is left until the deadline, zero if it has passed; `None` without a deadline.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Runs `read` with the context of the request that the current task works for, if it works for one.
    pub(crate) fn with_current<R>(read: impl FnOnce(&Self) -> R) -> Option<R> {
        CURRENT.try_with(|context| read(context)).ok()
    }

    /// Runs a future as work for this request.
    pub(crate) fn scope<F: Future>(self: &Arc<Self>, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), future)
    }

    /// Runs a function as work for this request.
    pub(crate) fn sync_scope<R>(self: &Arc<Self>, work: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), work)
    }
}

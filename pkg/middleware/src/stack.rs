//! The layers around every RPC, in their order, whichever way it came in.
//!
//! They are stages of one function rather than tower layers: each would box or name the future of the next, and the
//! order, which matters, would be spread over as many types.

use std::convert::Infallible;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, NeverError};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pkg_ambient::Ambient;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::answer::{Answer, Expiry, StreamGuard};
use crate::authentication::{Authenticator, expired};
use crate::caller::{Caller, RequestContext, RequestId};
use crate::client_address::{Peer, client_address};
use crate::deadline::take_timeout;
use crate::frames::LimitedBody;
use crate::methods::{Method, MethodTable};
use crate::normalise::{self, Outcome};
use crate::observation::Observation;
use crate::panic_guard;
use crate::problem::Problem;
use crate::service::Handler;
use crate::settings::Limits;
use crate::streams::{StreamLease, Streams, revoked};
use crate::trace_context::TraceContext;
use crate::unread::discard;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id would only fill the log.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// All that the layers need.
pub(crate) struct Stack {
    pub(crate) methods: MethodTable,
    pub(crate) authenticator: Authenticator,
    pub(crate) streams: Arc<Streams>,
    pub(crate) limits: Limits,
    pub(crate) trusted_hops: u8,
    pub(crate) draining: Arc<CancellationToken>,
    pub(crate) ambient: Ambient,
}

/// What a request was given on its way to the handler.
struct Admission<'a> {
    handler: &'a dyn Handler,
    caller: Option<Caller>,
    stream: Option<StreamLease>,
}

/// A request on its way through its handler.
struct Call {
    handled: BoxFuture<'static, Result<Response<Body>, Infallible>>,
    context: Arc<RequestContext>,
    guard: Option<StreamGuard>,
    observation: Observation,
}

enum Begun {
    Call(Call),
    Refused(Response<Body>),
}

impl Stack {
    /// Answers one gRPC request.
    pub(crate) async fn call(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        match self.begin(request) {
            Begun::Call(call) => call.answer(self.limits.message_bytes).await,
            Begun::Refused(response) => response,
        }
    }

    /// All that comes before the handler. It is a function, since whatever an `async fn` has at hand is part of its future,
    /// and that is copied several times for each call.
    fn begin(&self, request: Request<Body>) -> Begun {
        let (mut parts, body) = request.into_parts();
        let mut context = self.context(&parts);
        let method = self.methods.find(parts.uri.path());
        let mut observation = Observation::start(method.clone(), &context);
        let Admission { handler, caller, stream } = match self.admit(&mut parts, &mut context, method, &mut observation)
        {
            Ok(admission) => admission,
            Err(problem) => {
                discard(body);
                return Begun::Refused(refuse(problem, &mut observation));
            }
        };
        let guard = stream.map(|lease| StreamGuard { lease, expiry: self.expiry(context.deadline, caller.as_ref()) });
        let context = Arc::new(context);
        parts.extensions.insert(context.clone());
        let body = Body::new(LimitedBody::new(body, self.limits.message_bytes));
        let handled = handler.call(Request::from_parts(parts, body));
        Begun::Call(Call { handled, context, guard, observation })
    }

    /// Request id, trace, client address.
    fn context(&self, parts: &Parts) -> RequestContext {
        let random: [u8; 34] = self.ambient.noise();
        let (for_id, for_trace) = random.split_at(10);
        let (trace_id, span_id) = for_trace.split_at(16);
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        RequestContext {
            request_id: take_or_make_request_id(&parts.headers, &self.ambient, for_id),
            trace: TraceContext::take_or_make(&parts.headers, copied(trace_id), copied(span_id)),
            client_address: client_address(&parts.headers, peer, self.trusted_hops),
            deadline: None,
            draining: self.draining.clone(),
        }
    }

    /// Deadline, token and role, a place among the streams.
    fn admit<'a>(
        &self,
        parts: &mut Parts,
        context: &mut RequestContext,
        method: &'a Method,
        observation: &mut Observation,
    ) -> Result<Admission<'a>, Problem> {
        let timeout = take_timeout(&mut parts.headers)?;
        let longest = (!method.kind.streams_answer()).then_some(self.limits.unary_deadline);
        let timeout = match (timeout, longest) {
            (Some(timeout), Some(longest)) => Some(timeout.min(longest)),
            (timeout, longest) => timeout.or(longest),
        };
        // A deadline past what the clock can express is none.
        context.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(deadline_exceeded());
        }
        let Some(handler) = method.handler.as_deref() else {
            return Err(Problem::new(Code::Unimplemented, "METHOD_NOT_FOUND", "there is no such method here"));
        };
        let caller = self.authenticator.admit(&parts.headers, method.access)?;
        if let Some(caller) = caller {
            observation.called_by(caller.user_id);
            parts.extensions.insert(caller);
        }
        let stream = self.admit_stream(method, caller.as_ref())?;
        Ok(Admission { handler, caller, stream })
    }

    fn admit_stream(&self, method: &Method, caller: Option<&Caller>) -> Result<Option<StreamLease>, Problem> {
        if !method.kind.streams_answer() {
            return Ok(None);
        }
        let lease = self.streams.open(caller)?;
        // Asked again now that a revocation would find the stream: none can fall between the two.
        if caller.is_some_and(|caller| self.authenticator.is_revoked(caller)) {
            return Err(revoked());
        }
        Ok(Some(lease))
    }

    /// A stream ends at its deadline or with its token, whichever is earlier.
    fn expiry(&self, deadline: Option<Instant>, caller: Option<&Caller>) -> Option<Expiry> {
        let token_ends = caller.and_then(|caller| Instant::now().checked_add(self.authenticator.time_left(caller)));
        match (deadline, token_ends) {
            (Some(deadline), Some(token_ends)) if token_ends < deadline => Some(Expiry::at(token_ends, expired)),
            (Some(deadline), _) => Some(Expiry::at(deadline, deadline_exceeded)),
            (None, Some(token_ends)) => Some(Expiry::at(token_ends, expired)),
            (None, None) => None,
        }
    }
}

impl Call {
    /// Waits for the handler, within the deadline, and guards what it answers with.
    async fn answer(mut self, limit: usize) -> Response<Body> {
        let handled = AssertUnwindSafe(self.context.scope(&mut self.handled)).catch_unwind();
        let handled = match self.guard.as_mut() {
            // A stream may have to end before its handler has begun to answer.
            Some(guard) => tokio::select! {
                biased;
                problem = guard.ended() => Err(problem),
                handled = handled => Ok(handled),
            },
            None => within(self.context.deadline, handled).await,
        };
        let Self { context, guard, mut observation, .. } = self;
        let mut response = match handled {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(panicked)) => {
                return refuse(panic_guard::problem(panicked.as_ref(), &context.request_id), &mut observation);
            }
            Err(problem) => return refuse(problem, &mut observation),
        };
        response.headers_mut().insert(X_REQUEST_ID, context.request_id.0.clone());
        if normalise::is_status_only(response.headers()) {
            let outcome = normalise::normalise(response.headers_mut());
            observation.finish(outcome.code, outcome.error.as_deref());
            return response.map(|_| Body::empty());
        }
        response.map(|body| Body::new(Answer::new(body, guard, limit, context, observation)))
    }
}

async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Result<F::Output, Problem> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.map_err(|_elapsed| deadline_exceeded()),
        None => Ok(future.await),
    }
}

/// The problem of a call that took longer than its caller waits.
pub(crate) fn deadline_exceeded() -> Problem {
    Problem::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the call took longer than its deadline")
}

fn refuse(problem: Problem, observation: &mut Observation) -> Response<Body> {
    let status = Status::from(problem);
    let outcome = Outcome::of(&status);
    observation.finish(outcome.code, outcome.error.as_deref());
    let mut response = status.into_http();
    response.headers_mut().insert(X_REQUEST_ID, observation.request_id().0.clone());
    response
}

/// The caller's id if it is one that a log can take, else a new one.
pub(crate) fn take_or_make_request_id(headers: &HeaderMap, ambient: &Ambient, random: &[u8]) -> RequestId {
    let given = headers.get(X_REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID_BYTES && bytes.iter().all(u8::is_ascii_graphic)
    });
    RequestId(given.cloned().unwrap_or_else(|| {
        let milliseconds = u64::try_from(ambient.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &copied(random)).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("-"))
    }))
}

/// The first `N` bytes; what is missing is zero.
fn copied<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// A way into the layers without a socket: generated clients accept it as their channel.
///
/// Calls before the server has been bound are answered with `UNAVAILABLE`.
#[derive(Clone, Default)]
pub struct InProcess {
    stack: Arc<OnceLock<Arc<Stack>>>,
}

impl InProcess {
    /// Connects it; only the first time counts.
    pub(crate) fn connect(&self, stack: Arc<Stack>) {
        let _ = self.stack.set(stack);
    }

    /// Answers one gRPC request.
    pub(crate) fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        if let Some(stack) = self.stack.get() {
            return stack.clone().call(request).boxed();
        }
        let problem = Problem::new(Code::Unavailable, "SERVER_STARTING", "the server is not there yet");
        ready(Status::from(problem).into_http()).boxed()
    }
}

impl tower::Service<Request<Body>> for InProcess {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = NeverError<BoxFuture<'static, Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.answer(request).never_error()
    }
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

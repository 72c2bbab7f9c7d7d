//! Calls made further, to another service: in process or over a channel.

mod any;
mod remote;
mod replicas;

use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, Ready, ready};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, Role};
use time::OffsetDateTime;
use tonic::Status;
use tonic::body::Body;
use uuid::Uuid;

use crate::caller::RequestContext;
use crate::deadline;
use crate::stack::{X_REQUEST_ID, deadline_exceeded};
use crate::trace_context::TRACEPARENT;

pub use any::AnyChannel;
pub use remote::{CallRefused, RemoteChannel, RemoteError};
pub use replicas::{ReplicaChannel, ReplicaWatch};

/// How long a token of a service is good: no longer than a player's.
const TOKEN_LIFETIME: Duration = Duration::from_mins(10);

/// A token with less than this left is renewed before it is sent: calls and clocks take their time.
const RENEW_BEFORE: Duration = Duration::from_mins(3);

/// Who we are to other services: mints tokens of role `service`, and remembers the one in use.
pub struct ServiceIdentity {
    issuer: Issuer,
    role: Role,
    service_id: Uuid,
    session: Uuid,
    ambient: Ambient,
    token: RwLock<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    expires_at: OffsetDateTime,
}

impl ServiceIdentity {
    /// An identity with the id that other services see as the caller.
    #[must_use]
    pub fn new(issuer: Issuer, service_id: Uuid, ambient: Ambient) -> Arc<Self> {
        Self::with_role(Role::Service, issuer, service_id, ambient)
    }

    /// An operator's identity: its calls may do what admins may, such as making games.
    #[must_use]
    pub fn of_operator(issuer: Issuer, operator_id: Uuid, ambient: Ambient) -> Arc<Self> {
        Self::with_role(Role::Admin, issuer, operator_id, ambient)
    }

    /// A channel for generated clients that calls `inner` as this service.
    #[must_use]
    pub fn over<S>(self: &Arc<Self>, inner: S) -> ServiceChannel<S> {
        ServiceChannel { identity: self.clone(), inner }
    }

    fn with_role(role: Role, issuer: Issuer, service_id: Uuid, ambient: Ambient) -> Arc<Self> {
        Arc::new(Self { issuer, role, service_id, session: ambient.id(), ambient, token: RwLock::default() })
    }

    fn authorization(&self) -> HeaderValue {
        let now = self.ambient.now();
        let known = self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = known.filter(|token| token.expires_at - now > RENEW_BEFORE) {
            return token.header;
        }
        // Two calls at once may both mint one: either is good.
        let token = self.mint(now);
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        token.header
    }

    fn mint(&self, now: OffsetDateTime) -> Token {
        let expires_at = now + TOKEN_LIFETIME;
        let token = self.issuer.issue(&Claims {
            subject: self.service_id,
            session: self.session,
            role: self.role,
            token_id: self.ambient.id(),
            issued_at: now,
            expires_at,
        });
        // A token is base64 and dots; were it not, the call would be refused as one without a token.
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).unwrap_or(HeaderValue::from_static("Bearer"));
        header.set_sensitive(true);
        Token { header, expires_at }
    }
}

impl std::fmt::Debug for ServiceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceIdentity").field("service_id", &self.service_id).finish_non_exhaustive()
    }
}

/// A channel that adds to every call: a token of role `service`, and from the request that is being worked for its id,
/// its trace with a new span, and what is left of its deadline. A call whose deadline has passed is not sent, and
/// fails with `DEADLINE_EXCEEDED`.
#[derive(Clone, Debug)]
pub struct ServiceChannel<S> {
    identity: Arc<ServiceIdentity>,
    inner: S,
}

impl<S> ServiceChannel<S> {
    /// Fills in the headers; false if there is no time left for the call.
    fn prepare(&self, headers: &mut HeaderMap) -> bool {
        headers.insert(AUTHORIZATION, self.identity.authorization());
        RequestContext::with_current(|context| {
            headers.insert(X_REQUEST_ID, context.request_id.0.clone());
            headers.insert(TRACEPARENT, context.trace.header(self.identity.ambient.noise()));
            let Some(left) = context.time_left() else { return true };
            // A timeout that the caller of this client chose may be shorter.
            let chosen = deadline::take_timeout(headers).ok().flatten();
            headers.insert(deadline::GRPC_TIMEOUT, deadline::header(chosen.map_or(left, |chosen| chosen.min(left))));
            !left.is_zero()
        })
        .unwrap_or(true)
    }
}

impl<S> tower::Service<Request<Body>> for ServiceChannel<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if self.prepare(request.headers_mut()) {
            Either::Right(self.inner.call(request))
        } else {
            Either::Left(ready(Ok(Status::from(deadline_exceeded()).into_http())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use pkg_ambient::ManualClock;
    use pkg_auth::{JwkSet, SigningKey, Verifier};
    use tokio::time::Instant;
    use tonic::Code;
    use tower::ServiceExt;

    use super::*;
    use crate::caller::RequestId;
    use crate::trace_context::{TraceContext, TraceId};

    /// What the other service receives, mirrored.
    async fn send(identity: &Arc<ServiceIdentity>, request: Request<Body>) -> Response<Body> {
        let mirror = tower::service_fn(|request: Request<Body>| {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = request.headers().clone();
            std::future::ready(Ok::<_, Infallible>(response))
        });
        identity.over(mirror).oneshot(request).await.expect("it never fails")
    }

    fn context(deadline: Option<Instant>) -> Arc<RequestContext> {
        Arc::new(RequestContext {
            request_id: RequestId(HeaderValue::from_static("outer")),
            trace: TraceContext { trace_id: TraceId([1; 16]), span_id: [2; 8], flags: 1 },
            client_address: None,
            deadline,
            draining: Arc::default(),
        })
    }

    async fn token(identity: &Arc<ServiceIdentity>) -> String {
        let response = send(identity, Request::default()).await;
        let header = response.headers().get(AUTHORIZATION).expect("there is a token");
        header.to_str().expect("text").trim_start_matches("Bearer ").to_owned()
    }

    #[tokio::test]
    async fn a_token_is_used_again_and_renewed_long_before_it_ends() {
        let clock = ManualClock::new();
        let ambient = Ambient::with_clock(clock.clone());
        let key = SigningKey::generate([1; 32]);
        let verifier = Verifier::new(&JwkSet::new([key.public()]), "muster", "muster").expect("a key");
        let identity = ServiceIdentity::new(Issuer::new(key, "muster", "muster"), Uuid::from_u128(5), ambient.clone());

        let first = token(&identity).await;
        clock.advance(TOKEN_LIFETIME.saturating_sub(RENEW_BEFORE + Duration::from_secs(1)));
        assert_eq!(token(&identity).await, first);
        clock.advance(Duration::from_secs(1));
        let second = token(&identity).await;
        assert_ne!(second, first);

        let claims = verifier.verify(&second, ambient.now()).expect("the token is good");
        assert_eq!((claims.subject, claims.role), (Uuid::from_u128(5), Role::Service));
        assert!(verifier.verify(&first, ambient.now()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_within_a_request_takes_its_id_its_trace_and_what_is_left_of_its_deadline() {
        let issuer = Issuer::new(SigningKey::generate([1; 32]), "muster", "muster");
        let identity = ServiceIdentity::new(issuer, Uuid::from_u128(5), Ambient::system());
        let deadline = Instant::now() + Duration::from_secs(2);

        for (chosen, expected) in [(None, "2000000u"), (Some("1S"), "1000000u"), (Some("9S"), "2000000u")] {
            let mut request = Request::default();
            if let Some(chosen) = chosen {
                request.headers_mut().insert(deadline::GRPC_TIMEOUT, HeaderValue::from_static(chosen));
            }
            let response = context(Some(deadline)).scope(send(&identity, request)).await;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(header("x-request-id"), Some("outer"));
            assert!(header("traceparent").expect("a trace").starts_with("00-01010101010101010101010101010101-"));
            assert!(!header("traceparent").expect("a trace").contains("0202020202020202"));
            assert_eq!(header("grpc-timeout"), Some(expected));
        }

        tokio::time::advance(Duration::from_secs(2)).await;
        let late = context(Some(deadline)).scope(send(&identity, Request::default())).await;
        let status = Status::from_header_map(late.headers()).expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(late.headers().get(AUTHORIZATION).is_none(), "it was not sent");
    }
}

//! Calls of a tool to a server elsewhere, with a token that it was given.

use std::collections::HashMap;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

use crate::normalise::code_name;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A channel to a server elsewhere, for generated clients: every call carries the token.
#[derive(Clone)]
pub struct RemoteChannel {
    channel: Channel,
    authorization: HeaderValue,
}

/// Why a server cannot be called. No text in here contains the token.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is not one that can be called.
    #[error("{0:?} is not an address such as http://127.0.0.1:8080")]
    Address(String),
    /// The token has characters that none has.
    #[error("the token is not an access token")]
    Token,
    /// Nobody answers at the address.
    #[error("{address} does not answer")]
    Unreachable {
        /// The address.
        address: String,
        /// What the system says.
        #[source]
        source: tonic::transport::Error,
    },
}

/// A call that a server refused, as its status says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CallRefused {
    /// The gRPC code: `"INVALID_ARGUMENT"`.
    pub code: &'static str,
    /// The stable reason: `"INVALID_FIELD"`; empty if what answers is no Muster.
    pub reason: String,
    /// Words for a person.
    pub message: String,
    /// The fields that are not acceptable, and why not.
    pub fields: Vec<(String, String)>,
    /// Facts for programs.
    pub metadata: HashMap<String, String>,
}

impl RemoteChannel {
    /// Connects to a server: `http://host:port`.
    pub async fn connect(address: &str, token: &str) -> Result<Self, RemoteError> {
        let not_one = || RemoteError::Address(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| not_one())?;
        // Without a scheme it would be taken for a path.
        if uri.scheme() != Some(&Scheme::HTTP) || uri.authority().is_none() {
            return Err(not_one());
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| RemoteError::Token)?;
        authorization.set_sensitive(true);
        let endpoint = Endpoint::from(uri).connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
        let unreachable = |source| RemoteError::Unreachable { address: address.to_owned(), source };
        Ok(Self { channel: endpoint.connect().await.map_err(unreachable)?, authorization })
    }
}

impl fmt::Debug for RemoteChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteChannel").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl tower::Service<Request<Body>> for RemoteChannel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as tower::Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        tower::Service::poll_ready(&mut self.channel, cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        tower::Service::call(&mut self.channel, request)
    }
}

impl fmt::Display for CallRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.reason.is_empty() { self.code } else { &self.reason };
        write!(f, "{} ({reason})", self.message)
    }
}

impl From<Status> for CallRefused {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        Self {
            code: code_name(status.code()),
            reason,
            message: status.message().to_owned(),
            fields: violations.into_iter().map(|violation| (violation.field, violation.description)).collect(),
            metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    #[test]
    fn a_status_is_read_with_its_fields() {
        let problem = Problem::invalid_field("game.key", "is missing").field("game.name", "is long").metadata("a", "b");
        let refused = CallRefused::from(Status::from(problem));
        assert_eq!((refused.code, refused.reason.as_str()), ("INVALID_ARGUMENT", "INVALID_FIELD"));
        let field = |name: &str, problem: &str| (name.to_owned(), problem.to_owned());
        assert_eq!(refused.fields, [field("game.key", "is missing"), field("game.name", "is long")]);
        assert_eq!(refused.metadata["a"], "b");

        let foreign = CallRefused::from(Status::unavailable("no healthy upstream"));
        assert_eq!(foreign.to_string(), "no healthy upstream (UNAVAILABLE)");
    }

    #[tokio::test]
    async fn addresses_and_tokens_are_checked_before_anything_is_sent() {
        for address in ["", "127.0.0.1:8080", "https://example.com", "ftp://example.com", "http://", "http://a b"] {
            let error = RemoteChannel::connect(address, "token").await.expect_err("it is no address");
            assert!(matches!(error, RemoteError::Address(_)), "{address}");
        }
        let error = RemoteChannel::connect("http://127.0.0.1:1", "sesame\n").await.expect_err("it is no token");
        assert!(matches!(error, RemoteError::Token) && !format!("{error:?} {error}").contains("sesame"));
    }
}

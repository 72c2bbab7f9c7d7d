//! A way to another service, whatever it leads over.

use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::BoxError;
use tower::util::{BoxCloneSyncService, ServiceExt};

/// A channel for generated clients, in process or over a network: whatever was wired.
#[derive(Clone)]
pub struct AnyChannel(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl AnyChannel {
    /// Goes over another channel. Between services that is a [`ServiceChannel`](super::ServiceChannel), which says who calls.
    pub fn new<S>(channel: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(channel.map_err(Into::into)))
    }
}

impl tower::Service<Request<Body>> for AnyChannel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future =
        <BoxCloneSyncService<Request<Body>, Response<Body>, BoxError> as tower::Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

impl fmt::Debug for AnyChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyChannel").finish_non_exhaustive()
    }
}

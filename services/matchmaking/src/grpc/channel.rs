//! The way to the game service.

use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::BoxError;
use tower::util::{BoxCloneSyncService, ServiceExt};

/// A channel to the game service for generated clients, in process or over a network: whatever was wired.
#[derive(Clone)]
pub struct GameChannel(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl GameChannel {
    /// Goes over another channel, which must say who calls: a `pkg_middleware::ServiceChannel`.
    pub fn new<S>(channel: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(channel.map_err(Into::into)))
    }
}

impl tower::Service<Request<Body>> for GameChannel {
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

impl fmt::Debug for GameChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GameChannel").finish_non_exhaustive()
    }
}

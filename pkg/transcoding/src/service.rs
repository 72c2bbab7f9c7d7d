//! The service that stands before the gRPC services.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tonic::codegen::StdError;
use tower::Service;

use crate::routes::{BodyRule, Lookup, Route, RouteError, RouteTable};
use crate::status::Refusal;
use crate::{body, request, response};

/// The largest body of a request unless [`Transcoder::with_body_limit`] says otherwise, in bytes.
pub const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// The JSON routes of some gRPC services. Clones share them.
#[derive(Debug, Clone)]
pub struct Transcoder {
    pool: DescriptorPool,
    routes: Arc<RouteTable>,
    body_limit: usize,
}

impl Transcoder {
    /// The routes of the services with these full names, read from their `google.api.http` annotations.
    ///
    /// The pool must come from bytes that still have the options (prost's own descriptor types drop them), and should
    /// have `google/rpc/error_details.proto`: details of errors whose type it does not know are left out.
    pub fn new<'s>(pool: DescriptorPool, services: impl IntoIterator<Item = &'s str>) -> Result<Self, RouteError> {
        let routes = Arc::new(RouteTable::build(&pool, services)?);
        Ok(Self { pool, routes, body_limit: DEFAULT_BODY_LIMIT })
    }

    /// Takes request bodies of up to this many bytes; larger ones are answered with 413.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        Self { body_limit: bytes, ..self }
    }

    /// A service that answers JSON requests by calling `inner`, which serves the gRPC methods.
    pub fn layer_over<S>(&self, inner: S) -> TranscodingService<S> {
        TranscodingService { transcoder: self.clone(), inner }
    }

    async fn to_grpc<B>(&self, request: Request<B>) -> Result<(Arc<Route>, Request<Body>), Refusal>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<StdError>,
    {
        let (head, body) = request.into_parts();
        let (route, path) = match self.routes.find(&head.method, head.uri.path()) {
            Lookup::Found(route, path) => (route, path),
            Lookup::WrongMethod(allow) => return Err(Refusal::WrongMethod { allow }),
            Lookup::NoPath => return Err(Refusal::NoPath),
        };
        let json = match route.body {
            BodyRule::Ignored => Bytes::new(),
            BodyRule::Message | BodyRule::Field(_) => body::read(body, &head.headers, self.body_limit).await?,
        };
        let message = request::message(&route, &path, head.uri.query().unwrap_or_default(), &json)?;
        let request = request::grpc(&route, head, &message);
        Ok((route, request))
    }
}

/// A [`Transcoder`] over the services that it calls. Always answers, in JSON. Needs a Tokio runtime with timers.
#[derive(Debug, Clone)]
pub struct TranscodingService<S> {
    transcoder: Transcoder,
    inner: S,
}

impl<S, B> Service<Request<B>> for TranscodingService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let transcoder = self.transcoder.clone();
        // The one that is ready is the one to call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (route, request) = match transcoder.to_grpc(request).await {
                Ok(request) => request,
                Err(refusal) => return Ok(refusal.into_response(&transcoder.pool)),
            };
            let response = inner.call(request).await?;
            Ok(response::http(&transcoder.pool, &route, response).await)
        })
    }
}

//! What arrives at the port: told apart by content type, and brought to the gRPC layers.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, NeverError};
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, ORIGIN};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use pkg_ambient::Ambient;
use pkg_transcoding::TranscodingService;
use tonic::Code;
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::admin::Admin;
use crate::pages::Pages;
use crate::refusal::refusal;
use crate::settings::{Cors, SettingError};
use crate::stack::{InProcess, X_REQUEST_ID, take_or_make_request_id};

const GRPC: &str = "application/grpc";
const GRPC_WEB: &str = "application/grpc-web";
const GRPC_WEB_TEXT: &str = "application/grpc-web-text";

/// How long a browser may keep what it was told about another origin.
const CORS_MAX_AGE: Duration = Duration::from_hours(2);

/// Everything that is served at one port. Clones share it.
#[derive(Clone)]
pub(crate) struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    /// The API; an admin port has none.
    api: Option<Api>,
    admin: Option<Arc<Admin>>,
    cors: Option<CorsLayer>,
    ambient: Ambient,
}

pub(crate) struct Api {
    grpc: InProcess,
    web: GrpcWebService<InProcess>,
    json: Option<TranscodingService<InProcess>>,
    pages: Pages,
    /// How long a JSON request may take in all, its body included.
    json_deadline: Duration,
}

/// What a request is, by its content type.
enum Protocol {
    Grpc,
    GrpcWeb { is_text: bool },
    OtherGrpc,
    Http,
}

impl Api {
    pub(crate) fn new(
        grpc: InProcess,
        json: Option<TranscodingService<InProcess>>,
        pages: Pages,
        json_deadline: Duration,
    ) -> Self {
        Self { web: GrpcWebLayer::new().layer(grpc.clone()), grpc, json, pages, json_deadline }
    }

    fn call_grpc(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        if request.method() != Method::POST {
            return ready(method_not_allowed("POST", "gRPC is always a POST")).boxed();
        }
        if request.version() != Version::HTTP_2 {
            let message = "gRPC needs HTTP/2; HTTP/1.1 can do gRPC-Web and JSON";
            let version = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            return ready(refusal(version, Code::Unimplemented, "HTTP2_NEEDED", message)).boxed();
        }
        self.grpc.answer(request)
    }

    /// tonic-web knows exactly four content types, and answers in text only if `accept` says so.
    async fn call_web(&self, mut request: Request<Body>, is_text: bool) -> Response<Body> {
        if request.method() != Method::POST {
            return method_not_allowed("POST", "gRPC-Web is always a POST");
        }
        let content_type = HeaderValue::from_static(if is_text { GRPC_WEB_TEXT } else { GRPC_WEB });
        request.headers_mut().insert(ACCEPT, content_type.clone());
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        answer(self.web.clone(), request).await
    }

    async fn call_json(&self, json: TranscodingService<InProcess>, request: Request<Body>) -> Response<Body> {
        tokio::time::timeout(self.json_deadline, answer(json, request)).await.unwrap_or_else(|_elapsed| {
            let message = "the request took too long to arrive";
            refusal(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message)
        })
    }
}

impl Edge {
    pub(crate) fn new(api: Option<Api>, admin: Option<Arc<Admin>>, cors: Option<CorsLayer>, ambient: Ambient) -> Self {
        Self { shared: Arc::new(Shared { api, admin, cors, ambient }) }
    }

    /// Answers a request. Calls by gRPC, of which there are most, do without whatever the others need.
    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        match &self.shared.api {
            Some(api) if matches!(protocol(&request), Protocol::Grpc) && !self.is_cross_origin(&request) => {
                api.call_grpc(request)
            }
            _ => self.clone().answer_any(request).boxed(),
        }
    }

    async fn answer_any(self, request: Request<Body>) -> Response<Body> {
        match &self.shared.cors {
            Some(cors) if self.is_cross_origin(&request) => {
                let route = service_fn(|request| async { Ok::<_, Infallible>(self.route(request).await) });
                answer(cors.layer(route), request).await
            }
            _ => self.route(request).await,
        }
    }

    /// Only pages of other origins need the headers; everything else is spared the cost.
    fn is_cross_origin(&self, request: &Request<Body>) -> bool {
        self.shared.cors.is_some() && request.headers().contains_key(ORIGIN)
    }

    async fn route(&self, request: Request<Body>) -> Response<Body> {
        let Some(api) = &self.shared.api else { return self.answer_http(request).await };
        match protocol(&request) {
            Protocol::Grpc => api.call_grpc(request).await,
            Protocol::GrpcWeb { is_text } => api.call_web(request, is_text).await,
            Protocol::OtherGrpc | Protocol::Http => self.answer_http(request).await,
        }
    }

    /// Admin, pages, JSON, and what nobody serves.
    async fn answer_http(&self, mut request: Request<Body>) -> Response<Body> {
        let request_id =
            take_or_make_request_id(request.headers(), &self.shared.ambient, &self.shared.ambient.noise::<10>());
        // The layers take it from the header, so that a JSON call has one id from end to end.
        request.headers_mut().insert(X_REQUEST_ID, request_id.0.clone());
        let mut response = self.find_http(request).await;
        response.headers_mut().insert(X_REQUEST_ID, request_id.0);
        response
    }

    async fn find_http(&self, request: Request<Body>) -> Response<Body> {
        let admin = self.shared.admin.as_ref();
        if let Some(response) = admin.and_then(|admin| admin.answer(request.method(), request.uri().path())) {
            return response;
        }
        let is_grpc = matches!(protocol(&request), Protocol::OtherGrpc);
        let Some(api) = &self.shared.api else { return not_found() };
        if let Some(response) = api.pages.answer(&request) {
            return response;
        }
        match &api.json {
            Some(json) if !is_grpc => api.call_json(json.clone(), request).await,
            _ if is_grpc || request.method() == Method::POST => refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Code::Unimplemented,
                "CONTENT_TYPE_NOT_SUPPORTED",
                "this port takes gRPC and gRPC-Web with protobuf messages",
            ),
            _ => not_found(),
        }
    }
}

/// The edge with the peer of one connection.
#[derive(Clone)]
pub(crate) struct ConnectionEdge {
    pub(crate) edge: Edge,
    pub(crate) peer: crate::client_address::Peer,
}

impl hyper::service::Service<Request<hyper::body::Incoming>> for ConnectionEdge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = NeverError<BoxFuture<'static, Response<Body>>>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        self.edge.answer(request).never_error()
    }
}

/// Calls a service that never fails.
async fn answer<S>(service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match service.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn protocol(request: &Request<Body>) -> Protocol {
    let Some(content_type) = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Protocol::Http;
    };
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence).trim_end();
    let Some(rest) = strip_prefix_ignoring_case(essence, GRPC) else { return Protocol::Http };
    match rest.to_ascii_lowercase().as_str() {
        "" | "+proto" => Protocol::Grpc,
        "-web" | "-web+proto" => Protocol::GrpcWeb { is_text: false },
        "-web-text" | "-web-text+proto" => Protocol::GrpcWeb { is_text: true },
        _ => Protocol::OtherGrpc,
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn not_found() -> Response<Body> {
    refusal(StatusCode::NOT_FOUND, Code::NotFound, "PATH_NOT_FOUND", "there is nothing at this path")
}

fn method_not_allowed(allowed: &'static str, message: &str) -> Response<Body> {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, "HTTP_METHOD_NOT_ALLOWED", message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// What pages of other origins are told; nothing if none may call.
pub(crate) fn cors_layer(cors: &Cors) -> Result<Option<CorsLayer>, SettingError> {
    let origins = match cors {
        Cors::None => return Ok(None),
        Cors::Any => AllowOrigin::any(),
        Cors::Origins(origins) => {
            AllowOrigin::list(origins.iter().map(|origin| parse_origin(origin)).collect::<Result<Vec<_>, _>>()?)
        }
    };
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(
            [
                "authorization",
                "content-type",
                "x-grpc-web",
                "x-user-agent",
                "grpc-timeout",
                "x-request-id",
                "traceparent",
            ]
            .map(name),
        )
        .expose_headers(["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"].map(name))
        .max_age(CORS_MAX_AGE);
    Ok(Some(layer))
}

/// An origin as a browser sends it: a scheme and an authority, nothing after.
fn parse_origin(origin: &str) -> Result<HeaderValue, SettingError> {
    let refuse =
        || SettingError { setting: "cors", reason: format!("{origin:?} is not an origin like https://example.com") };
    let (scheme, authority) = origin.split_once("://").ok_or_else(refuse)?;
    let is_origin = !scheme.is_empty()
        && !authority.is_empty()
        && !authority.contains(['/', '*', '?', '#', '@'])
        && origin.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    if is_origin { HeaderValue::from_str(origin).map_err(|_| refuse()) } else { Err(refuse()) }
}

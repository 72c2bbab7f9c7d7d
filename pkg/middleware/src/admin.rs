//! The paths for operators and machines: metrics, liveness, readiness, keys.

use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL};
use http::{HeaderValue, Method, Response, StatusCode};
use tonic::Code;
use tonic::body::Body;

use crate::readiness::Readiness;
use crate::refusal::{refusal, text};

/// How long others may keep the keys; a new key is published for longer than that before it signs.
const JWKS_CACHE: &str = "public, max-age=300";

/// Renders the metrics of the process in Prometheus' text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers the admin paths.
pub(crate) struct Admin {
    pub(crate) metrics: RenderMetrics,
    pub(crate) jwks: String,
    pub(crate) readiness: Arc<Readiness>,
}

impl Admin {
    /// The answer, if the path is one of ours.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        let answer: fn(&Self) -> Response<Body> = match path {
            "/metrics" => Self::metrics,
            "/healthz" => |_| uncached(text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")),
            "/readyz" => Self::readyz,
            "/.well-known/jwks.json" => Self::jwks,
            _ => return None,
        };
        if method != Method::GET && method != Method::HEAD {
            let mut response = refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::Unimplemented,
                "HTTP_METHOD_NOT_ALLOWED",
                "this path is only read",
            );
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        Some(answer(self))
    }

    fn metrics(&self) -> Response<Body> {
        uncached(text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", (self.metrics)()))
    }

    fn readyz(&self) -> Response<Body> {
        let report = self.readiness.report();
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        uncached(text(status, "application/json", report.json.to_string()))
    }

    fn jwks(&self) -> Response<Body> {
        let mut response = text(StatusCode::OK, "application/jwk-set+json", self.jwks.clone());
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE));
        response
    }
}

fn uncached(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! Answers to requests that are no RPC: JSON in the shape of `google.rpc.Status`, as transcoding gives it.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tonic::Code;
use tonic::body::Body;

use crate::problem::ERROR_DOMAIN;

/// A JSON error with a stable reason.
pub(crate) fn refusal(http: StatusCode, code: Code, reason: &str, message: &str) -> Response<Body> {
    let status = serde_json::json!({
        "code": code as i32,
        "message": message,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": ERROR_DOMAIN,
        }],
    });
    let mut response = text(http, "application/json", status.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer with this text.
pub(crate) fn text(http: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(text.into())));
    *response.status_mut() = http;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

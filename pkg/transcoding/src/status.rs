//! Errors as JSON: those of the services, and those found here.

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::Any;
use serde::Serialize;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt, pb};

use crate::{fields, headers, response};

/// The domain of the reasons given here.
const DOMAIN: &str = "muster";

/// How much of a name that a client sent is sent back to it, in characters.
const MAX_ECHO: usize = 200;

/// Why a request does not reach a service, or its answer does not reach the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is nothing at this path")]
    NoPath,
    #[error("this path does not take this method")]
    WrongMethod { allow: HeaderValue },
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body took too long to arrive")]
    BodyTimeout,
    #[error("the body broke off")]
    BodyUnreadable,
    #[error("the body must be JSON in UTF-8, not compressed")]
    NotJson,
    #[error("the body is not JSON: line {line}, column {column}")]
    MalformedJson { line: usize, column: usize },
    #[error("the field `{}` is not valid", echo(field))]
    InvalidField { field: String, description: String },
    #[error("the query parameter `{}` is not valid", echo(field))]
    InvalidParameter { field: String, description: String },
    #[error("the answer of the service cannot be read")]
    BrokenAnswer,
}

impl Refusal {
    fn code(&self) -> Code {
        match self {
            Self::NoPath => Code::NotFound,
            Self::WrongMethod { .. } => Code::Unimplemented,
            Self::BodyTimeout => Code::DeadlineExceeded,
            Self::BrokenAnswer => Code::Internal,
            Self::BodyTooLarge { .. }
            | Self::BodyUnreadable
            | Self::NotJson
            | Self::MalformedJson { .. }
            | Self::InvalidField { .. }
            | Self::InvalidParameter { .. } => Code::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoPath => "ROUTE_NOT_FOUND",
            Self::WrongMethod { .. } => "METHOD_NOT_ALLOWED",
            Self::BodyTooLarge { .. } => "BODY_TOO_LARGE",
            Self::BodyTimeout => "BODY_TIMEOUT",
            Self::BodyUnreadable => "BODY_UNREADABLE",
            Self::NotJson => "UNSUPPORTED_CONTENT_TYPE",
            Self::MalformedJson { .. } => "MALFORMED_JSON",
            Self::InvalidField { .. } | Self::InvalidParameter { .. } => "INVALID_FIELD",
            Self::BrokenAnswer => "INVALID_RESPONSE",
        }
    }

    /// Where HTTP has a better word than the code of gRPC.
    fn http_status(&self) -> StatusCode {
        match self {
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => http_status(self.code()),
        }
    }

    pub(crate) fn to_status(&self) -> Status {
        let mut metadata = HashMap::new();
        let mut details = ErrorDetails::new();
        if let Self::InvalidField { field, description } | Self::InvalidParameter { field, description } = self {
            metadata.insert("field".to_owned(), echo(field));
            details.add_bad_request_violation(echo(field), echo(description));
        }
        details.set_error_info(self.reason(), DOMAIN, metadata);
        Status::with_error_details(self.code(), self.to_string(), details)
    }

    pub(crate) fn into_response(self, pool: &DescriptorPool) -> Response<Body> {
        let mut response = error(pool, &self.to_status(), HeaderMap::new());
        *response.status_mut() = self.http_status();
        if let Self::WrongMethod { allow } = self {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

/// The HTTP response to a call that failed; `headers` are those of the service.
pub(crate) fn error(pool: &DescriptorPool, status: &Status, headers: HeaderMap) -> Response<Body> {
    let mut headers = headers::of_response(headers);
    if status.code() == Code::Unauthenticated {
        headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after(status) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    let body = serde_json::to_vec(&json(pool, status)).unwrap_or_default();
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    *response.status_mut() = http_status(status.code());
    *response.headers_mut() = headers;
    response
}

/// A `google.rpc.Status` as JSON has it.
#[derive(Debug, Serialize)]
pub(crate) struct JsonStatus<'s> {
    code: i32,
    message: &'s str,
    details: Vec<serde_json::Value>,
}

/// The status with those of its details whose types the pool knows.
pub(crate) fn json<'s>(pool: &DescriptorPool, status: &'s Status) -> JsonStatus<'s> {
    let details = details(status).iter().filter_map(|detail| json_detail(pool, detail)).collect();
    JsonStatus { code: status.code().into(), message: status.message(), details }
}

/// The HTTP status of a code, as `google/rpc/code.proto` has it.
pub(crate) fn http_status(code: Code) -> StatusCode {
    let status = match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The code for a response that is not gRPC at all, as gRPC maps HTTP statuses.
pub(crate) fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

fn details(status: &Status) -> Vec<Any> {
    pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default()
}

fn json_detail(pool: &DescriptorPool, detail: &Any) -> Option<serde_json::Value> {
    let (_, name) = detail.type_url.rsplit_once('/')?;
    let descriptor = pool.get_message_by_name(name)?;
    let is_well_known = fields::is_well_known(&descriptor);
    let message = DynamicMessage::decode(descriptor, detail.value.as_slice()).ok()?;
    let mut json = message.serialize_with_options(serde_json::value::Serializer, &response::JSON).ok()?;
    if is_well_known {
        return Some(serde_json::json!({ "@type": detail.type_url, "value": json }));
    }
    json.as_object_mut()?.insert("@type".to_owned(), detail.type_url.clone().into());
    Some(json)
}

/// Seconds, rounded up.
fn retry_after(status: &Status) -> Option<u64> {
    let details = details(status);
    let detail = details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = pb::RetryInfo::decode(detail.value.as_slice()).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    Some(seconds.saturating_add(u64::from(delay.nanos > 0)))
}

fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}

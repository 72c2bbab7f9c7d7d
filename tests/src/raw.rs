//! Calls by their bytes, such as no generated client would make.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::ServiceExt;

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a message; what comes after it was not waited for.
    Message,
    /// Without one, with a status, which may be OK.
    Status(Status),
}

impl Outcome {
    /// The code of the call: a message counts as OK.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Message => Code::Ok,
            Self::Status(status) => status.code(),
        }
    }
}

/// A message with its length before it, as gRPC sends it.
///
/// # Panics
/// If it has 4 GiB or more.
#[must_use]
pub fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a message is shorter than 4 GiB"));
    frame.put_slice(message);
    frame.freeze()
}

/// A body of these bytes.
#[must_use]
pub fn body(bytes: Bytes) -> Body {
    Body::new(Full::new(bytes))
}

/// Calls a method of gRPC with this body, and reads the answer up to its first message or its status.
pub async fn call_grpc(channel: &Channel, path: &str, token: Option<&str>, body: Body) -> Outcome {
    call_grpc_within(None, channel, path, token, body).await
}

/// As [`call_grpc`], with a deadline as gRPC writes it.
pub async fn call_grpc_within(
    timeout: Option<&str>,
    channel: &Channel,
    path: &str,
    token: Option<&str>,
    body: Body,
) -> Outcome {
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let response = send(channel, request, token, body).await;
    let (head, mut body) = response.into_parts();
    assert_eq!(head.status, StatusCode::OK, "{path}: every answer of gRPC is 200");
    if let Some(status) = read_status(&head.headers) {
        return Outcome::Status(status);
    }
    while let Some(frame) = body.frame().await {
        match frame.unwrap_or_else(|error| panic!("{path}: the answer broke off: {error:?}")).into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(_) => return Outcome::Message,
            Err(frame) => {
                let trailers = frame.into_trailers().expect("what is no data is trailers");
                return Outcome::Status(read_status(&trailers).expect("trailers have a status"));
            }
        }
    }
    panic!("{path}: an answer without a status");
}

/// Makes a request and reads the whole answer.
pub async fn call_http(
    channel: &Channel,
    request: http::request::Builder,
    token: Option<&str>,
    body: Body,
) -> (StatusCode, Bytes) {
    let response = send(channel, request, token, body).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap_or_else(|error| panic!("the answer broke off: {error:?}"));
    (status, body.to_bytes())
}

async fn send(
    channel: &Channel,
    mut request: http::request::Builder,
    token: Option<&str>,
    body: Body,
) -> Response<Body> {
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(body).expect("the request is well-formed");
    let uri = request.uri().clone();
    let answer = channel.clone().oneshot(request).await;
    answer.unwrap_or_else(|error| panic!("{uri} was not answered: {error:?}"))
}

fn read_status(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

//! From the gRPC response of a service to the HTTP response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::Serialize;
use serde_json::value::RawValue;
use tonic::Status;
use tonic::body::Body;

use crate::headers;
use crate::routes::Route;
use crate::status::{self, JsonStatus, Refusal};

/// How messages are printed: with fields that have their default value, as Envoy's `always_print_primitive_fields`.
pub(crate) const JSON: SerializeOptions = SerializeOptions::new().skip_default_fields(false);

/// The largest message of a service that is turned into JSON, in bytes.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Flag and length before each message.
const PREFIX_BYTES: usize = 5;

/// The response to a client, from that of the service.
pub(crate) async fn http(pool: &DescriptorPool, route: &Arc<Route>, response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let mut answer = match Status::from_header_map(&head.headers) {
        Some(status) if status.code() != tonic::Code::Ok => status::error(pool, &status, head.headers),
        None if !head.status.is_success() => {
            let status = Status::new(status::code_of(head.status), "the service answered without a gRPC status");
            status::error(pool, &status, head.headers)
        }
        _ if route.method.is_server_streaming() => stream(pool, route, head.headers, body),
        _ => unary(pool, route, head.headers, body).await,
    };
    *answer.extensions_mut() = head.extensions;
    answer
}

async fn unary(pool: &DescriptorPool, route: &Route, mut headers: HeaderMap, mut body: Body) -> Response<Body> {
    let mut messages = Messages::default();
    let mut message = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(status) => return status::error(pool, &status, headers),
        };
        match frame.into_data().map_err(Frame::into_trailers) {
            Ok(data) => messages.push(&data),
            Err(Ok(trailers)) => headers.extend(trailers),
            Err(Err(_)) => {}
        }
        match messages.next() {
            Ok(None) => {}
            Ok(next) if message.is_none() => message = next,
            Ok(Some(_)) | Err(_) => return broken(pool, route, headers),
        }
    }
    let Some(status) = Status::from_header_map(&headers) else { return broken(pool, route, headers) };
    if status.code() != tonic::Code::Ok {
        return status::error(pool, &status, headers);
    }
    let json = message.filter(|_| messages.is_drained()).map(|message| to_json(route, message));
    let Some(Ok(json)) = json else { return broken(pool, route, headers) };

    let mut response = Response::new(Body::new(Full::new(Bytes::from(json))));
    *response.headers_mut() = headers::of_response(headers);
    response
}

fn stream(pool: &DescriptorPool, route: &Arc<Route>, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut lines = Lines {
        pool: pool.clone(),
        route: Arc::clone(route),
        body,
        messages: Messages::default(),
        is_over: Status::from_header_map(&headers).is_some(),
    };
    // Headers do not wait for the first message, which may be a long time coming; but a call that has failed already
    // deserves a status of its own.
    let mut now = Context::from_waker(std::task::Waker::noop());
    let first = match lines.poll_line(&mut now) {
        Poll::Ready(Some(Err(status))) => return status::error(pool, &status, headers),
        Poll::Ready(Some(Ok(line))) => Some(line),
        Poll::Ready(None) | Poll::Pending => None,
    };
    let mut response = Response::new(Body::new(Ndjson { first, lines }));
    *response.headers_mut() = headers::of_response(headers);
    response
}

fn broken(pool: &DescriptorPool, route: &Route, headers: HeaderMap) -> Response<Body> {
    status::error(pool, &broken_status(route), headers)
}

fn broken_status(route: &Route) -> Status {
    tracing::error!(method = route.method.full_name(), "the answer of a service is no message of its method");
    Refusal::BrokenAnswer.to_status()
}

/// An answer that is not what gRPC or the descriptors say.
#[derive(Debug)]
struct Broken;

fn to_json(route: &Route, message: Bytes) -> Result<Vec<u8>, Broken> {
    let mut message = DynamicMessage::decode(route.method.output(), message).map_err(|_| Broken)?;
    let mut json = Vec::new();
    if let Some(field) = &route.response_body {
        // Set even if it is not, so that it is printed.
        let value = message.get_field(field).into_owned();
        message.try_set_field(field, value).map_err(|_| Broken)?;
    }
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &JSON).map_err(|_| Broken)?;
    let Some(field) = &route.response_body else { return Ok(json) };
    let mut fields: std::collections::HashMap<String, &RawValue> = serde_json::from_slice(&json).map_err(|_| Broken)?;
    let field = fields.remove(field.json_name()).ok_or(Broken)?;
    Ok(field.get().as_bytes().to_vec())
}

/// The messages in the frames of a body.
#[derive(Debug, Default)]
struct Messages {
    buffer: BytesMut,
}

impl Messages {
    fn push(&mut self, data: &Bytes) {
        self.buffer.extend_from_slice(data);
    }

    /// The next message, once it is complete.
    fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some((flag, length)) = self.buffer.split_first_chunk::<PREFIX_BYTES>().map(|(prefix, _)| {
            let [flag, length @ ..] = *prefix;
            (flag, u32::from_be_bytes(length))
        }) else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| Broken)?;
        // Nobody asked for compression.
        if flag != 0 || length > MAX_MESSAGE_BYTES {
            return Err(Broken);
        }
        if self.buffer.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn is_drained(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// The messages of a stream as lines of JSON, and its status if it failed.
struct Lines {
    pool: DescriptorPool,
    route: Arc<Route>,
    body: Body,
    messages: Messages,
    is_over: bool,
}

impl Lines {
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        while !self.is_over {
            match self.messages.next() {
                Ok(Some(message)) => return Poll::Ready(Some(self.line(message))),
                Ok(None) => {}
                Err(Broken) => return Poll::Ready(Some(Err(self.fail()))),
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(status)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => return Poll::Ready(Some(Err(self.fail()))),
            };
            match frame.into_data().map_err(Frame::into_trailers) {
                Ok(data) => self.messages.push(&data),
                Err(Ok(trailers)) => return Poll::Ready(self.end(&trailers).err().map(Err)),
                Err(Err(_)) => {}
            }
        }
        Poll::Ready(None)
    }

    fn line(&mut self, message: Bytes) -> Result<Bytes, Status> {
        let mut line = to_json(&self.route, message).map_err(|Broken| self.fail())?;
        line.push(b'\n');
        Ok(line.into())
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Status> {
        self.is_over = true;
        match Status::from_header_map(trailers) {
            Some(status) if status.code() != tonic::Code::Ok => Err(status),
            Some(_) if self.messages.is_drained() => Ok(()),
            _ => Err(self.fail()),
        }
    }

    fn fail(&mut self) -> Status {
        self.is_over = true;
        broken_status(&self.route)
    }
}

/// The body of a streamed answer; trailers become a last line.
struct Ndjson {
    first: Option<Bytes>,
    lines: Lines,
}

impl http_body::Body for Ndjson {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(line) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(line))));
        }
        let line = match ready!(this.lines.poll_line(context)) {
            None => return Poll::Ready(None),
            Some(Ok(line)) => line,
            Some(Err(status)) => last_line(&this.lines.pool, &status),
        };
        Poll::Ready(Some(Ok(Frame::data(line))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.lines.is_over
    }
}

/// The line that tells why a stream broke off.
#[derive(Serialize)]
struct LastLine<'s> {
    error: JsonStatus<'s>,
}

fn last_line(pool: &DescriptorPool, status: &Status) -> Bytes {
    let mut line = serde_json::to_vec(&LastLine { error: status::json(pool, status) }).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

//! The whole way, from an HTTP request to an HTTP response, over services written by hand.

mod properties;
mod requests;
mod responses;
mod routing;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt, service_fn};

use crate::request::frame;
use crate::{RouteError, Transcoder};

/// What a service was sent.
struct Call {
    head: http::request::Parts,
    message: DynamicMessage,
}

/// What came back to the client.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason in the `ErrorInfo`.
    fn reason(&self) -> String {
        let json = self.json();
        let info = detail(&json, "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(info["domain"], "muster");
        assert_eq!(self.headers["content-type"], "application/json");
        info["reason"].as_str().unwrap().to_owned()
    }

    /// The field of the first violation.
    fn violation(&self) -> String {
        let json = self.json();
        let request = detail(&json, "type.googleapis.com/google.rpc.BadRequest");
        request["fieldViolations"][0]["field"].as_str().unwrap().to_owned()
    }
}

fn detail<'j>(status: &'j Json, kind: &str) -> &'j Json {
    let details = status["details"].as_array().unwrap();
    details.iter().find(|detail| detail["@type"] == kind).unwrap_or_else(|| panic!("no {kind} in {status}"))
}

/// A body whose frames come when the test sends them.
struct Script(mpsc::UnboundedReceiver<Result<Frame<Bytes>, Status>>);

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(ready!(self.0.poll_recv(cx)))
    }
}

fn script() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>, Response<Body>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Response::new(Body::new(Script(receiver))))
}

fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).unwrap();
    Frame::trailers(trailers)
}

/// A gRPC response with these messages and this status in its trailers.
fn answer(messages: &[DynamicMessage], status: &Status) -> Response<Body> {
    let (sender, response) = script();
    for message in messages {
        sender.send(Ok(Frame::data(frame(message)))).unwrap();
    }
    sender.send(Ok(trailers(status))).unwrap();
    response
}

fn echo(call: Call) -> Response<Body> {
    answer(&[call.message], &Status::new(Code::Ok, ""))
}

fn compile(directory: &std::path::Path, file: &str) -> DescriptorPool {
    let mut compiler = protox::Compiler::new([directory, std::path::Path::new("../../proto/third_party")]).unwrap();
    compiler.include_imports(true).open_file(file).unwrap_or_else(|error| panic!("{error:?}"));
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| compile(std::path::Path::new("src/tests"), "library.proto"));
    &POOL
}

fn everything() -> MessageDescriptor {
    pool().get_message_by_name("test.v1.Everything").unwrap()
}

fn message(json: &Json) -> DynamicMessage {
    DynamicMessage::deserialize(everything(), json).unwrap()
}

fn transcoder() -> &'static Transcoder {
    static TRANSCODER: LazyLock<Transcoder> =
        LazyLock::new(|| Transcoder::new(pool().clone(), ["test.v1.Library"]).unwrap());
    &TRANSCODER
}

fn service(
    transcoder: &Transcoder,
    serve: impl Fn(Call) -> Response<Body> + Clone + Send + 'static,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone {
    transcoder.layer_over(service_fn(move |request: Request<Body>| {
        let serve = serve.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let method = head.uri.path().rsplit_once('/').unwrap().1.to_owned();
            let service = pool().get_service_by_name("test.v1.Library").unwrap();
            assert!(service.methods().any(|known| known.name() == method));
            assert_eq!(body[0], 0);
            assert_eq!(u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize, body.len() - 5);
            let message = DynamicMessage::decode(everything(), &body[5..]).unwrap();
            Ok::<_, Infallible>(serve(Call { head, message }))
        }
    }))
}

async fn collect(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn send(
    request: Request<Full<Bytes>>,
    serve: impl Fn(Call) -> Response<Body> + Clone + Send + 'static,
) -> Answer {
    let Ok(response) = service(transcoder(), serve).oneshot(request).await;
    collect(response).await
}

fn request(method: &str, uri: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(uri).body(Full::new(body.into())).unwrap()
}

async fn get(uri: &str) -> Answer {
    send(request("GET", uri, ""), echo).await
}

async fn post(uri: &str, body: impl Into<Bytes>) -> Answer {
    send(request("POST", uri, body), echo).await
}

/// The field of an echoed message, after a status that must be 200.
fn field(answer: &Answer, name: &str) -> Json {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()[name].clone()
}

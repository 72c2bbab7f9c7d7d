//! A client of the probe as tonic would generate it, and raw HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::Stream;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::metadata::MetadataValue;
use tonic::{Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::probe::{Ask, Told};

pub(crate) struct ProbeClient<T>(tonic::client::Grpc<T>);

impl<T> ProbeClient<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    pub(crate) fn new(inner: T) -> Self {
        Self(tonic::client::Grpc::new(inner))
    }

    pub(crate) async fn call(&mut self, rpc: &str, request: tonic::Request<Ask>) -> Result<Response<Told>, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.into().to_string()))?;
        self.0.unary(request, path(rpc), ProstCodec::<Ask, Told>::default()).await
    }

    pub(crate) async fn open(&mut self, rpc: &str, request: tonic::Request<Ask>) -> Result<Streaming<Told>, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.into().to_string()))?;
        let opened = self.0.server_streaming(request, path(rpc), ProstCodec::<Ask, Told>::default()).await;
        opened.map(Response::into_inner)
    }

    pub(crate) async fn chat(
        &mut self,
        asks: impl Stream<Item = Ask> + Send + 'static,
    ) -> Result<Streaming<Told>, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.into().to_string()))?;
        let request = tonic::Request::new(asks);
        let opened = self.0.streaming(request, path("Chat"), ProstCodec::<Ask, Told>::default()).await;
        opened.map(Response::into_inner)
    }
}

fn path(rpc: &str) -> PathAndQuery {
    format!("/muster.testing.Probe/{rpc}").parse().expect("a path")
}

/// A question with these headers.
pub(crate) fn ask(headers: &[(&'static str, &str)]) -> tonic::Request<Ask> {
    let mut request = Ask { text: "hello".to_owned(), number: 0 }.into_request();
    for (name, value) in headers {
        request.metadata_mut().append(*name, MetadataValue::try_from(*value).expect("a header"));
    }
    request
}

/// The reason in an error.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Code and reason of what must be an error.
pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Status>) -> (tonic::Code, String) {
    let status = result.expect_err("it fails");
    (status.code(), reason(&status))
}

/// Code and reason, to compare with.
pub(crate) fn error(code: tonic::Code, reason: &str) -> (tonic::Code, String) {
    (code, reason.to_owned())
}

/// Waits for the end of a stream, and gives the error that it ends with.
pub(crate) async fn end(stream: &mut Streaming<Told>) -> Status {
    let ended = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without an error"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("the stream ends in time")
}

/// A whole HTTP answer.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Raw {
    /// The gRPC status, wherever it is.
    pub(crate) fn grpc(&self) -> (tonic::Code, String) {
        let status = Status::from_header_map(&self.trailers).or_else(|| Status::from_header_map(&self.headers));
        let status = status.unwrap_or_else(|| panic!("there is no gRPC status in {self:?}"));
        (status.code(), reason(&status))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("there is no JSON in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }
}

async fn whole<B>(response: http::Response<B>) -> Raw
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the answer is whole");
    let trailers = body.trailers().cloned().unwrap_or_default();
    Raw { status: parts.status, headers: parts.headers, body: body.to_bytes(), trailers }
}

/// One request over HTTP/1.1.
pub(crate) async fn http1(address: SocketAddr, request: Request<Full<Bytes>>) -> Raw {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let answer = whole(sender.send_request(request).await.expect("an answer")).await;
    connection.abort();
    answer
}

/// One request over HTTP/2.
pub(crate) async fn http2(address: SocketAddr, request: Request<Full<Bytes>>) -> Raw {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let answer = whole(sender.send_request(request).await.expect("an answer")).await;
    connection.abort();
    answer
}

/// A gRPC request with this body as it is.
pub(crate) fn grpc(address: SocketAddr, rpc: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("http://{address}/muster.testing.Probe/{rpc}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.into()))
        .expect("a request")
}

/// A message in a frame.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("small").to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

//! What a connection may do.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::ask;
use crate::harness::Harness;

/// Whether the server closes a connection over which so much was sent.
async fn is_closed_after(harness: &Harness, sent: &[u8]) -> bool {
    let mut stream = TcpStream::connect(harness.address).await.expect("the server listens");
    stream.write_all(sent).await.expect("the connection is open");
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    read.is_ok()
}

#[tokio::test]
async fn a_client_that_is_slow_to_say_what_it_wants_is_cut() {
    let harness = Harness::with(|settings| settings.limits.header_read_timeout = Duration::from_millis(200)).await;
    for sent in [&b""[..], b"P", b"PRI * HTTP/2.0", b"GET / HTTP/1.1\r\nhost: somewhere\r\nx-slow: "] {
        assert!(is_closed_after(&harness, sent).await, "after {} bytes", sent.len());
    }
    assert!(harness.client().await.call("Echo", ask(&[])).await.is_ok());
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_one_that_ends_makes_room() {
    let harness = Harness::with(|settings| settings.limits.connections = 1).await;
    let mut first = harness.client().await;
    assert!(first.call("Echo", ask(&[])).await.is_ok());
    let mut stream = TcpStream::connect(harness.address).await.expect("the system accepts");
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(first.call("Echo", ask(&[])).await.is_ok(), "the first one goes on");

    drop(first);
    crate::harness::eventually("there is room again", || async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", harness.address)).expect("a URL");
        match endpoint.connect().await {
            Ok(channel) => crate::client::ProbeClient::new(channel).call("Echo", ask(&[])).await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end() {
    let harness = Harness::with(|settings| settings.limits.connection_age = Duration::from_millis(100)).await;
    let stream = TcpStream::connect(harness.address).await.expect("the server listens");
    let (sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a connection");
    let ended = tokio::time::timeout(Duration::from_secs(20), connection).await;
    assert!(ended.is_ok(), "the server says GOAWAY");
    drop(sender);
}

#[tokio::test]
async fn the_number_of_streams_on_a_connection_is_told_to_the_client() {
    let harness = Harness::with(|settings| settings.limits.streams_per_connection = 7).await;
    let stream = TcpStream::connect(harness.address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(async move {
        let mut connection = connection;
        let ended = (&mut connection).await;
        (ended.is_ok(), connection.current_max_send_streams())
    });
    let request = crate::client::grpc(harness.address, "Echo", crate::client::frame(&[]));
    assert_eq!(sender.send_request(request).await.expect("an answer").status(), 200);
    drop(sender);
    let (_, streams) = connection.await.expect("no panic");
    assert_eq!(streams, 7);
}

//! Request bodies that nobody reads to their end.
//!
//! A call may be answered before its body has come in: refused, too late, too large. If the body is dropped then, what is
//! still under way makes HTTP/2 reset the stream, and a connection with many such resets is ended as an attack, with all
//! the calls of others that a proxy has put on it. So a little more is read, and thrown away.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tonic::body::Body;

/// How long the rest of a body may take. It is mostly there already.
const LINGER: Duration = Duration::from_secs(1);

/// How much of it is read.
const LINGER_BYTES: usize = 1024 * 1024;

/// Reads the rest of a body beside other work, unless it is at its end.
pub(crate) fn discard(body: Body) {
    if http_body::Body::is_end_stream(&body) {
        return;
    }
    // Without a runtime, at its end, there is no connection to care for.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(tokio::time::timeout(LINGER, read_away(body)));
    }
}

async fn read_away(mut body: Body) {
    let mut read = 0;
    while read <= LINGER_BYTES {
        let Some(Ok(frame)) = Pin::new(&mut body).frame().await else { return };
        read += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
}

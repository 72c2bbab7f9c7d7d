//! Connections: accepted, limited, served as HTTP/1.1 or HTTP/2, and ended in good order.
//!
//! hyper's own connection builder rather than `tonic::transport::Server`: that one can neither bound a drain nor the
//! number of connections, sets no HTTP/1.1 buffer, cuts an aged connection at the end of its grace without ever having
//! asked it to end, and waits without limit for the first bytes of a connection.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use pkg_ambient::Ambient;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::aside::Aside;
use crate::client_address::Peer;
use crate::edge::{ConnectionEdge, Edge};
use crate::own_task::{OwnTask, StreamExecutor};
use crate::settings::Limits;

/// The bytes that an HTTP/2 connection begins with; fewer than that may be a client that only holds a place.
const PREFACE_BYTES: usize = 24;

/// How many streams a client may reset before we have looked at them (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// How many streams we may reset for a client's errors before the connection ends (CVE-2025-8671), in all its life. As many
/// as hyper has by default: a proxy's connection carries many players.
const MAX_LOCAL_RESETS: usize = 1_024;

/// What a client may send on one stream before we have read it.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// What a client may send on one connection before we have read it: many times what a stream may, so that a few streams
/// that are not read do not hold up the others on a proxy's connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// What waits for a slow reader, per stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How many header fields an HTTP/1.1 request may have.
const MAX_HTTP1_HEADERS: usize = 100;

/// The pause after a failed accept: usually there are no file descriptors left, and trying at once is of no use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// What the connections of a port have in common.
pub(crate) struct Connections {
    edge: Edge,
    limits: Limits,
    places: Arc<Semaphore>,
    ambient: Ambient,
    /// Cancelled when connections should finish what they have begun.
    finish: CancellationToken,
    /// Cancelled when they have had time enough.
    cut: CancellationToken,
    open: TaskTracker,
}

/// Binds a port.
pub(crate) fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Connections {
    pub(crate) fn new(edge: Edge, limits: Limits, ambient: Ambient) -> Arc<Self> {
        Arc::new(Self {
            edge,
            places: Arc::new(Semaphore::new(limits.connections)),
            limits,
            ambient,
            finish: CancellationToken::new(),
            cut: CancellationToken::new(),
            open: TaskTracker::new(),
        })
    }

    /// Accepts connections until they should finish; then the port is closed.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Some(accepted) = self.finish.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => match self.places.clone().try_acquire_owned() {
                    Ok(place) => {
                        let this = self.clone();
                        self.open.spawn(this.serve(stream, Peer(peer.ip()), place));
                    }
                    // Closed at once, so that the client goes elsewhere instead of waiting.
                    Err(_none_left) => {
                        tracing::debug!(limit = self.limits.connections, "a connection too many was closed");
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Asks all connections to finish, waits for them until the moment, and cuts what is left. Tells how many it cut.
    pub(crate) async fn drain(&self, until: Instant) -> usize {
        self.finish.cancel();
        self.open.close();
        if tokio::time::timeout_at(until, self.open.wait()).await.is_ok() {
            return 0;
        }
        let left = self.open.len();
        self.cut.cancel();
        self.open.wait().await;
        left
    }

    /// Cuts all connections when dropped.
    pub(crate) fn cut_guard(&self) -> DropGuard {
        self.cut.clone().drop_guard()
    }

    /// Serves one connection to its end.
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: Peer, _place: OwnedSemaphorePermit) {
        // Answers are small and awaited: to collect bytes before sending only makes them late.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        let received = Arc::new(AtomicUsize::new(0));
        let io = TokioIo::new(CountedStream { stream, received: received.clone() });
        let service = ConnectionEdge { edge: self.edge.clone(), peer };
        let mut connection =
            OwnTask::new(|executor| builder(executor, &self.limits).serve_connection(io, service).into_owned());
        let mut is_due = false;
        let mut finish = Aside::new(self.awaits_finish(&received));
        let mut cut = None;
        poll_fn(|cx| {
            // Whatever else is ready goes first: what streams of other tasks have to say is then written at once.
            if connection.has_streams_elsewhere() && !std::mem::replace(&mut is_due, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            is_due = false;
            if let Poll::Ready(ended) = connection.poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection failed");
                }
                return Poll::Ready(());
            }
            if cut.is_none() {
                match ready!(finish.poll(cx)) {
                    Next::Cut => return Poll::Ready(()),
                    Next::Finish => {
                        connection.change().graceful_shutdown();
                        cut = Some(Aside::new(self.awaits_cut()));
                    }
                }
            }
            match &mut cut {
                Some(cut) => cut.poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }

    /// Waits until a connection should finish, or be cut: by its age, at a drain, or since it said nothing.
    async fn awaits_finish(&self, received: &AtomicUsize) -> Next {
        let mut first_bytes = pin!(tokio::time::sleep(self.limits.header_read_timeout));
        let mut is_proven = false;
        let mut age = pin!(tokio::time::sleep(self.age()));
        loop {
            tokio::select! {
                () = first_bytes.as_mut(), if !is_proven => {
                    is_proven = true;
                    if received.load(Ordering::Relaxed) < PREFACE_BYTES {
                        return Next::Cut;
                    }
                }
                () = self.finish.cancelled() => return Next::Finish,
                () = age.as_mut() => return Next::Finish,
                () = self.cut.cancelled() => return Next::Cut,
            }
        }
    }

    /// Waits until a connection that should finish has had time enough.
    async fn awaits_cut(&self) {
        let grace = tokio::time::sleep(self.limits.connection_age_grace);
        tokio::select! {
            () = grace => {}
            () = self.cut.cancelled() => {}
        }
    }

    /// The age of this connection, give or take a tenth: clients that came together should not come back together.
    fn age(&self) -> Duration {
        let [random] = self.ambient.random();
        self.limits.connection_age.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
    }
}

/// What becomes of a connection.
enum Next {
    Finish,
    Cut,
}

fn builder(executor: StreamExecutor, limits: &Limits) -> Builder<StreamExecutor> {
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(MAX_HTTP1_HEADERS)
        .max_buf_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_bytes)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder
}

/// A connection that knows how much it has received: hyper waits without limit for the bytes that tell HTTP/1.1 and
/// HTTP/2 apart.
struct CountedStream {
    stream: TcpStream,
    received: Arc<AtomicUsize>,
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.received.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // What one stream has to say, mostly: the kernel takes one slice for less than a list of one.
            [slice] => Pin::new(&mut self.stream).poll_write(cx, slice),
            slices => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

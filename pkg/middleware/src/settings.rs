//! How a server is to be served: addresses, protocols, limits.

use std::net::SocketAddr;
use std::time::Duration;

/// tonic refuses larger messages whatever we say, so a higher limit would be a false promise.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// hyper cannot read HTTP/1.1 headers with a smaller buffer.
pub(crate) const MIN_HEADER_BYTES: u32 = 8 * 1024;

/// A longer span is a mistake, and the clock could not count it.
const MAX_SPAN: Duration = Duration::from_hours(365 * 24);

/// How a server is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where gRPC, gRPC-Web and JSON are served; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/healthz`, `/readyz` and `/.well-known/jwks.json` are served.
    pub admin: AdminAt,
    /// Whether the API describes itself to anybody who asks.
    pub reflection: bool,
    /// Whether unary methods are served as JSON over HTTP as well.
    pub json: bool,
    /// Which web pages may call.
    pub cors: Cors,
    /// How many proxies of our own add to `X-Forwarded-For` before a request arrives here.
    pub trusted_hops: u8,
    /// How long the server serves on after it was told to end, `NOT_SERVING` all the while, so that proxies that ask for
    /// its health send nothing more before it stops taking connections.
    pub lame_duck: Duration,
    /// How long a drain may take in all after that; then connections are cut.
    pub drain: Duration,
    /// What a client may use.
    pub limits: Limits,
}

impl Settings {
    /// The defaults: admin on the same port, no reflection, no JSON, no web pages, no proxies, no time as a lame duck, 15 s to drain.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            admin: AdminAt::SamePort,
            reflection: false,
            json: false,
            cors: Cors::None,
            trusted_hops: 0,
            lame_duck: Duration::ZERO,
            drain: Duration::from_secs(15),
            limits: Limits::default(),
        }
    }
}

/// Where the admin paths are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAt {
    /// Beside the API: for development, or behind a proxy that does not route these paths.
    SamePort,
    /// On a port of their own.
    Address(SocketAddr),
}

/// Which web pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// None from another origin.
    None,
    /// Pages of these origins (`https://play.example.com`), to the letter.
    Origins(Vec<String>),
    /// All pages.
    Any,
}

/// What a client may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The size of one message, both ways. At most 4 MiB. Default: 1 MiB.
    pub message_bytes: usize,
    /// The size of all headers of a request. At least 8 KiB. Default: 16 KiB.
    pub header_bytes: u32,
    /// Concurrent HTTP/2 streams per connection; a proxy puts many players on one. Default: 1,000.
    pub streams_per_connection: u32,
    /// Open server streams per user, on this replica. Default: 16.
    pub streams_per_user: u32,
    /// How long a call with one answer may take, also if its caller would wait longer. Default: 30 s.
    pub unary_deadline: Duration,
    /// Connections in all; more are closed as they come. Default: 10,000.
    pub connections: usize,
    /// After this, give or take a tenth, a connection is asked to end, so that load spreads to new replicas.
    /// Default: 2 h.
    pub connection_age: Duration,
    /// How long a connection that was asked to end may take for what it has begun; longer than a token lives, which ends
    /// its streams in good order. Default: 20 min.
    pub connection_age_grace: Duration,
    /// How often an HTTP/2 peer is asked whether it is there. Default: 30 s.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that. Default: 20 s.
    pub keepalive_timeout: Duration,
    /// How long a client may take to send its first bytes, and then the headers of an HTTP/1.1 request; also how long
    /// an HTTP/1.1 connection may lie idle. Default: 15 s.
    pub header_read_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            header_bytes: 16 * 1024,
            streams_per_connection: 1_000,
            streams_per_user: 16,
            unary_deadline: Duration::from_secs(30),
            connections: 10_000,
            connection_age: Duration::from_hours(2),
            connection_age_grace: Duration::from_mins(20),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            header_read_timeout: Duration::from_secs(15),
        }
    }
}

/// A setting that cannot be honoured.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{setting}: {reason}")]
pub struct SettingError {
    /// The name of the setting, such as `limits.message_bytes`.
    pub setting: &'static str,
    /// What is wrong with its value.
    pub reason: String,
}

impl Settings {
    pub(crate) fn verify(&self) -> Result<(), SettingError> {
        let refuse = |setting, reason: &str| Err(SettingError { setting, reason: reason.to_owned() });
        let limits = &self.limits;
        if limits.message_bytes > MAX_MESSAGE_BYTES {
            return refuse("limits.message_bytes", "is more than 4 MiB");
        }
        if limits.header_bytes < MIN_HEADER_BYTES {
            return refuse("limits.header_bytes", "is less than 8 KiB");
        }
        if limits.connections == 0 || limits.connections > tokio::sync::Semaphore::MAX_PERMITS {
            return refuse("limits.connections", "is not a number of connections");
        }
        if limits.streams_per_connection == 0 {
            return refuse("limits.streams_per_connection", "is zero");
        }
        let spans = [
            ("limits.unary_deadline", limits.unary_deadline),
            ("limits.connection_age", limits.connection_age),
            ("limits.connection_age_grace", limits.connection_age_grace),
            ("limits.keepalive_interval", limits.keepalive_interval),
            ("limits.keepalive_timeout", limits.keepalive_timeout),
            ("limits.header_read_timeout", limits.header_read_timeout),
        ];
        for (setting, span) in spans {
            if span.is_zero() || span > MAX_SPAN {
                return refuse(setting, "is zero or more than a year");
            }
        }
        for (setting, span) in [("lame_duck", self.lame_duck), ("drain", self.drain)] {
            if span > MAX_SPAN {
                return refuse(setting, "is more than a year");
            }
        }
        Ok(())
    }
}

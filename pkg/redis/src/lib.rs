//! A pool of connections to Redis that fails quickly, keys of one name space, and scripts.
//!
//! A command is sent at most once: what was on its way when a connection broke is answered with
//! [`RedisError::Unavailable`], and whether it took effect is unknown. So a write that is repeated must be idempotent.

mod error;
mod revocations;
mod script;
mod script_batcher;
mod subscriber;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::time::Duration;

use fred::clients::{Client, Pool};
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy, TcpConfig, UnresponsiveConfig};
use fred::util::redis_keyslot;

pub use error::{ConnectError, RedisError};
pub use revocations::RedisRevocations;
pub use script::Script;
pub use script_batcher::ScriptBatcher;
pub use subscriber::{Incoming, Notices, Subscriber};

/// How long one attempt to connect may take, and each command that a new connection begins with.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The shortest and the longest pause between attempts to connect again, in milliseconds; attempts go on for ever.
const RECONNECT_PAUSE_MS: (u32, u32) = (50, 1_000);
/// Each pause is twice the one before.
const RECONNECT_FACTOR: u32 = 2;
/// A connection on which a command waits this long without an answer is dropped and made anew. Longer than any command
/// may take, so that it means a dead peer and not a slow command.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(10);
const UNRESPONSIVE_CHECK: Duration = Duration::from_secs(2);
/// The most commands per connection that wait to be written; more are refused as unavailable.
const COMMAND_QUEUE: usize = 4_096;

/// How to use a Redis server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of connections; commands are pipelined, so a few serve many callers.
    pub pool_size: usize,
    /// The most that a command may take, queueing included.
    pub command_timeout: Duration,
    /// What every key begins with; two systems with different prefixes share a server without meeting.
    pub prefix: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pool_size: 4, command_timeout: Duration::from_secs(1), prefix: "muster".to_owned() }
    }
}

/// Connections to one Redis server or cluster. Cloning shares them; [`Redis::close`] ends them.
#[derive(Clone, Debug)]
pub struct Redis {
    pool: Pool,
    prefix: String,
}

impl Redis {
    /// Connects and makes sure that the server takes us: `redis://user:password@host:port/database`, `rediss://…` for
    /// TLS, `redis-cluster://host:port?node=host:port` for a cluster.
    ///
    /// Connections that break later are made anew, for ever.
    pub async fn connect(url: &str, settings: Settings) -> Result<Self, ConnectError> {
        let mut config = parse(url)?;
        // Of the first connection only: a wrong address is told at the start.
        config.fail_fast = true;
        let servers = config.server.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");

        let (shortest, longest) = RECONNECT_PAUSE_MS;
        let mut builder = Builder::from_config(config);
        builder
            .set_policy(ReconnectPolicy::new_exponential(0, shortest, longest, RECONNECT_FACTOR))
            .with_performance_config(|config| config.default_command_timeout = settings.command_timeout)
            .with_connection_config(|config| {
                config.connection_timeout = CONNECT_TIMEOUT;
                config.internal_command_timeout = CONNECT_TIMEOUT;
                config.max_command_attempts = 1;
                config.max_command_buffer_len = COMMAND_QUEUE;
                config.tcp = TcpConfig { nodelay: Some(true), ..Default::default() };
                config.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE_AFTER), interval: UNRESPONSIVE_CHECK };
            });
        let failed = |source| ConnectError::Refused { servers: servers.clone(), source };
        let pool = builder.build_pool(settings.pool_size).map_err(failed)?;
        pool.init().await.map_err(failed)?;
        Ok(Self { pool, prefix: settings.prefix })
    }

    /// A client that is connected, to send commands with.
    ///
    /// While none is, the answer is an error at once: commands would only queue until they time out.
    pub fn client(&self) -> Result<&Client, RedisError> {
        let client = self.pool.next_connected();
        if client.is_connected() { Ok(client) } else { Err(RedisError::disconnected()) }
    }

    /// This client if it is connected, or else another one.
    fn same_or_other<'a>(&'a self, client: &'a Client) -> Result<&'a Client, RedisError> {
        if client.is_connected() { Ok(client) } else { self.client() }
    }

    /// A client that is always the same one for the same key, so that commands arrive in the order in which they were
    /// sent; otherwise as [`Redis::client`].
    pub fn ordered_client(&self, key: &str) -> Result<&Client, RedisError> {
        let clients = self.pool.clients();
        let client = &clients[usize::from(redis_keyslot(key.as_bytes())) % clients.len()];
        if client.is_connected() { Ok(client) } else { Err(RedisError::disconnected()) }
    }

    /// A connection of its own that listens to sharded Pub/Sub, on a cluster one to each node. Up to `capacity` messages
    /// wait for who reads them.
    pub async fn subscriber(&self, capacity: usize) -> Result<(Subscriber, Notices), ConnectError> {
        subscriber::connect(self.pool.next(), capacity).await
    }

    /// The key of these parts: `key(&["auth", "sessions", id])`. Parts are constants and ids, not free text.
    #[must_use]
    pub fn key(&self, parts: &[&str]) -> String {
        format!("{}:{}", self.prefix, parts.join(":"))
    }

    /// As [`Redis::key`], in the hash slot of `tag`: on a cluster, keys with the same tag lie on the same node, so one
    /// script may use them all.
    #[must_use]
    pub fn key_in_slot(&self, tag: &str, parts: &[&str]) -> String {
        format!("{}:{{{tag}}}:{}", self.prefix, parts.join(":"))
    }

    /// The hash slot of a key on a cluster; without a cluster all keys are in one. Only keys of one slot may be used by one
    /// command.
    #[must_use]
    pub fn slot_of(&self, key: &str) -> u16 {
        if self.is_clustered() { redis_keyslot(key.as_bytes()) } else { 0 }
    }

    fn is_clustered(&self) -> bool {
        self.pool.next().is_clustered()
    }

    /// Asks the server for an answer, for a health check; takes as long as a command may.
    pub async fn ping(&self) -> Result<(), RedisError> {
        Ok(self.client()?.ping(None).await?)
    }

    /// Ends the connections, after what has been sent.
    pub async fn close(&self) {
        // Each client that cannot say goodbye is gone already.
        drop(self.pool.quit().await);
    }
}

/// fred takes any scheme for Redis.
fn parse(url: &str) -> Result<Config, ConnectError> {
    if !url.starts_with("redis") {
        return Err(ConnectError::Address(Error::new(
            ErrorKind::Url,
            "it begins with redis://, rediss:// or redis-cluster://",
        )));
    }
    Config::from_url(url).map_err(ConnectError::Address)
}

#[cfg(test)]
mod tests;

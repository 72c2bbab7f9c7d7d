//! Sharded Pub/Sub: messages are lost while a connection is down or when they are not read fast enough, and both is told.

use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::Server;
use fred::types::{Builder, Message, RespVersion, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::{ConnectError, RedisError};

/// How often a subscription is sent: it may be repeated, and is answered by another node while slots move.
const SUBSCRIBE_ATTEMPTS: u32 = 3;

/// Subscribes to channels. Cloning shares the connection.
#[derive(Clone, Debug)]
pub struct Subscriber {
    client: Client,
}

/// What arrives on the connection of a [`Subscriber`].
#[derive(Debug)]
pub struct Notices {
    messages: Receiver<Message>,
    connections: Receiver<Server>,
}

/// Something that arrived.
#[derive(Debug)]
pub enum Incoming {
    /// A message of a channel that was subscribed to.
    Message {
        /// The channel.
        channel: String,
        /// The message.
        payload: bytes::Bytes,
    },
    /// A connection was made anew, without any subscriptions: subscribe again. Messages are missing.
    Reconnected,
    /// Messages are missing, since they were not read fast enough.
    Lagged,
    /// The connection has ended for good.
    Closed,
}

pub(crate) async fn connect(model: &Client, capacity: usize) -> Result<(Subscriber, Notices), ConnectError> {
    let mut config = model.client_config();
    // With the older protocol a connection that has subscriptions takes no other commands.
    config.version = RespVersion::RESP3;
    let servers = config.server.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let failed = |source| ConnectError::Refused { servers: servers.clone(), source };

    let mut performance = model.perf_config();
    performance.broadcast_channel_capacity = capacity;
    let mut connection = model.connection_config().clone();
    connection.max_command_attempts = SUBSCRIBE_ATTEMPTS;
    let mut builder = Builder::from_config(config);
    builder.set_performance_config(performance).set_connection_config(connection);
    if let Some(policy) = model.client_reconnect_policy() {
        builder.set_policy(policy);
    }
    let client = builder.build().map_err(failed)?;
    let messages = client.message_rx();
    client.init().await.map_err(failed)?;
    // From here on: the first connections are no news.
    let connections = client.reconnect_rx();
    Ok((Subscriber { client }, Notices { messages, connections }))
}

impl Subscriber {
    /// Subscribes to a channel; once this returns, every message published later arrives. May be repeated.
    pub async fn subscribe(&self, channel: &str) -> Result<(), RedisError> {
        // One channel at a time: each is answered by a message of its own.
        Ok(self.client.ssubscribe(channel).await?)
    }

    /// Ends a subscription. What is on its way may still arrive.
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), RedisError> {
        Ok(self.client.sunsubscribe(channel).await?)
    }

    /// Whether all connections are made, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Drops the connections, which may be dead without anybody having told, and makes them anew.
    pub async fn reconnect(&self) -> Result<(), RedisError> {
        Ok(self.client.force_reconnection().await?)
    }

    /// Ends the connections.
    pub async fn close(&self) {
        // A client that cannot say goodbye is gone already.
        drop(self.client.quit().await);
    }
}

impl Notices {
    /// What arrives next. Cancel-safe.
    pub async fn next(&mut self) -> Incoming {
        loop {
            // Messages first, which were sent before the connection broke.
            let message = tokio::select! {
                biased;
                message = self.messages.recv() => message,
                server = self.connections.recv() => match server {
                    Ok(_) | Err(RecvError::Lagged(_)) => return Incoming::Reconnected,
                    Err(RecvError::Closed) => return Incoming::Closed,
                },
            };
            let message = match message {
                Ok(message) => message,
                Err(RecvError::Lagged(_)) => return Incoming::Lagged,
                Err(RecvError::Closed) => return Incoming::Closed,
            };
            let payload = match message.value {
                Value::String(text) => text.into_inner(),
                Value::Bytes(bytes) => bytes,
                // Nothing else can be published.
                _ => continue,
            };
            return Incoming::Message { channel: message.channel.to_string(), payload };
        }
    }
}

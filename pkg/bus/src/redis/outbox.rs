//! Unretained events on their way to other nodes: in order, and dropped when Redis is too slow.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use fred::interfaces::PubsubInterface;
use futures::future::join_all;
use pkg_redis::RedisError;
use tokio::sync::mpsc;

use super::publication::Keys;
use super::{Shared, message};
use crate::Topic;

/// How many events wait to be sent; further ones are dropped.
const MAX_WAITING: usize = 8_192;
/// How many bytes they may have; further ones are dropped.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// How many are sent at once.
const BATCH: usize = 256;

/// Takes events for other nodes.
pub(super) struct Outbox {
    waiting: mpsc::Sender<Outgoing>,
    waiting_bytes: AtomicUsize,
}

pub(super) struct Outgoing {
    topic: Topic,
    payload: Bytes,
}

pub(super) fn new() -> (Outbox, mpsc::Receiver<Outgoing>) {
    let (waiting, queue) = mpsc::channel(MAX_WAITING);
    (Outbox { waiting, waiting_bytes: AtomicUsize::new(0) }, queue)
}

impl Outbox {
    /// Says whether there was room.
    pub(super) fn add(&self, topic: &Topic, payload: Bytes) -> bool {
        let bytes = payload.len();
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_WAITING_BYTES
            && self.waiting.try_send(Outgoing { topic: topic.clone(), payload }).is_ok()
        {
            return true;
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}

/// Sends what is in the outbox. The events of a topic that wait at the same time are one message.
pub(super) async fn send(shared: Arc<Shared>, mut queue: mpsc::Receiver<Outgoing>) {
    let mut number = 0;
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut messages: HashMap<Topic, (BytesMut, u64)> = HashMap::new();
        let mut bytes = 0;
        for Outgoing { topic, payload } in batch.drain(..) {
            let (message, events) = messages.entry(topic).or_insert_with(|| {
                number += 1;
                (message::unretained(shared.node, number), 0)
            });
            message::add_payload(message, &payload);
            *events += 1;
            bytes += payload.len();
        }
        // One batch after the other, and always over the same connection: they arrive in order.
        let sending = messages.into_iter().map(|(topic, (message, events))| {
            let shared = &shared;
            async move {
                if let Err(error) = send_one(shared, &topic, message.freeze()).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(%topic, error, "unretained events were not sent");
                    shared.counters.not_sent_to_other_nodes.increment(events);
                }
            }
        });
        join_all(sending).await;
        shared.outbox.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

async fn send_one(shared: &Shared, topic: &Topic, message: Bytes) -> Result<(), RedisError> {
    let link = shared.links.get(topic.as_str());
    let before = link.as_ref().and_then(|link| link.company.before_sending());
    let channel = Keys::new(&shared.redis, topic).channel;
    let listeners: u64 = shared.redis.ordered_client(&channel)?.spublish(channel, message).await?;
    if let Some(link) = link {
        link.company.learn(before, listeners);
    }
    Ok(())
}

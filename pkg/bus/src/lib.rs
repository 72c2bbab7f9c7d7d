//! Live events: topics that many publish to and many follow.
//!
//! A retained event has a [`Cursor`], is kept for a time, and reaches each reader once, in the order of its topic. An
//! unretained one reaches those who are there and keep up, in the order of its publisher. What an event means is the
//! business of who publishes and who reads: the bus moves bytes.
//!
//! [`MemoryBus`] serves one process; [`RedisBus`] joins many by Redis Streams and sharded Pub/Sub. Both promise the same.

mod backlog;
#[cfg(test)]
mod contract;
mod counters;
mod cursor;
mod event;
mod feed;
mod memory;
mod reader;
mod redis;
mod retention;
mod topic;
mod topic_map;

use async_trait::async_trait;
use bytes::Bytes;

pub use cursor::{Cursor, InvalidCursor, MAX_CURSOR_BYTES};
pub use event::{Delivery, Event, NewEvent, Published};
pub use memory::MemoryBus;
pub use reader::{MAX_FOLLOWED, Reader};
pub use redis::{POSITION_LUA, PUBLISH_LUA, Position, Publication, RedisBus};
pub use retention::{Retention, Retentions};
pub use topic::{InvalidTopic, MAX_TOPIC_BYTES, Topic};

/// The largest payload of an event, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// The most events in one publication…
pub const MAX_PUBLICATION_EVENTS: usize = 100;
/// …and the most bytes of all their payloads.
pub const MAX_PUBLICATION_BYTES: usize = 1 << 20;

/// How many retained events are read at once, at most…
pub(crate) const PAGE_EVENTS: usize = 128;
/// …and after how many bytes no further one.
pub(crate) const PAGE_BYTES: usize = 512 * 1024;

/// Live events.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes retained events: all of them in their order with nothing between, or none. An event whose id was
    /// published on the topic before, or stands twice in here, is published once; ids are remembered as long as the topic
    /// lives, but for an hour at most.
    ///
    /// The retention says how long the events of the topic are kept from now on, those of before too; without one it is
    /// that of the topic's class. Says what became of each event.
    async fn publish(
        &self,
        topic: &Topic,
        events: &[NewEvent],
        retention: Option<Retention>,
    ) -> Result<Vec<Published>, PublishError>;

    /// Publishes an event that is kept nowhere: to readers on this node before this returns, to those on others soon, or
    /// not at all if they are slow. Those that one node publishes on a topic are never reordered.
    fn publish_unretained(&self, topic: &Topic, payload: Bytes) -> Result<(), PublishError>;

    /// Ends a topic: its readers get [`Delivery::Ended`] after its last event, nothing more can be published, and it is
    /// forgotten after a time. May be repeated.
    async fn end(&self, topic: &Topic) -> Result<(), PublishError>;

    /// Follows topics for one client.
    fn reader(&self) -> Reader;

    /// How many topics have readers on this node, or had a moment ago.
    fn topics(&self) -> usize;
}

/// Events were not published, or it is not known whether they were: ids make it safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The topic has ended.
    #[error("the topic has ended")]
    Ended,
    /// A payload, or all together, or their number is too large. See [`MAX_PAYLOAD_BYTES`] and its neighbours.
    #[error("the events are too large or too many")]
    TooLarge,
    /// The store cannot be reached; a later attempt may succeed.
    #[error("the bus is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store answered something that it must not: a defect.
    #[error("the bus is broken")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A topic is not followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The reader follows as many as it can: [`MAX_FOLLOWED`].
    #[error("too many topics for one reader")]
    TooManyTopics,
    /// The store cannot be reached; a later attempt may succeed.
    #[error("the bus is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store answered something that it must not: a defect.
    #[error("the bus is broken")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Refuses what is too large.
pub(crate) fn check_size<'a>(payloads: impl ExactSizeIterator<Item = &'a Bytes>) -> Result<(), PublishError> {
    if payloads.len() > MAX_PUBLICATION_EVENTS {
        return Err(PublishError::TooLarge);
    }
    let mut sum = 0;
    for payload in payloads {
        sum += payload.len();
        if payload.len() > MAX_PAYLOAD_BYTES || sum > MAX_PUBLICATION_BYTES {
            return Err(PublishError::TooLarge);
        }
    }
    Ok(())
}

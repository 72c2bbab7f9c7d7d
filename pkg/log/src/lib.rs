//! The durable event log: what was acknowledged is kept, in one order per key.
//!
//! A [`Log`] has a few topics ([`Topic`]), each with a fixed number of partitions. The key of a record decides its
//! partition ([`Topic::partition_of`]); within a partition the order is total and a record's [`Position`] is its place.
//! Readers keep their positions themselves, in the store that they write to ([`SqlPositions`]): the log remembers none, so
//! work and position can be one transaction, and any position can be read again.

mod codec;
mod consumer;
mod entry;
mod error;
mod gauges;
mod group;
pub mod kafka;
mod lease;
mod murmur;
mod positions;
pub mod sqlite;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod topic;

use std::time::Duration;

use async_trait::async_trait;
use pkg_api::log::v1::Record;

pub use codec::MAX_RECORD_BYTES;
pub use consumer::{Consumer, Partition};
pub use entry::{Appended, Entry, Position, Range, Start, Unreadable};
pub use error::{AppendError, ReadError, Unready};
pub use group::{Group, Work};
pub use positions::{Positions, PositionsTable, SqlPositions};
pub use tail::{Tail, tail};
pub use topic::{ACCOUNTS_RETENTION, Topic, UnknownTopic};

/// A durable log. Shared as `Arc<dyn Log>`.
#[async_trait]
pub trait Log: Send + Sync {
    /// Appends a record and answers once it is durable.
    ///
    /// It waits no longer than `within`. Who repeats an append after [`AppendError::Unknown`] uses the same record id:
    /// readers take the first of two. Dropping the future leaves open whether the record is appended, too.
    ///
    /// Records of one key are in the order in which their appends were begun (first polled), as long as none fails; one
    /// that is repeated comes after those that were begun meanwhile.
    async fn append(&self, topic: Topic, record: &Record, within: Duration) -> Result<Appended, AppendError>;

    /// Which positions of a partition can be read now. Its end tells a reader how far behind it is.
    async fn range(&self, topic: Topic, partition: i32) -> Result<Range, ReadError>;

    /// Reads one partition, outside any group. [`tail`] reads all of them.
    ///
    /// A start outside what can be read is [`ReadError::OutOfRange`].
    async fn read(&self, topic: Topic, partition: i32, start: Start) -> Result<Box<dyn Reader>, ReadError>;

    /// Joins the members of a group, which share the partitions of a topic among them: each partition is worked on by
    /// one member at a time, and handed over as members come and go. Dropping the [`Consumer`] leaves the group.
    async fn join(&self, topic: Topic, group: &str) -> Result<Consumer, ReadError>;

    /// Whether the log can be written and read now, for a readiness check. It takes no longer than `within`.
    async fn check(&self, within: Duration) -> Result<(), Unready>;

    /// Waits, up to a limit, until what was begun to be appended has an answer, and refuses what comes later. Consumers
    /// and readers are dropped by their owners, before.
    async fn close(&self);
}

/// Reads one partition in its order.
#[async_trait]
pub trait Reader: Send {
    /// The next records, at least one and at most `max`; waits until there is one, however long that takes. While the
    /// log is unavailable it waits as well.
    ///
    /// Nothing is lost if the future is dropped. After an error, read anew: this reader has ended.
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, ReadError>;
}

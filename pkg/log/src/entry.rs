//! What is read: records and their places.

use pkg_api::log::v1::Record;
use thiserror::Error;
use time::OffsetDateTime;

use crate::{ReadError, Topic};

/// The place of a record in its topic. Only positions of one partition can be compared in a meaningful way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The partition, from 0.
    pub partition: i32,
    /// The place in the partition: from 0, rising by 1 with each record, never used again.
    pub offset: i64,
}

/// A record that is durable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where it is.
    pub position: Position,
    /// The log's time of it, to the millisecond. What depends on time goes by this one; the order does not.
    pub time: OffsetDateTime,
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub position: Position,
    /// The log's time of it, as its append was answered.
    pub time: OffsetDateTime,
    /// What was appended. A kind of record that this executable does not know has no event. Bytes that are no record
    /// stop nobody: readers pass over them.
    pub record: Result<Record, Unreadable>,
}

/// Bytes in the log that are no record. They are counted as `muster_log_unreadable_total`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} bytes that are not a record", bytes.len())]
pub struct Unreadable {
    /// What is there.
    pub bytes: Vec<u8>,
}

/// Where to begin to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is there.
    Beginning,
    /// Behind the newest record: only what is appended from now on.
    End,
    /// At this offset, which may be the end. After a record at offset `n` one goes on at `n + 1`.
    At(i64),
}

/// The offsets of a partition that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The oldest one; what was before has been there for longer than its topic keeps records.
    pub first: i64,
    /// The one that the next record gets.
    pub end: i64,
}

impl Range {
    /// The offset at which a start is, if it can be read from there.
    pub(crate) fn start(self, topic: Topic, partition: i32, start: Start) -> Result<i64, ReadError> {
        match start {
            Start::Beginning => Ok(self.first),
            Start::End => Ok(self.end),
            Start::At(offset) if (self.first..=self.end).contains(&offset) => Ok(offset),
            Start::At(offset) => Err(ReadError::OutOfRange { topic, partition, offset, range: self }),
        }
    }
}

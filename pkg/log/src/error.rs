//! What may go wrong, by what the caller can do about it.

use thiserror::Error;

use crate::{Range, Topic};

/// Why something failed inside a store of the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A record was not appended, or nobody knows.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Too much is waiting to be appended. It was not appended; a later attempt may succeed. `RESOURCE_EXHAUSTED`.
    #[error("too much is waiting to be appended")]
    Full,
    /// The log does not serve. It was not appended; a later attempt may succeed. `UNAVAILABLE`.
    #[error("the log is unavailable")]
    Unavailable(#[source] Cause),
    /// No answer in time: it may have been appended, or may yet be. Repeat it with the same record id. `UNAVAILABLE`,
    /// or `DEADLINE_EXCEEDED` where the caller's own time is up.
    #[error("it is not known whether the record was appended")]
    Unknown(#[source] Cause),
    /// No log takes a record of this size. `INVALID_ARGUMENT`.
    #[error("a record of {bytes} bytes is too large: the most is {}", crate::MAX_RECORD_BYTES)]
    TooLarge {
        /// The encoded size.
        bytes: usize,
    },
    /// The log was closed. It was not appended.
    #[error("the log is closed")]
    Closed,
    /// Repeating it will not help: the log is set up wrongly, or there is a defect here. It was not appended.
    #[error("the log refused the record")]
    Refused(#[source] Cause),
}

/// A partition cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Nothing can be read there: it is past the time that records are kept, or behind the end. Behind the end means
    /// that the log has lost its tail, or is another one. In a cluster whose leader has just changed the end may be
    /// earlier for a moment.
    #[error("offset {offset} of partition {partition} of {topic} cannot be read: the log has {}..{}", .range.first, .range.end)]
    OutOfRange {
        /// Where.
        topic: Topic,
        /// Which one.
        partition: i32,
        /// What was asked for.
        offset: i64,
        /// What there is.
        range: Range,
    },
    /// The topic has no such partition.
    #[error("{topic} has no partition {partition}")]
    NoPartition {
        /// Where.
        topic: Topic,
        /// What was asked for.
        partition: i32,
    },
    /// The log does not serve; a later attempt may succeed.
    #[error("the log is unavailable")]
    Unavailable(#[source] Cause),
    /// Repeating it will not help: the log is set up wrongly, or there is a defect here.
    #[error("the log refused to be read")]
    Refused(#[source] Cause),
}

/// The log cannot be used now.
#[derive(Debug, Error)]
pub enum Unready {
    /// It did not answer.
    #[error("the log is unavailable")]
    Unavailable(#[source] Cause),
    /// A topic is missing or has another number of partitions: it has not been prepared.
    #[error("the topic {name} has {partitions} partitions, and not {expected}")]
    Unprepared {
        /// Its full name.
        name: String,
        /// How many there are; 0 if it is missing.
        partitions: usize,
        /// How many there should be.
        expected: i32,
    },
}

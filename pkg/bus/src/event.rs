//! What is published, and what readers get.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Cursor, Topic};

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// A second event of the topic with this id is not published.
    pub id: Option<Uuid>,
    /// What happened, as readers understand it.
    pub payload: Bytes,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The place after it; absent if it is repeated and no longer retained.
    pub cursor: Option<Cursor>,
    /// Whether its id had been published before, so that nothing happened now.
    pub repeated: bool,
    /// When it was first published, by the store's clock.
    pub time: OffsetDateTime,
}

/// Something that happened on a topic; all readers on a node share it.
pub struct Event {
    topic: Topic,
    cursor: Option<Cursor>,
    time: OffsetDateTime,
    payload: Bytes,
    prepared: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// Something happened.
    Event(Arc<Event>),
    /// Events are missing, and cannot be had any more: the topic goes on after this cursor.
    Gap {
        /// The topic.
        topic: Topic,
        /// Where it goes on.
        cursor: Cursor,
    },
    /// The topic has ended, and every event of it was delivered. It is no longer followed.
    Ended {
        /// The topic.
        topic: Topic,
    },
}

impl Event {
    pub(crate) fn retained(topic: Topic, cursor: Cursor, payload: Bytes) -> Arc<Self> {
        let time = time_of(cursor.offset);
        Arc::new(Self { topic, cursor: Some(cursor), time, payload, prepared: OnceLock::new() })
    }

    pub(crate) fn unretained(topic: Topic, time: OffsetDateTime, payload: Bytes) -> Arc<Self> {
        Arc::new(Self { topic, cursor: None, time, payload, prepared: OnceLock::new() })
    }

    /// Where it happened.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The place after it; absent if it is not retained.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// When it happened: of a retained one by the store's clock, of another one by this node's, when it came here.
    #[must_use]
    pub fn time(&self) -> OffsetDateTime {
        self.time
    }

    /// What happened, as its publisher wrote it.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Reads what all readers on this node need of the event, such as its encoding for clients: made by who asks first, then
    /// shared. Everybody should ask for the same type; another one is made each time.
    pub fn with_prepared<T: Any + Send + Sync, R>(&self, make: impl Fn(&Self) -> T, read: impl FnOnce(&T) -> R) -> R {
        let shared = self.prepared.get_or_init(|| Box::new(make(self)));
        match shared.downcast_ref() {
            Some(prepared) => read(prepared),
            None => read(&make(self)),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("topic", &self.topic)
            .field("cursor", &self.cursor)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

/// The time that an offset stands for.
pub(crate) fn time_of(offset: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(offset) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The offset that stands for a time.
pub(crate) fn offset_at(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_need_is_made_once() {
        let topic = Topic::new("t").unwrap();
        let event = Event::unretained(topic, OffsetDateTime::UNIX_EPOCH, Bytes::from_static(b"abc"));
        let read = |size: &usize| (*size, std::ptr::from_ref(size));
        let first = event.with_prepared(|event| event.payload().len(), read);
        assert_eq!(first.0, 3);
        assert_eq!(event.with_prepared(|_| 0, read), first);
        assert_eq!(event.with_prepared(|_| "other", |other| *other), "other");
    }

    #[test]
    fn offsets_are_times() {
        let time = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_780_000_000_000_001);
        assert_eq!(offset_at(time), 1_780_000_000_000_001);
        assert_eq!(time_of(offset_at(time)), time);
    }
}

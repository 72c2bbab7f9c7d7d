//! Publishing in Redis, alone or as a part of another script.

use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Value;
use pkg_ambient::Ambient;
use pkg_redis::{Redis, RedisError};

use super::answer::{list, number, text};
use crate::cursor::hexadecimal;
use crate::event::time_of;
use crate::retention::{ID_LIFETIME, IDS_KEPT};
use crate::{Cursor, NewEvent, PublishError, Published, Retention, Topic};

/// A Lua function that says where a topic is, for the script of a store that reads a state: whoever follows the topic from
/// there gets exactly what happens after that state.
///
/// Put it before the script ([`pkg_redis::Script::with_library`]) and call `bus_position(k, epoch, memory)`, where the
/// [`Position::keys`] stand in KEYS from `k` on and the other two are the [`Position::arguments`]. Of the three values
/// that it returns the first two, in a list, are what [`Position::read`] understands.
pub const POSITION_LUA: &str = include_str!("position.lua");

/// A Lua function that publishes, for the script of a store to call: what it writes and what it publishes are one step.
///
/// Put it before the script ([`pkg_redis::Script::with_library`]) and call `bus_publish(k, a)`, where the
/// [`Publication::keys`] stand in KEYS from `k` on and the [`Publication::arguments`] in ARGV from `a` on. The store's
/// own keys lie in the same slot if their tag is the topic: `redis.key_in_slot(topic.as_str(), …)`. The function returns
/// `false` and does nothing if the topic has ended, otherwise what [`Publication::published`] understands; and as a second
/// value where in ARGV the publication ends, so that a script may publish on several topics, as `bus_after(a)` also tells.
/// It contains [`POSITION_LUA`].
pub const PUBLISH_LUA: &str = concat!(include_str!("position.lua"), include_str!("publish.lua"));

/// Where a topic is, to be asked by a script.
#[derive(Debug, Clone)]
pub struct Position {
    keys: Keys,
    new_epoch: u64,
    memory: Duration,
}

/// Events to publish by a script, and how.
#[derive(Debug, Clone)]
pub struct Publication {
    keys: Keys,
    retention: Retention,
    new_epoch: u64,
    ends: bool,
    events: Vec<(Bytes, Bytes)>,
}

/// The keys of a topic, all in its slot.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) topic: String,
    pub(super) stream: String,
    pub(super) ids: String,
    pub(super) channel: String,
}

impl Keys {
    pub(super) fn new(redis: &Redis, topic: &Topic) -> Self {
        let key = |name| redis.key_in_slot(topic.as_str(), &["bus", name]);
        Self { topic: key("topic"), stream: key("stream"), ids: key("ids"), channel: key("live") }
    }

    /// The topic that a channel belongs to.
    pub(super) fn topic_of(channel: &str) -> Option<&str> {
        let (_, rest) = channel.split_once('{')?;
        rest.split_once('}').map(|(topic, _)| topic)
    }
}

impl Position {
    pub(super) fn new(redis: &Redis, ambient: &Ambient, memory: Duration, topic: &Topic) -> Self {
        Self { keys: Keys::new(redis, topic), new_epoch: u64::from_ne_bytes(ambient.random()), memory }
    }

    /// What belongs into KEYS.
    #[must_use]
    pub fn keys(&self) -> [String; 3] {
        let Keys { topic, stream, ids, .. } = self.keys.clone();
        [topic, stream, ids]
    }

    /// What belongs into ARGV.
    #[must_use]
    pub fn arguments(&self) -> [String; 2] {
        [epoch_text(self.new_epoch), self.memory.as_millis().to_string()]
    }

    /// The place after the last event of the topic, by what `bus_position` returned.
    pub fn read(answer: Value) -> Result<Cursor, RedisError> {
        read_end(&mut list(answer)?.into_iter())
    }
}

impl Publication {
    pub(super) fn new(
        redis: &Redis,
        ambient: &Ambient,
        retention: Retention,
        topic: &Topic,
        events: &[NewEvent],
    ) -> Self {
        let id = |event: &NewEvent| event.id.map_or(Bytes::new(), |id| Bytes::copy_from_slice(id.as_bytes()));
        Self {
            keys: Keys::new(redis, topic),
            retention,
            new_epoch: u64::from_ne_bytes(ambient.random()),
            ends: false,
            events: events.iter().map(|event| (id(event), event.payload.clone())).collect(),
        }
    }

    /// Ends the topic after the events.
    #[must_use]
    pub fn and_end(mut self) -> Self {
        self.ends = true;
        self
    }

    /// What belongs into KEYS.
    #[must_use]
    pub fn keys(&self) -> [String; 4] {
        let Keys { topic, stream, ids, channel } = self.keys.clone();
        [topic, stream, ids, channel]
    }

    /// What belongs into ARGV.
    #[must_use]
    pub fn arguments(&self) -> Vec<Value> {
        let milliseconds = |time: Duration| Value::from(time.as_millis().to_string());
        let after_end = if self.ends { milliseconds(self.retention.after_end) } else { Value::from("") };
        let fixed = [
            Value::from(epoch_text(self.new_epoch)),
            Value::from(self.retention.max_length.to_string()),
            milliseconds(self.retention.lifetime),
            milliseconds(self.retention.memory()),
            after_end,
            milliseconds(ID_LIFETIME),
            Value::from(IDS_KEPT.to_string()),
            Value::from(self.events.len().to_string()),
        ];
        let events = self.events.iter().flat_map(|(id, payload)| [id.clone().into(), payload.clone().into()]);
        fixed.into_iter().chain(events).collect()
    }

    /// What became of each event, and the place after the last one of the topic, by what `bus_publish` returned.
    pub fn published(answer: Value) -> Result<(Vec<Published>, Cursor), PublishError> {
        if answer.is_null() {
            return Err(PublishError::Ended);
        }
        read(answer).map_err(PublishError::from)
    }
}

/// An epoch as the scripts and messages write it.
pub(super) fn epoch_text(epoch: u64) -> String {
    format!("{epoch:016x}")
}

pub(super) fn read_epoch(text: &str) -> Result<u64, RedisError> {
    hexadecimal(text).map_err(|_| RedisError::Broken(Error::new(ErrorKind::Parse, "the epoch of a topic is no number")))
}

fn read_end(parts: &mut impl Iterator<Item = Value>) -> Result<Cursor, RedisError> {
    Ok(Cursor { epoch: read_epoch(&text(parts.next())?)?, offset: number(parts.next())? })
}

fn read(answer: Value) -> Result<(Vec<Published>, Cursor), RedisError> {
    let mut parts = list(answer)?.into_iter();
    let end = read_end(&mut parts)?;
    let event = |part: Value| {
        let mut fields = list(part)?.into_iter();
        let offset = number(fields.next())?;
        let (repeated, retained) = (number(fields.next())? == 1, number(fields.next())? == 1);
        let cursor = retained.then_some(Cursor { epoch: end.epoch, offset });
        Ok(Published { cursor, repeated, time: time_of(offset) })
    };
    Ok((parts.map(event).collect::<Result<_, RedisError>>()?, end))
}

impl From<RedisError> for PublishError {
    fn from(error: RedisError) -> Self {
        if error.is_unavailable() { Self::Unavailable(Box::new(error)) } else { Self::Broken(Box::new(error)) }
    }
}

//! The retained events of a topic, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use pkg_ambient::Ambient;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::backlog::Page;
use crate::event::{offset_at, time_of};
use crate::retention::{ID_LIFETIME, IDS_KEPT};
use crate::{Cursor, Event, NewEvent, PAGE_BYTES, PAGE_EVENTS, PublishError, Published, Retention, Topic};

pub(super) struct Log {
    epoch: u64,
    /// How long events are kept if nobody says, and how long they are.
    usual: Retention,
    retention: Retention,
    /// The offsets of the last event that was published, and of the last one that was dropped.
    last: u64,
    dropped: u64,
    ended: bool,
    events: VecDeque<Arc<Event>>,
    /// The offset of each id, and the ids in the order of their offsets.
    ids: HashMap<Uuid, u64>,
    ids_in_order: VecDeque<(u64, Uuid)>,
    events_expire: OffsetDateTime,
    /// When the topic is forgotten, unless it has readers.
    expires: OffsetDateTime,
    /// Whether it was: it is no longer found.
    pub(super) is_forgotten: bool,
}

impl Log {
    pub(super) fn new(ambient: &Ambient, usual: Retention, now: OffsetDateTime) -> Self {
        let expires = now + usual.memory();
        Self {
            epoch: u64::from_ne_bytes(ambient.random()),
            usual,
            retention: usual,
            last: 0,
            dropped: 0,
            ended: false,
            events: VecDeque::new(),
            ids: HashMap::new(),
            ids_in_order: VecDeque::new(),
            events_expire: expires,
            expires,
            is_forgotten: false,
        }
    }

    pub(super) fn end_cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, offset: self.last }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn is_past(&self, now: OffsetDateTime) -> bool {
        self.expires <= now
    }

    /// Another incarnation of the topic.
    pub(super) fn restart(&mut self, ambient: &Ambient, now: OffsetDateTime) {
        *self = Self::new(ambient, self.usual, now);
    }

    /// Does what is due by now. To be called before anything else is done, unless the topic has readers already.
    pub(super) fn refresh(&mut self, has_readers: bool, ambient: &Ambient, now: OffsetDateTime) {
        self.drop_expired(now);
        if !has_readers && self.is_past(now) {
            self.restart(ambient, now);
        }
    }

    /// Counts the time until the topic is forgotten from now.
    pub(super) fn remember(&mut self, now: OffsetDateTime) {
        if !self.ended {
            self.expires = now + self.retention.memory();
        }
    }

    pub(super) fn drop_expired(&mut self, now: OffsetDateTime) {
        if self.events_expire <= now && !self.events.is_empty() {
            self.dropped = self.last;
            self.events = VecDeque::new();
        }
        while let Some((offset, id)) = self.ids_in_order.front() {
            if self.ids_in_order.len() <= IDS_KEPT && time_of(*offset) + ID_LIFETIME > now {
                return;
            }
            self.ids.remove(id);
            self.ids_in_order.pop_front();
        }
    }

    /// Adds events. Says what became of each, and which are new.
    pub(super) fn append(
        &mut self,
        topic: &Topic,
        events: &[NewEvent],
        retention: Option<Retention>,
        now: OffsetDateTime,
    ) -> Result<(Vec<Published>, Vec<Arc<Event>>), PublishError> {
        if self.ended && !events.iter().all(|event| event.id.is_some_and(|id| self.ids.contains_key(&id))) {
            return Err(PublishError::Ended);
        }
        self.retention = retention.unwrap_or(self.usual);
        let (mut published, mut fresh) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        for NewEvent { id, payload } in events {
            if let Some(offset) = id.and_then(|id| self.ids.get(&id).copied()) {
                let cursor = (offset > self.dropped).then_some(Cursor { epoch: self.epoch, offset });
                published.push(Published { cursor, repeated: true, time: time_of(offset) });
                continue;
            }
            self.last = offset_at(now).max(self.last + 1);
            if let Some(id) = id {
                self.ids.insert(*id, self.last);
                self.ids_in_order.push_back((self.last, *id));
            }
            let event = Event::retained(topic.clone(), self.end_cursor(), payload.clone());
            published.push(Published { cursor: event.cursor(), repeated: false, time: event.time() });
            self.events.push_back(event.clone());
            fresh.push(event);
        }
        while self.events.len() > self.retention.max_length
            && let Some(event) = self.events.pop_front()
        {
            self.dropped = event.cursor().map_or(self.dropped, |cursor| cursor.offset);
        }
        if !fresh.is_empty() {
            self.events_expire = now + self.retention.lifetime;
            self.remember(now);
        }
        Ok((published, fresh))
    }

    pub(super) fn end(&mut self, now: OffsetDateTime) {
        if !self.ended {
            self.ended = true;
            self.expires = now + self.retention.after_end;
            self.events_expire = self.expires;
        }
    }

    pub(super) fn page(&self, after: Option<u64>) -> Page {
        let mut page =
            Page { end: self.end_cursor(), ended: self.ended, previous: None, events: Vec::new(), more: false };
        let Some(after) = after else { return page };
        let offset = |event: &Arc<Event>| event.cursor().map_or(0, |cursor| cursor.offset);
        let begin = self.events.partition_point(|event| offset(event) <= after);
        if begin < self.events.len() {
            page.previous = Some(if begin == 0 { self.dropped } else { offset(&self.events[begin - 1]) });
        }
        let mut bytes = 0;
        for event in self.events.range(begin..) {
            if page.events.len() == PAGE_EVENTS || bytes > PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes += event.payload().len();
            page.events.push(event.clone());
        }
        page
    }
}

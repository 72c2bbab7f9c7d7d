//! The last events of a topic on this node: what its readers read while they keep up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::{Cursor, Delivery, Event};

/// How far a reader may be behind before it is caught up from the retained events: so many events…
pub(crate) const BACKLOG_EVENTS: usize = 1_024;
/// …of so many bytes together…
pub(crate) const BACKLOG_BYTES: usize = 1 << 20;
/// …and so old. It also bounds what an idle topic holds.
pub(crate) const BACKLOG_AGE: Duration = Duration::from_secs(10);

/// The last events of a topic, of both kinds, as they came. The retained ones among them have no holes.
///
/// It is shared by all readers on the node, each of which has a [`Place`]: events are held once however many readers
/// there are, and a reader that does not read costs nothing.
#[derive(Default)]
pub(crate) struct Backlog {
    open: bool,
    /// Raised whenever the retained events do not go on where they were: readers of the one before are told of a gap.
    generation: u64,
    epoch: u64,
    /// The offset before the first retained event here.
    base: u64,
    /// The offset of the last retained event.
    tail: u64,
    ended: bool,
    /// Whether something arrived before it was open.
    missed: bool,
    entries: VecDeque<Arc<Event>>,
    /// How many entries were dropped at the front.
    first: u64,
    bytes: usize,
    /// How many unretained ones came, and how many of them were dropped at the front.
    unretained: u64,
    unretained_dropped: u64,
}

/// How a backlog stands, to compare later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) generation: u64,
    pub(crate) end: Cursor,
}

/// How far a reader has come.
#[derive(Debug)]
pub(crate) struct Place {
    generation: u64,
    /// The offset of the last retained event that was delivered.
    delivered: u64,
    /// The entry to look at next, counted as [`Backlog::first`]; absent while what is before the backlog is missing.
    next: Option<u64>,
    /// Unretained events before this entry are not for this reader.
    live_from: u64,
    /// How many unretained events came before the next entry.
    unretained: u64,
}

/// Retained events read from the store.
#[derive(Debug)]
pub(crate) struct Page {
    /// Where the topic ended when it was read.
    pub(crate) end: Cursor,
    pub(crate) ended: bool,
    /// The offset before the first of the events.
    pub(crate) previous: Option<u64>,
    pub(crate) events: Vec<Arc<Event>>,
    /// Whether there are further ones.
    pub(crate) more: bool,
}

/// A retained event that arrived live.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The offset before it.
    pub(crate) previous: u64,
    pub(crate) event: Arc<Event>,
}

/// How a look at the backlog ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All was delivered.
    All,
    /// There is more.
    Some,
    /// What comes next must be read from the retained events.
    Behind,
    /// All was delivered, and nothing will follow.
    Ended,
}

/// What a reader was not given.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    pub(crate) gaps: u64,
    pub(crate) unretained: u64,
}

impl Page {
    /// Whether events between `after`, which the page was read after, and the page are missing.
    pub(crate) fn is_gap(&self, after: u64) -> bool {
        match self.previous {
            Some(previous) => previous > after,
            // The store has forgotten events, or somebody made the cursor up.
            None => self.end.offset != after,
        }
    }
}

impl Place {
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Events up to this one were delivered otherwise.
    pub(crate) fn advance(&mut self, delivered: u64) {
        self.delivered = delivered;
        self.next = None;
    }
}

impl Backlog {
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing { generation: self.generation, end: self.end() }
    }

    /// Differs whenever there is something new for readers.
    pub(crate) fn version(&self) -> (u64, u64, bool) {
        (self.generation, self.next(), self.ended)
    }

    fn end(&self) -> Cursor {
        Cursor { epoch: self.epoch, offset: self.tail }
    }

    /// Begins where the topic is now. Says whether something arrived before.
    pub(crate) fn open(&mut self, end: Cursor, ended: bool) -> bool {
        self.restart(end);
        self.open = true;
        self.ended = ended;
        std::mem::take(&mut self.missed)
    }

    /// Forgets everything, when there are no readers.
    pub(crate) fn close(&mut self) {
        *self = Self { generation: self.generation, first: self.next(), ..Self::default() };
    }

    /// Goes on elsewhere.
    pub(crate) fn restart(&mut self, end: Cursor) {
        self.generation += 1;
        (self.epoch, self.base, self.tail, self.ended) = (end.epoch, end.offset, end.offset, false);
        self.first = self.next();
        self.entries = VecDeque::new();
        self.bytes = 0;
        self.unretained_dropped = self.unretained;
    }

    pub(crate) fn end_topic(&mut self) {
        self.ended = true;
    }

    /// Adds an event: a retained one must follow the one before.
    pub(crate) fn push(&mut self, event: Arc<Event>, now: OffsetDateTime) {
        match event.cursor() {
            Some(cursor) => self.tail = cursor.offset,
            None => self.unretained += 1,
        }
        self.bytes += event.payload().len();
        self.entries.push_back(event);
        self.trim(now);
    }

    /// Drops what is too much or too old.
    pub(crate) fn trim(&mut self, now: OffsetDateTime) {
        while let Some(front) = self.entries.front() {
            let full = self.entries.len() > BACKLOG_EVENTS || self.bytes > BACKLOG_BYTES;
            if !full && front.time() + BACKLOG_AGE > now {
                return;
            }
            match front.cursor() {
                Some(cursor) => self.base = cursor.offset,
                None => self.unretained_dropped += 1,
            }
            self.bytes -= front.payload().len();
            self.first += 1;
            self.entries.pop_front();
        }
        self.entries = VecDeque::new();
    }

    /// Takes retained events that arrived live. Says whether some are missing before them, and must be read.
    pub(crate) fn receive(&mut self, epoch: u64, arrivals: Vec<Arrival>, now: OffsetDateTime) -> bool {
        if !self.open {
            self.missed = true;
            return false;
        }
        for Arrival { previous, event } in arrivals {
            let Some(cursor) = event.cursor() else { continue };
            if epoch == self.epoch {
                if cursor.offset <= self.tail {
                    continue;
                }
                if previous > self.tail {
                    return true;
                }
            }
            if epoch != self.epoch || previous < self.tail {
                // Another incarnation, or the store has lost events that we had.
                self.restart(Cursor { epoch, offset: previous });
            }
            self.push(event, now);
        }
        false
    }

    /// As [`Backlog::receive`], that the topic ended.
    pub(crate) fn receive_end(&mut self, end: Cursor) -> bool {
        if !self.open {
            self.missed = true;
            return false;
        }
        self.ended = self.ended || end == self.end();
        !self.ended
    }

    /// Takes events that were read after the end that the backlog had at `before`. Says how many were new.
    pub(crate) fn merge(&mut self, before: Standing, page: Page, now: OffsetDateTime) -> usize {
        if self.generation != before.generation {
            return 0;
        }
        if self.disagrees(before, &page) || page.is_gap(before.end.offset) {
            self.restart(page.end);
            self.ended = page.ended;
            return 0;
        }
        let mut new = 0;
        for event in page.events {
            if event.cursor().is_some_and(|cursor| cursor.offset > self.tail) {
                self.push(event, now);
                new += 1;
            }
        }
        self.ended = self.ended || (page.ended && page.end == self.end());
        new
    }

    /// Starts anew if what the store said contradicts how the backlog stood before. What came meanwhile does not.
    pub(crate) fn observe(&mut self, before: Standing, page: &Page) {
        if self.open && self.generation == before.generation && self.disagrees(before, page) {
            self.restart(page.end);
            self.ended = page.ended;
        }
    }

    fn disagrees(&self, before: Standing, page: &Page) -> bool {
        page.end.epoch != self.epoch || page.end.offset < before.end.offset
    }

    /// The place of a new reader, who has seen the retained events up to an offset, and the unretained ones up to now.
    pub(crate) fn place(&self, generation: u64, delivered: u64) -> Place {
        Place { generation, delivered, next: None, live_from: self.next(), unretained: self.unretained }
    }

    /// Delivers from a place on, up to `limit` deliveries in `out` in all.
    pub(crate) fn take(&self, place: &mut Place, out: &mut Vec<Delivery>, limit: usize, lost: &mut Lost) -> Taken {
        if place.next.is_none_or(|next| next < self.first) && self.base > place.delivered {
            return Taken::Behind;
        }
        let mut next = match place.next {
            Some(next) if next >= self.first => next,
            _ => {
                lost.unretained += self.unretained_dropped.saturating_sub(place.unretained);
                place.unretained = place.unretained.max(self.unretained_dropped);
                self.first
            }
        };
        while out.len() < limit {
            let index = usize::try_from(next - self.first).unwrap_or(usize::MAX);
            let Some(event) = self.entries.get(index) else { break };
            let is_new = if let Some(cursor) = event.cursor() {
                let is_new = cursor.offset > place.delivered;
                place.delivered = place.delivered.max(cursor.offset);
                is_new
            } else {
                let is_new = next >= place.live_from;
                place.unretained += u64::from(is_new);
                is_new
            };
            if is_new {
                out.push(Delivery::Event(Arc::clone(event)));
            }
            next += 1;
        }
        place.next = Some(next);
        if next < self.next() || (self.ended && out.len() >= limit) {
            Taken::Some
        } else if self.ended && place.delivered >= self.tail {
            Taken::Ended
        } else {
            Taken::All
        }
    }

    /// The place of a reader that must be told of a gap, and the cursor where it goes on; nothing if there is none.
    pub(crate) fn gap(&self, place: &mut Place, lost: &mut Lost) -> Option<Cursor> {
        if place.generation == self.generation {
            return None;
        }
        lost.gaps += 1;
        lost.unretained += self.unretained_dropped.saturating_sub(place.unretained);
        *place = Place {
            generation: self.generation,
            delivered: self.base,
            next: None,
            live_from: self.first,
            unretained: self.unretained_dropped,
        };
        Some(Cursor { epoch: self.epoch, offset: self.base })
    }

    /// The number of the entry that comes next.
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

#[cfg(test)]
mod tests;

//! The bus of a single process.

mod log;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use pkg_ambient::Ambient;
use time::OffsetDateTime;

use self::log::Log;
use crate::backlog::Page;
use crate::counters::Counters;
use crate::feed::{Attachment, Feed, Source};
use crate::topic_map::TopicMap;
use crate::{
    Bus, Cursor, Event, FollowError, NewEvent, PublishError, Published, Reader, Retention, Retentions, Topic,
    check_size,
};

/// How often topics are looked through for what is past its time, in seconds; only while the bus is used.
const SWEEP_SECONDS: i64 = 10;

/// Topics in the memory of this process. Cloning shares them.
///
/// Nothing survives the process: a cursor from before it is told of a gap.
#[derive(Clone)]
pub struct MemoryBus {
    shared: Arc<Shared>,
}

struct Shared {
    ambient: Ambient,
    retentions: Retentions,
    topics: TopicMap<MemoryTopic>,
    counters: Counters,
    followed: AtomicUsize,
    swept_at: AtomicI64,
}

/// A topic. Of the locks the log's comes first.
struct MemoryTopic {
    /// Open while there are readers.
    feed: Arc<Feed>,
    readers: AtomicUsize,
    log: Mutex<Log>,
}

impl MemoryBus {
    /// A bus without topics.
    #[must_use]
    pub fn new(ambient: Ambient, retentions: Retentions) -> Self {
        let shared = Shared {
            ambient,
            retentions,
            topics: TopicMap::new(),
            counters: Counters::new(),
            followed: AtomicUsize::new(0),
            swept_at: AtomicI64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// As [`Bus::publish`], at once: who changes a state under a lock of its own and publishes before giving it back
    /// makes both one step for everybody.
    pub fn publish_now(
        &self,
        topic: &Topic,
        events: &[NewEvent],
        retention: Option<Retention>,
    ) -> Result<Vec<Published>, PublishError> {
        check_size(events.iter().map(|event| &event.payload))?;
        let (memory, published) = self.shared.with_log(topic, |memory, log, now| {
            let (published, fresh) = log.append(topic, events, retention, now)?;
            self.shared.counters.published.increment(fresh.len() as u64);
            memory.feed.change_quietly(|backlog| {
                if backlog.is_open() {
                    for event in fresh {
                        backlog.push(event, now);
                    }
                }
            });
            Ok(published)
        });
        memory.feed.notify();
        published
    }

    /// Where a topic is. Who reads a state under a lock of its own and asks before giving it back gets the place after
    /// which everything happens that the state does not have.
    #[must_use]
    pub fn position(&self, topic: &Topic) -> Cursor {
        self.shared
            .with_log(topic, |_, log, now| {
                log.remember(now);
                log.end_cursor()
            })
            .1
    }

    /// As [`Bus::end`], at once.
    pub fn end_now(&self, topic: &Topic) {
        let (memory, ()) = self.shared.with_log(topic, |memory, log, now| {
            log.end(now);
            memory.feed.change_quietly(|backlog| {
                if backlog.is_open() {
                    backlog.end_topic();
                }
            });
        });
        memory.feed.notify();
    }

    /// Forgets a topic, as if its time were over. Its readers are told of a gap.
    #[cfg(test)]
    pub(crate) fn forget(&self, topic: &Topic) {
        let (memory, ()) = self.shared.with_log(topic, |memory, log, now| {
            log.restart(&self.shared.ambient, now);
            memory.feed.change_quietly(|backlog| {
                if backlog.is_open() {
                    backlog.restart(log.end_cursor());
                }
            });
        });
        memory.feed.notify();
    }

    /// How many topics are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.shared.topics.values().len()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(
        &self,
        topic: &Topic,
        events: &[NewEvent],
        retention: Option<Retention>,
    ) -> Result<Vec<Published>, PublishError> {
        self.publish_now(topic, events, retention)
    }

    fn publish_unretained(&self, topic: &Topic, payload: Bytes) -> Result<(), PublishError> {
        check_size([&payload].into_iter())?;
        self.shared.counters.published_unretained.increment(1);
        let Some(memory) = self.shared.topics.get(topic.as_str()) else { return Ok(()) };
        if memory.readers.load(Ordering::Relaxed) > 0 {
            let now = self.shared.ambient.now();
            let event = Event::unretained(topic.clone(), now, payload);
            memory.feed.change(|backlog| backlog.push(event, now));
        }
        Ok(())
    }

    async fn end(&self, topic: &Topic) -> Result<(), PublishError> {
        self.end_now(topic);
        Ok(())
    }

    fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    fn topics(&self) -> usize {
        self.shared.followed.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Does something with the log of a topic, which is made if there is none.
    fn with_log<R>(
        &self,
        topic: &Topic,
        work: impl FnOnce(&MemoryTopic, &mut Log, OffsetDateTime) -> R,
    ) -> (Arc<MemoryTopic>, R) {
        let now = self.ambient.now();
        self.sweep(now);
        loop {
            let memory = self.topics.get(topic.as_str()).unwrap_or_else(|| self.find(topic, now, |_| {}));
            let mut log = memory.log();
            if log.is_forgotten {
                // It was, between finding and locking it.
                continue;
            }
            log.refresh(memory.has_readers(), &self.ambient, now);
            let result = work(&memory, &mut log, now);
            drop(log);
            return (memory, result);
        }
    }

    fn find(&self, topic: &Topic, now: OffsetDateTime, mark: impl FnOnce(&MemoryTopic)) -> Arc<MemoryTopic> {
        let make = || MemoryTopic {
            feed: Arc::new(Feed::new(topic.clone())),
            readers: AtomicUsize::new(0),
            log: Mutex::new(Log::new(&self.ambient, self.retentions.of(topic), now)),
        };
        self.topics.get_or_insert(topic, make, mark)
    }

    /// Forgets topics and drops events that are past their time, now and then.
    fn sweep(&self, now: OffsetDateTime) {
        let (second, last) = (now.unix_timestamp(), self.swept_at.load(Ordering::Relaxed));
        let due = second >= last + SWEEP_SECONDS || second < last;
        if !due || self.swept_at.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        for memory in self.topics.values() {
            memory.feed.change_quietly(|backlog| backlog.trim(now));
            memory.log().drop_expired(now);
            self.topics.remove_if(memory.feed.topic(), |memory| {
                let mut log = memory.log();
                log.is_forgotten = !memory.has_readers() && log.is_past(now);
                log.is_forgotten
            });
        }
    }
}

impl MemoryTopic {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }
}

#[async_trait]
impl Source for Shared {
    async fn attach(self: Arc<Self>, topic: &Topic) -> Result<Attachment, FollowError> {
        let now = self.ambient.now();
        self.sweep(now);
        let mut others = 0;
        let memory = self.find(topic, now, |memory| others = memory.readers.fetch_add(1, Ordering::AcqRel));
        let mut log = memory.log();
        log.refresh(others > 0, &self.ambient, now);
        let mut attachment = Attachment::new(self.clone(), memory.feed.clone());
        if !memory.feed.backlog().is_open() {
            memory.feed.change_quietly(|backlog| backlog.open(log.end_cursor(), log.has_ended()));
            self.followed.fetch_add(1, Ordering::Relaxed);
            self.counters.topics.increment(1);
            attachment.is_first = true;
        }
        drop(log);
        Ok(attachment)
    }

    async fn read(&self, topic: &Topic, after: Option<u64>) -> Result<Page, FollowError> {
        let (_, page) = self.with_log(topic, |_, log, _| log.page(after));
        Ok(page)
    }

    fn detach(&self, topic: &Topic) {
        let (memory, ()) = self.with_log(topic, |memory, log, now| {
            if memory.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
                log.remember(now);
                memory.feed.change_quietly(crate::backlog::Backlog::close);
                self.followed.fetch_sub(1, Ordering::Relaxed);
                self.counters.topics.decrement(1);
            }
        });
        drop(memory);
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}

#[cfg(test)]
mod tests;

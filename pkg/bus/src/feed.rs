//! A topic as its readers on this node see it: a backlog, and who must be woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::task::Waker;

use async_trait::async_trait;
use futures::task::AtomicWaker;

use crate::backlog::{Backlog, Lost, Page, Place, Standing, Taken};
use crate::counters::Counters;
use crate::{Delivery, FollowError, Topic};

/// Where readers get topics from: an adapter.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Makes sure that the feed of a topic is open, and stays so as long as it is attached.
    async fn attach(self: Arc<Self>, topic: &Topic) -> Result<Attachment, FollowError>;

    /// Reads retained events after an offset; without one, only where the topic ends.
    async fn read(&self, topic: &Topic, after: Option<u64>) -> Result<Page, FollowError>;

    /// Undoes an [`Source::attach`].
    fn detach(&self, topic: &Topic);

    fn counters(&self) -> &Counters;
}

/// Keeps a feed open.
pub(crate) struct Attachment {
    source: Arc<dyn Source>,
    feed: Arc<Feed>,
    /// Whether the feed was opened for this one, so that its end is the topic's.
    pub(crate) is_first: bool,
}

/// A topic on this node.
pub(crate) struct Feed {
    topic: Topic,
    backlog: RwLock<Backlog>,
    listeners: RwLock<Vec<Listener>>,
}

struct Listener {
    signal: Arc<Signal>,
    slot: u8,
}

/// Tells a reader which of its slots have something new.
#[derive(Default)]
pub(crate) struct Signal {
    /// One bit for each slot.
    ready: AtomicU64,
    waker: AtomicWaker,
}

impl Feed {
    pub(crate) fn new(topic: Topic) -> Self {
        Self { topic, backlog: RwLock::default(), listeners: RwLock::default() }
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(crate) fn backlog(&self) -> RwLockReadGuard<'_, Backlog> {
        self.backlog.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the backlog without telling: [`Feed::notify`] must follow.
    pub(crate) fn change_quietly<R>(&self, change: impl FnOnce(&mut Backlog) -> R) -> R {
        change(&mut self.backlog.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the backlog, and tells the readers if there is anything to tell.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Backlog) -> R) -> R {
        let (result, is_news) = self.change_quietly(|backlog| {
            let before = backlog.version();
            (change(backlog), backlog.version() != before)
        });
        if is_news {
            self.notify();
        }
        result
    }

    /// Wakes the readers that do not know yet.
    pub(crate) fn notify(&self) {
        for listener in &*self.listeners.read().unwrap_or_else(PoisonError::into_inner) {
            listener.signal.raise(listener.slot);
        }
    }

    pub(crate) fn listen(&self, signal: &Arc<Signal>, slot: u8) {
        let listener = Listener { signal: Arc::clone(signal), slot };
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn unlisten(&self, signal: &Arc<Signal>) {
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = listeners.iter().position(|listener| Arc::ptr_eq(&listener.signal, signal)) {
            listeners.swap_remove(index);
        }
        if listeners.is_empty() {
            *listeners = Vec::new();
        }
    }

    /// Delivers from a place on, up to `limit` deliveries in `out` in all, which must have room for one.
    pub(crate) fn take(&self, place: &mut Place, out: &mut Vec<Delivery>, limit: usize, lost: &mut Lost) -> Taken {
        let backlog = self.backlog();
        if let Some(cursor) = backlog.gap(place, lost) {
            out.push(Delivery::Gap { topic: self.topic.clone(), cursor });
        }
        let taken = backlog.take(place, out, limit, lost);
        if taken == Taken::Ended {
            out.push(Delivery::Ended { topic: self.topic.clone() });
        }
        taken
    }

    /// See [`Backlog::observe`].
    pub(crate) fn observe(&self, before: Standing, page: &Page) {
        self.change(|backlog| backlog.observe(before, page));
    }
}

impl Attachment {
    pub(crate) fn new(source: Arc<dyn Source>, feed: Arc<Feed>) -> Self {
        Self { source, feed, is_first: false }
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.source.detach(&self.feed.topic);
    }
}

impl Signal {
    /// Tells that a slot has something new.
    ///
    /// The exchange is made even if the bit is set: it orders the change of the backlog before the reader's next look.
    pub(crate) fn raise(&self, slot: u8) {
        if self.ready.fetch_or(1 << slot, Ordering::AcqRel) == 0 {
            self.waker.wake();
        }
    }

    /// The slots that have something new since the last time.
    pub(crate) fn lower(&self) -> u64 {
        self.ready.swap(0, Ordering::AcqRel)
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

//! Follows topics for one client.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::coop;

use crate::backlog::{Lost, Page, Place, Standing, Taken};
use crate::feed::{Attachment, Signal, Source};
use crate::{Cursor, Delivery, FollowError, Topic};

/// How many topics a reader follows at most: one bit each tells which have news.
pub const MAX_FOLLOWED: usize = 64;
/// How much of one topic is delivered before it is another one's turn.
const TURN: usize = 32;
/// The shortest and the longest pause before retained events are asked for again, when the store does not answer.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Follows topics for one client, at the pace of the client.
///
/// It holds no events of its own, so one that nobody reads costs the same as an idle one. While it keeps up it gets what
/// happens on a topic as it happens; when it does not, it is caught up from the retained events and misses unretained
/// ones.
pub struct Reader {
    source: Arc<dyn Source>,
    signal: Arc<Signal>,
    slots: Vec<Option<Slot>>,
    /// Slots that may have something to deliver, and those that wait to be caught up, a bit each.
    work: u64,
    behind: u64,
    /// The slot whose turn was the last.
    turn: u32,
    catch_up: Option<CatchUp>,
    /// What was read to catch up, and not delivered yet: a page at most.
    waiting: VecDeque<Delivery>,
    scratch: Vec<Delivery>,
}

struct Slot {
    attachment: Attachment,
    place: Place,
}

/// Retained events that are being read.
struct CatchUp {
    slot: usize,
    before: Standing,
    page: BoxFuture<'static, Page>,
}

impl Reader {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        source.counters().readers.increment(1);
        Self {
            source,
            signal: Arc::default(),
            slots: Vec::new(),
            work: 0,
            behind: 0,
            turn: 0,
            catch_up: None,
            waiting: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Follows a topic: first what is retained after the cursor, then what happens; without a cursor only the latter. If
    /// events after the cursor are gone, the first delivery is one [`Delivery::Gap`].
    ///
    /// Returns the cursor that was given, or the one where the topic is now. A topic that is followed already is followed
    /// from there instead; after an error it is not followed.
    pub async fn follow(&mut self, topic: &Topic, cursor: Option<Cursor>) -> Result<Cursor, FollowError> {
        self.unfollow(topic);
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let bit = u8::try_from(free).ok().filter(|_| free < MAX_FOLLOWED).ok_or(FollowError::TooManyTopics)?;
        let attachment = Arc::clone(&self.source).attach(topic).await?;
        let feed = attachment.feed();
        let before = feed.backlog().standing();

        // What other nodes have published may not have come here yet, so a cursor can be ahead of us.
        let known = cursor.is_some_and(|cursor| cursor.epoch == before.end.epoch && cursor.offset <= before.end.offset);
        let end = if known || attachment.is_first {
            before.end
        } else {
            let page = self.source.read(topic, None).await?;
            feed.observe(before, &page);
            page.end
        };
        let missing = cursor.is_some_and(|cursor| cursor.epoch != end.epoch || cursor.offset > end.offset);
        let from = cursor.filter(|_| !missing).unwrap_or(end);

        let place = {
            let backlog = feed.backlog();
            let now = backlog.standing();
            // If the topic began anew just now, the first look at the backlog tells of the gap.
            let generation = if now.end.epoch == from.epoch { now.generation } else { before.generation };
            feed.listen(&self.signal, bit);
            backlog.place(generation, from.offset)
        };
        if missing {
            self.source.counters().gaps.increment(1);
            self.waiting.push_back(Delivery::Gap { topic: topic.clone(), cursor: end });
        }
        let slot = Some(Slot { attachment, place });
        if free < self.slots.len() {
            self.slots[free] = slot;
        } else {
            self.slots.push(slot);
        }
        self.work |= 1 << bit;
        Ok(cursor.unwrap_or(end))
    }

    /// Follows a topic no more; nothing of it is delivered after this. Says whether it was followed.
    pub fn unfollow(&mut self, topic: &Topic) -> bool {
        let found = self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.is_of(topic)));
        let Some(index) = found else { return false };
        self.release(index);
        self.waiting.retain(|delivery| delivery.topic() != topic);
        true
    }

    /// The topics that are followed.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.slots.iter().flatten().map(|slot| slot.attachment.feed().topic())
    }

    /// What comes next. Cancel-safe. Waits for ever if nothing is followed.
    pub async fn next(&mut self) -> Delivery {
        loop {
            let mut one = std::mem::take(&mut self.scratch);
            let taken = poll_fn(|context| self.poll_batch(context, &mut one, 1)).await;
            let delivery = one.pop();
            self.scratch = one;
            if let (Some(delivery), true) = (delivery, taken > 0) {
                return delivery;
            }
        }
    }

    /// Waits until there is something, then adds it to `out`, `max` deliveries at most but at least one. Says how many.
    /// Cancel-safe.
    pub async fn next_batch(&mut self, out: &mut Vec<Delivery>, max: usize) -> usize {
        poll_fn(|context| self.poll_batch(context, out, max)).await
    }

    /// As [`Reader::next_batch`], for streams.
    pub fn poll_batch(&mut self, context: &mut Context<'_>, out: &mut Vec<Delivery>, max: usize) -> Poll<usize> {
        // A reader that always finds something lets other tasks run, too.
        let coop = ready!(coop::poll_proceed(context));
        let (begin, limit) = (out.len(), out.len() + max.max(1));
        loop {
            self.poll_catch_up(context);
            while out.len() < limit
                && let Some(delivery) = self.waiting.pop_front()
            {
                out.push(delivery);
            }
            if self.waiting.is_empty() && self.waiting.capacity() > 0 {
                self.waiting = VecDeque::new();
            }
            self.work |= self.signal.lower();
            let is_begun = self.look(out, limit);
            if out.len() > begin {
                coop.made_progress();
                let taken = out.len() - begin;
                self.source.counters().deliveries.increment(taken as u64);
                return Poll::Ready(taken);
            }
            if is_begun {
                continue;
            }
            self.signal.register(context.waker());
            self.work |= self.signal.lower();
            if self.work == 0 {
                return Poll::Pending;
            }
        }
    }

    /// Takes what the slots have. Says whether one began to be caught up.
    fn look(&mut self, out: &mut Vec<Delivery>, limit: usize) -> bool {
        let mut begun = false;
        let mut lost = Lost::default();
        while self.work != 0 && out.len() < limit {
            // The one after the last turn.
            self.turn = (self.turn + 1 + self.work.rotate_right(self.turn + 1).trailing_zeros()) % u64::BITS;
            let (index, bit) = (self.turn as usize, 1 << self.turn);
            let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else {
                self.work &= !bit;
                continue;
            };
            let limit = limit.min(out.len() + TURN);
            match slot.attachment.feed().take(&mut slot.place, out, limit, &mut lost) {
                Taken::Some => {}
                Taken::All => self.work &= !bit,
                Taken::Ended => {
                    self.release(index);
                    self.work &= !bit;
                }
                Taken::Behind => {
                    self.work &= !bit;
                    if self.catch_up.is_none() {
                        self.catch_up = Some(self.begin_catch_up(index));
                        begun = true;
                    } else {
                        self.behind |= bit;
                    }
                }
            }
        }
        let counters = self.source.counters();
        if lost.gaps > 0 {
            counters.gaps.increment(lost.gaps);
        }
        if lost.unretained > 0 {
            counters.missed_by_slow_readers.increment(lost.unretained);
        }
        begun
    }

    fn begin_catch_up(&self, index: usize) -> CatchUp {
        let slot = self.slots[index].as_ref().expect("a slot that is behind is followed");
        let (feed, after) = (slot.attachment.feed(), slot.place.delivered());
        let before = feed.backlog().standing();
        let (source, topic) = (Arc::clone(&self.source), feed.topic().clone());
        CatchUp { slot: index, before, page: read_in_the_end(source, topic, after).boxed() }
    }

    fn poll_catch_up(&mut self, context: &mut Context<'_>) {
        let Some(catch_up) = &mut self.catch_up else { return };
        let Poll::Ready(page) = catch_up.page.poll_unpin(context) else { return };
        let (index, before) = (catch_up.slot, catch_up.before);
        self.catch_up = None;
        self.work |= std::mem::take(&mut self.behind) | 1 << index;
        self.source.counters().reader_catch_ups.increment(1);

        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        let feed = slot.attachment.feed();
        feed.observe(before, &page);
        if feed.backlog().standing().generation != slot.place.generation() {
            // The next look tells of the gap.
            return;
        }
        if page.is_gap(slot.place.delivered()) {
            self.source.counters().gaps.increment(1);
            self.waiting.push_back(Delivery::Gap { topic: feed.topic().clone(), cursor: page.end });
            slot.place.advance(page.end.offset);
            return;
        }
        if let Some(last) = page.events.last().and_then(|event| event.cursor()) {
            slot.place.advance(last.offset);
        }
        self.waiting.extend(page.events.into_iter().map(Delivery::Event));
    }

    fn release(&mut self, index: usize) {
        if let Some(slot) = self.slots[index].take() {
            slot.attachment.feed().unlisten(&self.signal);
        }
        if self.catch_up.as_ref().is_some_and(|catch_up| catch_up.slot == index) {
            self.catch_up = None;
            self.work |= std::mem::take(&mut self.behind);
        }
    }
}

impl Slot {
    fn is_of(&self, topic: &Topic) -> bool {
        self.attachment.feed().topic() == topic
    }
}

impl Delivery {
    /// Of which topic it is.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        match self {
            Self::Event(event) => event.topic(),
            Self::Gap { topic, .. } | Self::Ended { topic } => topic,
        }
    }
}

/// Reads a page, however long the store is away.
async fn read_in_the_end(source: Arc<dyn Source>, topic: Topic, after: u64) -> Page {
    let (mut pause, longest) = RETRY_PAUSE;
    loop {
        match source.read(&topic, Some(after)).await {
            Ok(page) => return page,
            Err(error) => {
                tracing::debug!(%topic, error = &error as &dyn std::error::Error, "cannot catch a reader up");
                tokio::time::sleep(pause).await;
                pause = longest.min(pause * 2);
            }
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("topics", &self.topics().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for index in 0..self.slots.len() {
            self.release(index);
        }
        self.source.counters().readers.decrement(1);
    }
}

//! What other nodes say, and what is done so that nothing retained is lost when it does not arrive.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use pkg_redis::{Incoming, Notices, RedisError};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::link::Link;
use super::message::{Message, RetainedEvent};
use super::publication::Keys;
use super::{CATCH_UPS_AT_ONCE, Shared};
use crate::backlog::Arrival;
use crate::{Cursor, Event};

/// How often topics without readers are let go.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often every topic is looked at, in case a message was lost.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How soon it is repeated if it failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// In so many checks every subscription is made again once, in case its slot has moved to another node of the cluster.
const CHECKS_PER_RENEWAL: usize = 12;

/// Reads what arrives, until it is told to stop; then ends the connection.
pub(super) async fn listen(shared: Arc<Shared>, mut notices: Notices, stop: CancellationToken) {
    loop {
        let incoming = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            incoming = notices.next() => incoming,
        };
        match incoming {
            Incoming::Message { channel, payload } => shared.receive(&channel, &payload),
            Incoming::Reconnected | Incoming::Lagged => {
                shared.lost.store(true, Ordering::SeqCst);
                shared.has_lost.notify_one();
            }
            Incoming::Closed => {
                tracing::error!("the connection for live events has ended for good");
                break;
            }
        }
    }
    shared.subscriber.close().await;
}

/// Keeps the topics in order: lets go those without readers, catches up those that may have missed something.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut sweep = interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_check = Instant::now() + CHECK_INTERVAL;
    for check in 0.. {
        let lost = loop {
            tokio::select! {
                () = shared.has_lost.notified() => {}
                _ = sweep.tick() => shared.sweep().await,
            }
            let lost = shared.lost.swap(false, Ordering::SeqCst);
            if lost || Instant::now() >= next_check {
                break lost;
            }
        };
        let pause = if shared.check_all(check, lost).await { CHECK_INTERVAL } else { RETRY_INTERVAL };
        next_check = Instant::now() + pause;
    }
}

impl Shared {
    fn receive(self: &Arc<Self>, channel: &str, payload: &[u8]) {
        let Some(link) = Keys::topic_of(channel).and_then(|topic| self.links.get(topic)) else { return };
        // A copy: what was read from the connection is one piece of memory, however little of it is kept.
        let Some(message) = Message::read(Bytes::copy_from_slice(payload)) else {
            tracing::warn!(channel, "a message on the bus is none of ours");
            return;
        };
        let now = self.ambient.now();
        let has_hole = match message {
            Message::Retained { epoch, events } => {
                let arrival = |RetainedEvent { previous, offset, payload }| {
                    let cursor = Cursor { epoch, offset };
                    Arrival { previous, event: Event::retained(link.feed.topic().clone(), cursor, payload) }
                };
                let arrivals = events.into_iter().map(arrival).collect();
                link.feed.change(|backlog| backlog.receive(epoch, arrivals, now))
            }
            Message::Ended { epoch, offset } => {
                link.feed.change(|backlog| backlog.receive_end(Cursor { epoch, offset }))
            }
            Message::Unretained { node, number, payloads } => {
                if node != self.node {
                    link.company.may_have_changed();
                    if link.is_in_order(node, number) {
                        self.deliver_unretained(&link, payloads);
                    }
                }
                false
            }
            Message::Hello { node } => {
                if node != self.node {
                    link.company.may_have_changed();
                }
                false
            }
        };
        if has_hole {
            self.request_catch_up(&link);
        }
    }

    fn deliver_unretained(&self, link: &Link, payloads: Vec<Bytes>) {
        let now = self.ambient.now();
        link.feed.change(|backlog| {
            if backlog.is_open() {
                for payload in payloads {
                    backlog.push(Event::unretained(link.feed.topic().clone(), now, payload), now);
                }
            }
        });
    }

    /// Catches a topic up soon; once more if it is being caught up.
    pub(super) fn request_catch_up(self: &Arc<Self>, link: &Arc<Link>) {
        link.needs_catch_up.store(true, Ordering::SeqCst);
        if link.is_catching_up.swap(true, Ordering::SeqCst) {
            return;
        }
        let (shared, link) = (self.clone(), link.clone());
        self.tasks.spawn(async move {
            loop {
                while link.needs_catch_up.swap(false, Ordering::SeqCst) {
                    if let Err(error) = shared.catch_up(&link).await {
                        // The next check does it.
                        let error = &error as &dyn std::error::Error;
                        tracing::debug!(topic = %link.feed.topic(), error, "cannot catch up");
                    }
                }
                link.is_catching_up.store(false, Ordering::SeqCst);
                if !link.needs_catch_up.load(Ordering::SeqCst) || link.is_catching_up.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        });
    }

    /// Reads what is retained after what this node has. Says how many events were new.
    pub(super) async fn catch_up(&self, link: &Link) -> Result<usize, RedisError> {
        let _place = self.catch_ups.acquire().await;
        let mut new = 0;
        loop {
            let before = {
                let backlog = link.feed.backlog();
                if !backlog.is_open() {
                    return Ok(new);
                }
                backlog.standing()
            };
            let page = self.read_page(link.feed.topic(), Some(before.end.offset)).await?;
            let more = page.more;
            if !page.events.is_empty() {
                self.counters.node_catch_ups.increment(1);
            }
            let now = self.ambient.now();
            new += link.feed.change(|backlog| backlog.merge(before, page, now));
            if !more {
                return Ok(new);
            }
        }
    }

    /// Looks at every topic; subscribes to all of them anew if messages were lost, otherwise to a few. Says whether all
    /// went well.
    async fn check_all(&self, check: usize, lost: bool) -> bool {
        let links = self.links.values();
        if lost {
            for link in &links {
                link.company.may_have_changed();
            }
        }
        let checks = links.into_iter().enumerate().map(|(index, link)| {
            let renew = lost || index % CHECKS_PER_RENEWAL == check % CHECKS_PER_RENEWAL;
            async move { self.check(&link, renew).await }
        });
        let mut checks = stream::iter(checks).buffer_unordered(CATCH_UPS_AT_ONCE);
        let (mut count, mut failure) = (0, None);
        while let Some(outcome) = checks.next().await {
            if let Err(error) = outcome {
                count += 1;
                failure = Some(error);
            }
        }
        let Some(error) = failure else { return true };
        tracing::warn!(topics = count, error = &error as &dyn std::error::Error, "topics could not be checked");
        if self.is_deaf.swap(false, Ordering::SeqCst) && self.subscriber.is_connected() {
            // It says that it is, but perhaps there is nobody any more at the other end.
            if let Err(error) = self.subscriber.reconnect().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot connect anew");
            }
        }
        false
    }

    async fn check(&self, link: &Link, renew: bool) -> Result<(), RedisError> {
        if renew || !link.subscription.lock().await.is_live() {
            self.renew(link).await?;
            self.catch_up(link).await?;
        } else if self.catch_up(link).await? > 0 {
            // Perhaps the messages were only about to arrive; perhaps there is nobody any more who sends them to us.
            self.renew(link).await?;
        }
        Ok(())
    }

    async fn renew(&self, link: &Link) -> Result<(), RedisError> {
        let mut subscription = link.subscription.lock().await;
        let outcome = self.subscribe(link.feed.topic()).await;
        if outcome.is_err() {
            subscription.end();
        } else if !subscription.is_live() {
            subscription.begin();
        }
        outcome
    }

    /// Lets go topics that nobody reads any more, and drops events that are too old.
    async fn sweep(&self) {
        let now = self.ambient.now();
        let links = self.links.values();
        for link in &links {
            link.feed.change_quietly(|backlog| backlog.trim(now));
        }
        let idle = links.into_iter().filter(|link| !link.has_readers());
        stream::iter(idle).for_each_concurrent(CATCH_UPS_AT_ONCE, |link| async move { self.let_go(&link).await }).await;
    }

    async fn let_go(&self, link: &Link) {
        let mut subscription = link.subscription.lock().await;
        if link.has_readers() {
            return;
        }
        subscription.end();
        if let Err(error) = self.unsubscribe(link.feed.topic()).await {
            // With the connection, the subscription has gone, too.
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot unsubscribe");
        }
        if self.links.remove_if(link.feed.topic(), |link| !link.has_readers()) {
            self.followed.fetch_sub(1, Ordering::Relaxed);
            self.counters.topics.decrement(1);
        }
    }
}

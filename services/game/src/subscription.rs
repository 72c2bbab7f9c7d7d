//! What one client follows, and the messages that come of it.
//!
//! Nothing is kept for a client that does not read: the bus holds the events, once for all readers on the node.

mod followed;
mod frames;
mod leases;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use pkg_ambient::Ambient;
use pkg_bus::{Bus, Cursor, Delivery, FollowError};
use pkg_middleware::Actor;
use uuid::Uuid;

use self::followed::{Errand, Followed};
pub use self::frames::{Outgoing, frame};
pub use self::leases::Leases;
use crate::presence_signs::Signs;
use crate::rules::Games;
use crate::sessions::{SessionError, Sessions};
use crate::store::StoreError;
use crate::topics::TopicKind;

/// How many deliveries are taken from the bus at once.
const BATCH: usize = 64;

/// What subscriptions on this node share.
pub struct Subscriptions {
    pub bus: Arc<dyn Bus>,
    pub sessions: Sessions,
    pub games: Arc<dyn Games>,
    pub leases: Arc<Leases>,
    pub signs: Arc<Signs>,
    pub ambient: Ambient,
}

/// Who follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follower {
    pub actor: Actor,
    /// The device session of the token.
    pub device: Uuid,
}

/// A topic to follow, after a cursor or from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub kind: TopicKind,
    pub cursor: Option<Cursor>,
}

/// A subscription cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("the topic may not be followed")]
    NotAllowed { topic: String },
    #[error("there is no such topic")]
    NotFound { topic: String },
    #[error("too many topics on one stream")]
    TooManyTopics,
    /// A store or the bus: the same may succeed later.
    #[error("a store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A defect.
    #[error("a store answered something unexpected")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One client's topics. Messages come in the order of each topic, at the pace of the client.
pub struct Subscription {
    /// Absent while it is on an errand.
    home: Option<Box<Followed>>,
    errand: Option<BoxFuture<'static, Returned>>,
    /// What was taken from the bus and not looked at when an errand began: a batch at most.
    rest: VecDeque<Delivery>,
}

struct Returned {
    followed: Box<Followed>,
    outcome: Result<Outgoing, SubscribeError>,
}

thread_local! {
    /// What was just taken from the bus: of every subscription in turn, so that an idle one has no memory for it.
    static TAKEN: RefCell<Vec<Delivery>> = const { RefCell::new(Vec::new()) };
}

impl Subscription {
    /// A subscription without topics.
    pub fn new(shared: Arc<Subscriptions>, follower: Follower) -> Self {
        let home = Some(Box::new(Followed::new(shared, follower)));
        Self { home, errand: None, rest: VecDeque::new() }
    }

    /// Whether it works on something and must be left to it: see [`Subscription::poll`].
    pub fn is_busy(&self) -> bool {
        self.home.is_none()
    }

    /// Begins to follow topics, beside those that are followed. It must not be busy.
    pub fn follow(&mut self, wanted: Vec<Wanted>) {
        self.begin(Errand::Follow(wanted));
    }

    /// Follows a topic no more, and says so. It must not be busy.
    pub fn unfollow(&mut self, kind: &TopicKind, out: &mut Outgoing) {
        if let (Some(followed), Ok(topic)) = (&mut self.home, kind.topic()) {
            followed.unfollow(&topic, out);
            self.rest.retain(|delivery| !followed.has_closed(delivery.topic()));
        }
    }

    /// Adds messages until it is enough, or waits for some. An error is the last that is heard of it.
    pub fn poll(&mut self, context: &mut Context<'_>, out: &mut Outgoing) -> Poll<Result<(), SubscribeError>> {
        loop {
            if let Some(errand) = &mut self.errand {
                let Poll::Ready(Returned { followed, outcome }) = errand.poll_unpin(context) else {
                    return if out.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) };
                };
                self.rest.retain(|delivery| !followed.has_closed(delivery.topic()));
                (self.home, self.errand) = (Some(followed), None);
                match outcome {
                    Ok(mut messages) => messages.take().into_iter().for_each(|frames| out.push(frames)),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if self.deliver_rest(out) {
                continue;
            }
            if out.is_full() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_deliveries(context, out) {
                // Those were all. Whoever sends them asks again, and only then waits.
                Poll::Ready(count) if count < BATCH && !out.is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(_) => {}
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }

    /// What was left over when an errand began. Says whether another one began.
    fn deliver_rest(&mut self, out: &mut Outgoing) -> bool {
        while !out.is_full()
            && let Some(delivery) = self.rest.pop_front()
        {
            if self.deliver(&delivery, out) {
                return true;
            }
        }
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
        false
    }

    /// Says how many there were; none while it is on an errand.
    fn poll_deliveries(&mut self, context: &mut Context<'_>, out: &mut Outgoing) -> Poll<usize> {
        let Some(followed) = &mut self.home else { return Poll::Ready(0) };
        let mut taken = TAKEN.take();
        let polled = followed.reader().poll_batch(context, &mut taken, BATCH);
        for delivery in taken.drain(..) {
            if self.errand.is_some() || out.is_full() {
                self.rest.push_back(delivery);
            } else {
                self.deliver(&delivery, out);
            }
        }
        TAKEN.set(taken);
        polled
    }

    /// Says whether an errand began.
    fn deliver(&mut self, delivery: &Delivery, out: &mut Outgoing) -> bool {
        let errand = self.home.as_mut().and_then(|followed| followed.deliver(delivery, out));
        errand.is_some_and(|errand| {
            self.begin(errand);
            true
        })
    }

    fn begin(&mut self, errand: Errand) {
        let Some(mut followed) = self.home.take() else { return };
        self.errand = Some(Box::pin(async move {
            let outcome = followed.run(errand).await;
            Returned { followed, outcome }
        }));
    }
}

impl SubscribeError {
    /// A failure of the sessions, about a topic.
    fn of_session(error: SessionError, topic: &pkg_bus::Topic) -> Self {
        let topic = topic.as_str().to_owned();
        match error {
            SessionError::NotFound => Self::NotFound { topic },
            SessionError::Refused(_) => Self::NotAllowed { topic },
            SessionError::Store(error) => error.into(),
            error => Self::Unavailable(error.into()),
        }
    }
}

impl From<StoreError> for SubscribeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.into()),
            StoreError::Broken(_) => Self::Broken(error.into()),
        }
    }
}

impl From<FollowError> for SubscribeError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::TooManyTopics => Self::TooManyTopics,
            FollowError::Unavailable(_) => Self::Unavailable(error.into()),
            FollowError::Broken(_) => Self::Broken(error.into()),
        }
    }
}

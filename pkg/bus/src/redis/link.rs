//! What a node knows of a topic that it has readers for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Topic;
use crate::feed::Feed;

/// How many nodes' numbers of unretained messages are remembered for a topic.
const MAX_ORIGINS: usize = 64;

/// A topic that has readers on this node, or had a moment ago.
pub(super) struct Link {
    pub(super) feed: Arc<Feed>,
    pub(super) readers: AtomicUsize,
    /// Held while the subscription is changed, so that changes do not overtake each other.
    pub(super) subscription: tokio::sync::Mutex<Subscription>,
    pub(super) company: Arc<Company>,
    /// Whether the topic is being caught up, and whether it must be once more.
    pub(super) is_catching_up: AtomicBool,
    pub(super) needs_catch_up: AtomicBool,
    /// The number of the last unretained message of each other node.
    origins: Mutex<Vec<(u64, u64)>>,
}

/// Whether messages of a topic arrive.
pub(super) struct Subscription {
    is_live: bool,
    company: Arc<Company>,
}

/// Whether other nodes listen to a topic: if none does, unretained events need not be sent.
///
/// A node that begins to listen says so. Before that, how many get a message tells whether anybody but us does.
#[derive(Default)]
pub(super) struct Company {
    is_listening: AtomicBool,
    /// Counts what speaks for others.
    signs: AtomicU64,
    /// One more than `signs` was when only we got a message.
    alone_since: AtomicU64,
}

impl Link {
    pub(super) fn new(topic: Topic) -> Self {
        let company = Arc::new(Company::default());
        Self {
            feed: Arc::new(Feed::new(topic)),
            readers: AtomicUsize::new(0),
            subscription: tokio::sync::Mutex::new(Subscription { is_live: false, company: company.clone() }),
            company,
            is_catching_up: AtomicBool::new(false),
            needs_catch_up: AtomicBool::new(false),
            origins: Mutex::default(),
        }
    }

    pub(super) fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }

    /// Whether an unretained message is the next one of its node, and not one that was overtaken.
    pub(super) fn is_in_order(&self, node: u64, number: u64) -> bool {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, last)) = origins.iter_mut().find(|(origin, _)| *origin == node) {
            let is_next = number > *last;
            *last = number.max(*last);
            return is_next;
        }
        if origins.len() == MAX_ORIGINS {
            origins.remove(0);
        }
        origins.push((node, number));
        true
    }
}

impl Subscription {
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn begin(&mut self) {
        self.is_live = true;
        self.company.may_have_changed();
        self.company.is_listening.store(true, Ordering::SeqCst);
    }

    pub(super) fn end(&mut self) {
        self.is_live = false;
        self.company.is_listening.store(false, Ordering::SeqCst);
        self.company.may_have_changed();
    }
}

impl Company {
    pub(super) fn is_alone(&self) -> bool {
        self.alone_since.load(Ordering::SeqCst) == self.signs.load(Ordering::SeqCst) + 1
    }

    /// Somebody else listens, or we may have missed that they said so.
    pub(super) fn may_have_changed(&self) {
        self.signs.fetch_add(1, Ordering::SeqCst);
    }

    /// To be taken before a message is sent, for [`Company::learn`].
    pub(super) fn before_sending(&self) -> Option<u64> {
        let signs = self.signs.load(Ordering::SeqCst);
        self.is_listening.load(Ordering::SeqCst).then_some(signs)
    }

    /// So many listeners got the message.
    pub(super) fn learn(&self, before: Option<u64>, listeners: u64) {
        if let (Some(signs), 0..=1) = (before, listeners) {
            self.alone_since.store(signs + 1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overtaken_messages_are_known_by_their_number() {
        let link = Link::new(Topic::new("t").unwrap());
        let order = [(1, 5), (2, 1), (1, 4), (1, 6), (2, 1)].map(|(node, number)| link.is_in_order(node, number));
        assert_eq!(order, [true, true, false, true, false]);
    }

    #[test]
    fn who_hears_of_others_meanwhile_is_not_alone() {
        let link = Link::new(Topic::new("t").unwrap());
        let mut subscription = link.subscription.try_lock().unwrap();
        let company = &link.company;
        // Who does not listen was not counted.
        company.learn(company.before_sending(), 1);
        assert!(!company.is_alone());

        subscription.begin();
        company.learn(company.before_sending(), 2);
        assert!(!company.is_alone());
        let before = company.before_sending();
        company.may_have_changed();
        company.learn(before, 1);
        assert!(!company.is_alone());
        company.learn(company.before_sending(), 1);
        assert!(company.is_alone());
        subscription.end();
        assert!(!company.is_alone());
    }
}

//! What happens to the tickets of games, heard on sharded Pub/Sub: a channel for each game, in the slot of its tickets.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pkg_definition::Key;
use pkg_redis::{ConnectError, Incoming, Notices, Redis, Subscriber};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{News, StoreError};

/// How many news wait for a receiver; the oldest ones are dropped for a slower one, which is told.
pub(super) const NEWS_BUFFER: usize = 1_024;
/// How many messages of all channels wait to be sorted.
const MESSAGE_BUFFER: usize = 8_192;
/// How often all subscriptions are made anew: a slot that moves takes them away, and a dead peer says nothing.
const RENEWAL: Duration = Duration::from_secs(10);

/// The channels that this process listens to.
pub(super) struct NewsHub {
    subscriber: Subscriber,
    channels: Mutex<HashMap<String, broadcast::Sender<News>>>,
    /// Held while a channel is subscribed to or let go, so that the last one to do so is right.
    turn: tokio::sync::Mutex<()>,
}

impl NewsHub {
    /// Connects, and listens until this is dropped.
    pub(super) async fn connect(redis: &Redis) -> Result<Arc<Self>, ConnectError> {
        let (subscriber, notices) = redis.subscriber(MESSAGE_BUFFER).await?;
        let hub = Arc::new(Self { subscriber, channels: Mutex::default(), turn: tokio::sync::Mutex::default() });
        tokio::spawn(listen(Arc::downgrade(&hub), notices));
        Ok(hub)
    }

    /// Once this returns, everything that is told later arrives.
    pub(super) async fn follow(&self, channel: String) -> Result<broadcast::Receiver<News>, StoreError> {
        let _turn = self.turn.lock().await;
        if let Some(known) = self.lock().get(&channel) {
            return Ok(known.subscribe());
        }
        self.subscriber.subscribe(&channel).await?;
        let (sender, receiver) = broadcast::channel(NEWS_BUFFER);
        self.lock().insert(channel, sender);
        Ok(receiver)
    }

    pub(super) async fn close(&self) {
        self.subscriber.close().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<News>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, channel: &str, message: &[u8]) {
        let Some(news) = read(message) else { return };
        if let Some(sender) = self.lock().get(channel) {
            // Nobody may be there any more.
            drop(sender.send(news));
        }
    }

    fn tell_missed(&self) {
        for sender in self.lock().values() {
            drop(sender.send(News::Missed));
        }
    }

    /// Subscribes to every channel again; those without receivers are let go.
    async fn renew(&self) {
        let _turn = self.turn.lock().await;
        let channels: Vec<String> = self.lock().keys().cloned().collect();
        for channel in channels {
            let is_followed = self.lock().get(&channel).is_some_and(|sender| sender.receiver_count() > 0);
            let outcome = if is_followed {
                self.subscriber.subscribe(&channel).await
            } else {
                self.lock().remove(&channel);
                self.subscriber.unsubscribe(&channel).await
            };
            if let Err(error) = outcome {
                tracing::debug!(channel, error = &error as &dyn Error, "cannot subscribe to news of tickets");
                return;
            }
        }
    }
}

async fn listen(hub: Weak<NewsHub>, mut notices: Notices) {
    let mut renewal = tokio::time::interval(RENEWAL);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let incoming = tokio::select! {
            incoming = notices.next() => Some(incoming),
            _ = renewal.tick() => None,
        };
        let Some(hub) = hub.upgrade() else { return };
        match incoming {
            None => hub.renew().await,
            Some(Incoming::Message { channel, payload }) => hub.tell(&channel, &payload),
            Some(Incoming::Reconnected) => {
                hub.renew().await;
                hub.tell_missed();
            }
            Some(Incoming::Lagged) => hub.tell_missed(),
            Some(Incoming::Closed) => return,
        }
    }
}

fn read(message: &[u8]) -> Option<News> {
    let text = std::str::from_utf8(message).ok()?;
    if let Some(queue) = text.strip_prefix('A') {
        return Key::parse(queue).map(News::Arrived);
    }
    let ids = |list: &str| list.split(',').map(|id| Uuid::try_parse(id).ok()).collect::<Option<Vec<Uuid>>>();
    match text.strip_prefix('M') {
        Some(list) => ids(list).map(News::Claimed),
        None => ids(text.strip_prefix('C')?).map(News::Changed),
    }
}

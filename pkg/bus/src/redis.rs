//! The bus of many processes, by Redis.
//!
//! A topic is a stream, a hash that says which incarnation it is and where it ends, and a channel of sharded Pub/Sub, all
//! in the slot of the topic. A node subscribes to the topics that it has readers for, once each, and each message carries
//! the events themselves and the offset before them: as long as there is no hole, nothing is read. Pub/Sub may lose
//! messages at any time. Holes, reconnections and a look at every topic every few seconds lead to reading the stream from
//! where the node is, so nothing that is retained is lost.

mod answer;
mod link;
mod listening;
mod message;
mod outbox;
mod publication;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::PubsubInterface;
use fred::types::Value;
use pkg_ambient::Ambient;
use pkg_redis::{ConnectError, Redis, RedisError, Script, ScriptBatcher, Subscriber};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::answer::{bytes, list, number, text};
use self::link::Link;
use self::outbox::Outbox;
use self::publication::{Keys, epoch_text, read_epoch};
use crate::backlog::Page;
use crate::counters::Counters;
use crate::feed::{Attachment, Source};
use crate::topic_map::TopicMap;
use crate::{
    Bus, Cursor, Event, FollowError, NewEvent, PAGE_BYTES, PAGE_EVENTS, PublishError, Published, Reader, Retention,
    Retentions, Topic, check_size,
};

pub use publication::{POSITION_LUA, PUBLISH_LUA, Position, Publication};

/// How many messages of other nodes wait to be read; if there are more, the streams are read instead.
const INBOX: usize = 16_384;
/// How many topics are caught up at the same time.
const CATCH_UPS_AT_ONCE: usize = 32;

static PUBLISH: LazyLock<Script> =
    LazyLock::new(|| Script::with_library(PUBLISH_LUA, include_str!("redis/publish_all.lua")));
static READ: LazyLock<Script> = LazyLock::new(|| Script::with_library(POSITION_LUA, include_str!("redis/read.lua")));

/// Topics in Redis, or in a Redis Cluster. Readers on this node end with it.
pub struct RedisBus {
    shared: Arc<Shared>,
    publishing: ScriptBatcher,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Shared {
    redis: Redis,
    ambient: Ambient,
    retentions: Retentions,
    /// Who we are, to know our own messages by.
    node: u64,
    subscriber: Subscriber,
    links: TopicMap<Link>,
    followed: AtomicUsize,
    outbox: Outbox,
    catch_ups: Semaphore,
    /// Whether messages are missing on any topic, and wakes who does something about it.
    lost: AtomicBool,
    /// Whether a subscription failed.
    is_deaf: AtomicBool,
    has_lost: Notify,
    counters: Counters,
    tasks: TaskTracker,
}

impl RedisBus {
    /// Joins the bus: all nodes whose [`Redis`] has the same prefix. Takes a connection of its own for what others say.
    pub async fn connect(redis: Redis, ambient: Ambient, retentions: Retentions) -> Result<Self, ConnectError> {
        let (subscriber, notices) = redis.subscriber(INBOX).await?;
        let (outbox, queue) = outbox::new();
        let publishing = ScriptBatcher::spawn(redis.clone(), &PUBLISH);
        let tasks = TaskTracker::new();
        let shared = Arc::new(Shared {
            redis,
            node: u64::from_ne_bytes(ambient.random()),
            ambient,
            retentions,
            subscriber,
            links: TopicMap::new(),
            followed: AtomicUsize::new(0),
            outbox,
            catch_ups: Semaphore::new(CATCH_UPS_AT_ONCE),
            lost: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            has_lost: Notify::new(),
            counters: Counters::new(),
            tasks: tasks.clone(),
        });
        let stop = CancellationToken::new();
        tasks.spawn(stop.clone().run_until_cancelled_owned(outbox::send(shared.clone(), queue)));
        tasks.spawn(stop.clone().run_until_cancelled_owned(listening::keep(shared.clone())));
        tasks.spawn(listening::listen(shared.clone(), notices, stop.clone()));
        Ok(Self { shared, publishing, tasks, stop })
    }

    /// Events that a script of a store publishes together with what it writes: see [`PUBLISH_LUA`]. They are kept as for
    /// [`Bus::publish`].
    pub fn publication(
        &self,
        topic: &Topic,
        events: &[NewEvent],
        retention: Option<Retention>,
    ) -> Result<Publication, PublishError> {
        check_size(events.iter().map(|event| &event.payload))?;
        let Shared { redis, ambient, retentions, counters, .. } = &*self.shared;
        counters.published.increment(events.len() as u64);
        let retention = retention.unwrap_or_else(|| retentions.of(topic));
        Ok(Publication::new(redis, ambient, retention, topic, events))
    }

    /// Where a topic is, to be asked by the script of a store together with what it reads: see [`POSITION_LUA`].
    #[must_use]
    pub fn position(&self, topic: &Topic) -> Position {
        let Shared { redis, ambient, retentions, .. } = &*self.shared;
        Position::new(redis, ambient, retentions.of(topic).memory(), topic)
    }

    /// Leaves the bus: readers on this node get nothing more. Returns when all tasks have ended.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn run(&self, publication: Publication) -> Result<Vec<Published>, PublishError> {
        let answer = self.publishing.call(publication.keys().to_vec(), publication.arguments()).await?;
        Publication::published(answer).map(|(published, _end)| published)
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(
        &self,
        topic: &Topic,
        events: &[NewEvent],
        retention: Option<Retention>,
    ) -> Result<Vec<Published>, PublishError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.run(self.publication(topic, events, retention)?).await
    }

    fn publish_unretained(&self, topic: &Topic, payload: Bytes) -> Result<(), PublishError> {
        check_size([&payload].into_iter())?;
        let Shared { links, counters, ambient, outbox, .. } = &*self.shared;
        counters.published_unretained.increment(1);
        let link = links.get(topic.as_str());
        if let Some(link) = &link {
            let now = ambient.now();
            let event = Event::unretained(topic.clone(), now, payload.clone());
            link.feed.change(|backlog| {
                if backlog.is_open() {
                    backlog.push(event, now);
                }
            });
        }
        if !link.is_some_and(|link| link.company.is_alone()) && !outbox.add(topic, payload) {
            counters.not_sent_to_other_nodes.increment(1);
        }
        Ok(())
    }

    async fn end(&self, topic: &Topic) -> Result<(), PublishError> {
        self.run(self.publication(topic, &[], None)?.and_end()).await?;
        Ok(())
    }

    fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    fn topics(&self) -> usize {
        self.shared.followed.load(Ordering::Relaxed)
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    async fn read_page(&self, topic: &Topic, after: Option<u64>) -> Result<Page, RedisError> {
        let Keys { topic: state, stream, ids, .. } = Keys::new(&self.redis, topic);
        let memory = self.retentions.of(topic).memory().as_millis();
        let arguments = vec![
            epoch_text(u64::from_ne_bytes(self.ambient.random())),
            memory.to_string(),
            after.map_or(String::new(), |after| after.to_string()),
            PAGE_EVENTS.to_string(),
            PAGE_BYTES.to_string(),
        ];
        let answer: Value = READ.run(&self.redis, vec![state, stream, ids], arguments).await?;
        page(topic, answer)
    }

    /// Listens to a topic from now on, and tells the other nodes.
    async fn subscribe(&self, topic: &Topic) -> Result<(), RedisError> {
        let channel = Keys::new(&self.redis, topic).channel;
        self.subscriber.subscribe(&channel).await.inspect_err(|_| self.is_deaf.store(true, Ordering::SeqCst))?;
        let client = self.redis.ordered_client(&channel)?;
        Ok(client.spublish(channel, message::hello(self.node)).await?)
    }

    async fn unsubscribe(&self, topic: &Topic) -> Result<(), RedisError> {
        self.subscriber.unsubscribe(&Keys::new(&self.redis, topic).channel).await
    }
}

#[async_trait]
impl Source for Shared {
    async fn attach(self: Arc<Self>, topic: &Topic) -> Result<Attachment, FollowError> {
        let make = || {
            self.followed.fetch_add(1, Ordering::Relaxed);
            self.counters.topics.increment(1);
            Link::new(topic.clone())
        };
        let link = self.links.get_or_insert(topic, make, |link| {
            link.readers.fetch_add(1, Ordering::AcqRel);
        });
        let mut attachment = Attachment::new(self.clone(), link.feed.clone());
        let mut subscription = link.subscription.lock().await;
        let is_open = link.feed.backlog().is_open();
        if !subscription.is_live() {
            self.subscribe(topic).await?;
            subscription.begin();
            if is_open {
                self.catch_up(&link).await?;
            }
        }
        if !is_open {
            // Subscribed first, so that everything after this end arrives.
            let page = self.read_page(topic, None).await?;
            let missed = link.feed.change(|backlog| backlog.open(page.end, page.ended));
            attachment.is_first = true;
            if missed {
                self.request_catch_up(&link);
            }
        }
        drop(subscription);
        Ok(attachment)
    }

    async fn read(&self, topic: &Topic, after: Option<u64>) -> Result<Page, FollowError> {
        Ok(self.read_page(topic, after).await?)
    }

    /// The link is let go by [`listening::keep`], unless readers come back soon.
    fn detach(&self, topic: &Topic) {
        if let Some(link) = self.links.get(topic.as_str()) {
            link.readers.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// What `read.lua` answered.
fn page(topic: &Topic, answer: Value) -> Result<Page, RedisError> {
    let mut parts = list(answer)?.into_iter();
    let epoch = read_epoch(&text(parts.next())?)?;
    let offset = number(parts.next())?;
    let (ended, more) = (number(parts.next())? == 1, number(parts.next())? == 1);
    let (mut previous, mut events) = (None, Vec::new());
    for part in list(parts.next().unwrap_or(Value::Null))? {
        let mut fields = list(part)?.into_iter();
        let cursor = Cursor { epoch, offset: number(fields.next())? };
        let before = number(fields.next())?;
        previous.get_or_insert(before);
        // A copy: the answer is one piece of memory, however few of its events are kept.
        let payload = Bytes::copy_from_slice(&bytes(fields.next())?);
        events.push(Event::retained(topic.clone(), cursor, payload));
    }
    Ok(Page { end: Cursor { epoch, offset }, ended, previous, events, more })
}

impl From<RedisError> for FollowError {
    fn from(error: RedisError) -> Self {
        if error.is_unavailable() { Self::Unavailable(Box::new(error)) } else { Self::Broken(Box::new(error)) }
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod own_cluster;
#[cfg(test)]
mod real_cluster;
#[cfg(test)]
mod real_redis;

//! Where tickets are: their ids are all that calls of players say.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use fred::interfaces::KeysInterface;
use futures::future::try_join_all;
use pkg_db::to_millis;
use pkg_definition::Key;
use pkg_redis::{Redis, RedisError, Script};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::super::tickets::{FORGOTTEN_AFTER_EXPIRY, KEPT_AFTER_END, NewTicket};
use super::super::{QueueId, StoreError};
use super::READ_AT_ONCE;

static POINT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../ticket_point.lua")));

/// How many tickets are known without asking; about 100 bytes each…
const KNOWN: usize = 100_000;
/// …and how many queues they share.
const QUEUES: usize = 10_000;

/// Items of a list, by the queue that they are of.
pub(super) type ByQueue = Vec<(Arc<QueueId>, Vec<usize>)>;

/// What one command asks for: places in a list, and their keys.
type Step = (Vec<usize>, Vec<String>);

/// Leads from ids to queues.
pub(super) struct Places {
    redis: Redis,
    known: Cache<Uuid, Arc<QueueId>>,
    queues: Cache<QueueId, Arc<QueueId>>,
}

impl Places {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, known: Cache::new(KNOWN), queues: Cache::new(QUEUES) }
    }

    pub(super) fn learn(&self, ticket: Uuid, queue: &QueueId) {
        if self.known.get(&ticket).is_none() {
            self.known.insert(ticket, self.shared(queue));
        }
    }

    fn shared(&self, queue: &QueueId) -> Arc<QueueId> {
        self.queues.get(queue).unwrap_or_else(|| {
            let shared = Arc::new(queue.clone());
            self.queues.insert(queue.clone(), shared.clone());
            shared
        })
    }

    /// The queues of these tickets, without those that nothing leads to.
    pub(super) async fn queues_of(&self, tickets: &[Uuid]) -> Result<ByQueue, StoreError> {
        let mut unknown = Vec::new();
        let mut queues: Vec<Option<Arc<QueueId>>> = Vec::with_capacity(tickets.len());
        for (place, ticket) in tickets.iter().enumerate() {
            let known = self.known.get(ticket);
            if known.is_none() {
                unknown.push((place, self.key(*ticket)));
            }
            queues.push(known);
        }
        let reads = self.in_slots(unknown).into_iter().map(async |(places, keys)| {
            let found: Vec<Option<String>> = self.redis.client()?.mget(keys).await?;
            Ok::<_, RedisError>((places, found))
        });
        for (places, found) in try_join_all(reads).await? {
            for (place, text) in places.into_iter().zip(found) {
                let Some(text) = text else { continue };
                let queue = read(&text)?;
                self.learn(tickets[place], &queue);
                queues[place] = Some(self.shared(&queue));
            }
        }
        Ok(by_queue(queues.into_iter().enumerate().filter_map(|(place, queue)| Some((place, queue?)))))
    }

    /// Notes where new tickets will be, before they are. Those are left out whose id is that of a ticket elsewhere.
    pub(super) async fn note(&self, batch: &[NewTicket]) -> Result<ByQueue, StoreError> {
        let keys = batch.iter().enumerate().map(|(place, new)| (place, self.key(new.ticket.id))).collect();
        let writes = self.in_slots(keys).into_iter().map(async |(places, keys)| {
            let arguments = places.iter().flat_map(|place| {
                let forgotten = batch[*place].expires + FORGOTTEN_AFTER_EXPIRY + KEPT_AFTER_END;
                [write(&batch[*place].queue), to_millis(forgotten).to_string()]
            });
            let noted: Vec<String> = POINT.run(&self.redis, keys, arguments.collect::<Vec<_>>()).await?;
            Ok::<_, RedisError>((places, noted))
        });
        let mut here = Vec::new();
        for (places, noted) in try_join_all(writes).await? {
            for (place, noted) in places.into_iter().zip(noted) {
                let new = &batch[place];
                if noted == write(&new.queue) {
                    let queue = self.shared(&new.queue);
                    self.known.insert(new.ticket.id, queue.clone());
                    here.push((place, queue));
                }
            }
        }
        Ok(by_queue(here.into_iter()))
    }

    fn key(&self, ticket: Uuid) -> String {
        self.redis.key(&["matchmaking", "queue_of", &ticket.as_hyphenated().to_string()])
    }

    /// Puts together what one command may ask for.
    fn in_slots(&self, keys: Vec<(usize, String)>) -> Vec<Step> {
        let mut slots: HashMap<u16, Vec<Step>> = HashMap::new();
        for (place, key) in keys {
            let steps = slots.entry(self.redis.slot_of(&key)).or_default();
            if steps.last().is_none_or(|(places, _)| places.len() == READ_AT_ONCE) {
                steps.push((Vec::new(), Vec::new()));
            }
            if let Some((places, keys)) = steps.last_mut() {
                places.push(place);
                keys.push(key);
            }
        }
        slots.into_values().flatten().collect()
    }
}

fn by_queue(items: impl Iterator<Item = (usize, Arc<QueueId>)>) -> ByQueue {
    let mut queues: HashMap<Arc<QueueId>, Vec<usize>> = HashMap::new();
    for (place, queue) in items {
        queues.entry(queue).or_default().push(place);
    }
    for places in queues.values_mut() {
        places.sort_unstable();
    }
    queues.into_iter().collect()
}

fn write(queue: &QueueId) -> String {
    format!("{}/{}", queue.game.as_hyphenated(), queue.key)
}

fn read(text: &str) -> Result<QueueId, StoreError> {
    let parts = text.split_once('/');
    let queue =
        parts.and_then(|(game, key)| Some(QueueId { game: Uuid::try_parse(game).ok()?, key: Key::parse(key)? }));
    queue.ok_or_else(|| StoreError::broken("a ticket's queue is damaged"))
}

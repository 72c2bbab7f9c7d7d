//! Device sessions in Redis: a string per user, the version and the body with a blank between.
//!
//! Loads and saves that come at the same time are made as one command; on a cluster, one for each hash slot.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_trait::async_trait;
use fred::interfaces::KeysInterface;
use futures::future::join_all;
use pkg_batching::Batcher;
use pkg_db::to_millis;
use pkg_redis::{Redis, RedisError, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DeviceSessionStore, Loaded, StoreError, decode, encode};

/// For each key, three arguments: the version expected, the value to store, and when to forget it (ms). Answers with 1
/// for each key whose version was the expected one.
static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local saved = {}
         for i, key in ipairs(KEYS) do
             local old = redis.call('GET', key)
             local version = old and string.match(old, '^%d+') or '0'
             if version == ARGV[3 * i - 2] then
                 redis.call('SET', key, ARGV[3 * i - 1], 'PXAT', ARGV[3 * i])
                 saved[i] = 1
             else
                 saved[i] = 0
             end
         end
         return saved",
    )
});

/// The real store of device sessions.
#[derive(Clone)]
pub struct RedisDeviceSessions {
    redis: Redis,
    loads: Batcher<String, Result<Option<String>, StoreError>>,
    saves: Batcher<Save, Result<bool, StoreError>>,
}

struct Save {
    key: String,
    arguments: [String; 3],
}

impl RedisDeviceSessions {
    /// The sessions under the prefix of this connection. To be called on a runtime.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        let (loading, saving) = (redis.clone(), redis.clone());
        Self {
            redis,
            loads: Batcher::spawn(move |keys| load(loading.clone(), keys)),
            saves: Batcher::spawn(move |batch| save(saving.clone(), batch)),
        }
    }

    fn key(&self, user: Uuid) -> String {
        self.redis.key(&["auth", "sessions", user.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())])
    }
}

#[async_trait]
impl DeviceSessionStore for RedisDeviceSessions {
    async fn load(&self, user: Uuid) -> Result<Loaded, StoreError> {
        let Some(value) = self.loads.call(self.key(user)).await?? else { return Ok(Loaded::default()) };
        let (version, body) = value.split_once(' ').ok_or_else(|| StoreError::broken("sessions without a version"))?;
        decode(version.parse().map_err(|_| StoreError::broken(format!("the version {version:?}")))?, body)
    }

    async fn save(
        &self,
        user: Uuid,
        loaded: &Loaded,
        _now: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let value = format!("{} {}", loaded.version + 1, encode(loaded)?);
        let arguments = [loaded.version.to_string(), value, to_millis(keep_until).to_string()];
        self.saves.call(Save { key: self.key(user), arguments }).await?
    }
}

async fn load(redis: Redis, keys: Vec<String>) -> Vec<Result<Option<String>, StoreError>> {
    in_slots(&redis, keys, String::as_str, load_slot).await
}

async fn load_slot(redis: Redis, keys: Vec<String>) -> Result<Vec<Option<String>>, RedisError> {
    Ok(redis.client()?.mget(keys).await?)
}

async fn save(redis: Redis, saves: Vec<Save>) -> Vec<Result<bool, StoreError>> {
    in_slots(&redis, saves, |save| &save.key, save_slot).await
}

async fn save_slot(redis: Redis, saves: Vec<Save>) -> Result<Vec<bool>, RedisError> {
    let (keys, arguments): (Vec<String>, Vec<[String; 3]>) =
        saves.into_iter().map(|save| (save.key, save.arguments)).unzip();
    let outcomes: Vec<i64> = SAVE.run(&redis, keys, arguments.concat()).await?;
    Ok(outcomes.into_iter().map(|outcome| outcome == 1).collect())
}

/// Runs a command for all items, or on a cluster one for the items of each hash slot, and answers in their order.
async fn in_slots<I, O, F>(
    redis: &Redis,
    items: Vec<I>,
    key: fn(&I) -> &str,
    command: fn(Redis, Vec<I>) -> F,
) -> Vec<Result<O, StoreError>>
where
    F: Future<Output = Result<Vec<O>, RedisError>>,
{
    let mut answers: Vec<Result<O, StoreError>> =
        items.iter().map(|_| Err(StoreError::broken("a command answered too little"))).collect();
    let mut slots: HashMap<u16, (Vec<usize>, Vec<I>)> = HashMap::new();
    for (place, item) in items.into_iter().enumerate() {
        let (places, slot) = slots.entry(redis.slot_of(key(&item))).or_default();
        places.push(place);
        slot.push(item);
    }
    let commands = slots.into_values().map(async |(places, slot)| (places, command(redis.clone(), slot).await));
    for (places, outcome) in join_all(commands).await {
        match outcome {
            Ok(outputs) => {
                for (place, output) in places.into_iter().zip(outputs) {
                    answers[place] = Ok(output);
                }
            }
            Err(error) => {
                let failed = StoreError::from(error);
                for place in places {
                    answers[place] = Err(failed.clone());
                }
            }
        }
    }
    answers
}

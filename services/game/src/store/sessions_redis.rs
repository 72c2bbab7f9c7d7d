//! Sessions in Redis. What belongs to one session lies in the slot of its topic, so that a script changes it and tells of
//! it in one step:
//!
//! - `session`: a hash of the revision, the body as JSON, whether it goes on, and where its topic began;
//! - `connections`: a sorted set of `user/stream`, by the end of the lease;
//! - `entities` and `entity_ids`: see [`super::entities_redis`].

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::Value;
use futures::future::join_all;
use pkg_batching::{Batcher, MAX_BATCH};
use pkg_bus::{POSITION_LUA, PUBLISH_LUA, Position, Publication, RedisBus, Topic};
use pkg_db::{from_millis, to_millis};
use pkg_redis::{Redis, RedisError, Script, ScriptBatcher};
use time::OffsetDateTime;
use uuid::Uuid;

use super::session_index_redis::CHANGE_INDEX;
use super::sessions::{Commit, Committed, Connected, Lease, Loaded, SessionStore};
use super::{StoreError, unpublished};
use crate::session::Session;
use crate::sessions::topic;

static LOAD: LazyLock<Script> = LazyLock::new(|| Script::with_library(POSITION_LUA, include_str!("session_load.lua")));
static COMMIT: LazyLock<Script> =
    LazyLock::new(|| Script::with_library(PUBLISH_LUA, include_str!("session_commit.lua")));
static CONNECT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("session_connect.lua")));
/// Those that end now have ended.
static CONNECTED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
         return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
    )
});
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("session_renew.lua")));

/// How many sessions one script loads at most: a body has up to 200 KiB.
const LOADED_AT_ONCE: usize = 32;

/// The real store of sessions and of what leads to them.
#[derive(Clone)]
pub struct RedisSessions {
    pub(super) redis: Redis,
    pub(super) bus: Arc<RedisBus>,
    loads: Batcher<Uuid, Result<Option<Loaded>, StoreError>>,
    commits: ScriptBatcher,
    pub(super) index: ScriptBatcher,
}

impl RedisSessions {
    /// The sessions under the prefix of this connection, whose topics are on this bus. To be called on a runtime.
    #[must_use]
    pub fn new(redis: Redis, bus: Arc<RedisBus>) -> Self {
        let loading = (redis.clone(), bus.clone());
        let loads = Batcher::spawn(move |ids: Vec<Uuid>| {
            let (redis, bus) = loading.clone();
            async move { load(&redis, &bus, &ids).await }
        });
        let commits = ScriptBatcher::spawn(redis.clone(), &COMMIT);
        let index = ScriptBatcher::spawn(redis.clone(), &CHANGE_INDEX);
        Self { redis, bus, loads, commits, index }
    }

    pub(super) fn key(&self, session: Uuid, name: &str) -> String {
        key(&self.redis, session, name)
    }
}

pub(super) fn key(redis: &Redis, session: Uuid, name: &str) -> String {
    redis.key_in_slot(topic(session).as_str(), &["session", name])
}

fn member(lease: &Lease) -> String {
    format!("{}/{}", lease.user, lease.stream)
}

#[async_trait]
impl SessionStore for RedisSessions {
    async fn load(&self, id: Uuid) -> Result<Option<Loaded>, StoreError> {
        self.loads.call(id).await?
    }

    async fn load_many(&self, ids: &[Uuid]) -> Result<Vec<Option<Loaded>>, StoreError> {
        load(&self.redis, &self.bus, ids).await.into_iter().collect()
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let session = &commit.session;
        let topic: Topic = topic(session.id);
        let kept = Some(session.rules.events.kept());
        let publication = self.bus.publication(&topic, &commit.events, kept).map_err(unpublished)?;
        let publication = if commit.ends_topic { publication.and_end() } else { publication };
        let names = ["session", "entities", "entity_ids"].map(|name| self.key(session.id, name));
        let keys: Vec<String> = names.into_iter().chain(publication.keys()).collect();
        let body = serde_json::to_vec(session).map_err(StoreError::broken)?;
        let mut arguments = vec![
            Value::from(commit.revision.to_string()),
            Value::from(Bytes::from(body)),
            Value::from(to_millis(session.keep_until()).to_string()),
            flag(!session.is_over()),
            flag(commit.drops_content),
        ];
        arguments.extend(publication.arguments());
        let mut answer = parts(self.commits.call(keys, arguments).await?)?.into_iter();
        match answer.next().and_then(|outcome| outcome.as_i64()) {
            Some(0) => Ok(Committed::Conflict),
            Some(1) => {
                let told = answer.next().unwrap_or(Value::Null);
                let (published, cursor) = Publication::published(told).map_err(unpublished)?;
                Ok(Committed::Done { first: published.first().and_then(|event| event.cursor), cursor })
            }
            _ => Err(unexpected("the topic of a session has ended before it")),
        }
    }

    async fn connect(&self, lease: &Lease, until: OffsetDateTime) -> Result<bool, StoreError> {
        let keys = vec![self.key(lease.session, "session"), self.key(lease.session, "connections")];
        let arguments = vec![member(lease), to_millis(until).to_string()];
        let is_there: i64 = CONNECT.run(&self.redis, keys, arguments).await?;
        Ok(is_there == 1)
    }

    async fn disconnect(&self, lease: &Lease) -> Result<(), StoreError> {
        let keys = vec![self.key(lease.session, "session"), self.key(lease.session, "connections")];
        let _: i64 = CONNECT.run(&self.redis, keys, vec![member(lease), String::new()]).await?;
        Ok(())
    }

    async fn renew(&self, leases: &[Lease], until: OffsetDateTime) -> Result<Vec<bool>, StoreError> {
        let until = to_millis(until).to_string();
        let mut held = vec![false; leases.len()];
        let slots = in_slots(&self.redis, leases.iter().enumerate(), |(_, lease)| lease.session, MAX_BATCH);
        let scripts = slots.into_iter().map(async |slot| {
            let keys: Vec<String> = slot.iter().map(|(_, lease)| self.key(lease.session, "connections")).collect();
            let arguments = [until.clone()].into_iter().chain(slot.iter().map(|(_, lease)| member(lease)));
            let answer: Vec<i64> = RENEW.run(&self.redis, keys, arguments.collect::<Vec<_>>()).await?;
            Ok::<_, StoreError>(slot.into_iter().map(|(place, _)| place).zip(answer).collect::<Vec<_>>())
        });
        for outcome in join_all(scripts).await {
            for (place, is_held) in outcome? {
                held[place] = is_held == 1;
            }
        }
        Ok(held)
    }

    async fn connected(&self, session: Uuid, now: OffsetDateTime) -> Result<Connected, StoreError> {
        let arguments = vec![to_millis(now).to_string()];
        let answer: Value = CONNECTED.run(&self.redis, vec![self.key(session, "connections")], arguments).await?;
        let mut connected = Connected::default();
        let mut leases = parts(answer)?.into_iter();
        while let (Some(lease), Some(until)) = (leases.next(), leases.next()) {
            let lease = lease.into_string().unwrap_or_default();
            let user = lease.split_once('/').and_then(|(user, _)| Uuid::try_parse(user).ok());
            connected.users.insert(user.ok_or_else(|| unexpected("a lease of nobody"))?);
            let until = from_millis(until.as_i64().ok_or_else(|| unexpected("a lease without an end"))?);
            connected.next_end = Some(connected.next_end.map_or(until, |next: OffsetDateTime| next.min(until)));
        }
        Ok(connected)
    }
}

async fn load(redis: &Redis, bus: &RedisBus, ids: &[Uuid]) -> Vec<Result<Option<Loaded>, StoreError>> {
    let mut answers: Vec<Result<Option<Loaded>, StoreError>> =
        ids.iter().map(|_| Err(unexpected("a script answered too little"))).collect();
    let slots = in_slots(redis, ids.iter().copied().enumerate(), |(_, id)| *id, LOADED_AT_ONCE);
    let scripts = slots.into_iter().map(async |slot| {
        let (mut keys, mut arguments) = (Vec::new(), Vec::new());
        for (_, id) in &slot {
            let position = bus.position(&topic(*id));
            keys.push(key(redis, *id, "session"));
            keys.extend(position.keys());
            arguments.extend(position.arguments());
        }
        let answer: Result<Value, RedisError> = LOAD.run(redis, keys, arguments).await;
        (slot, answer)
    });
    for (slot, answer) in join_all(scripts).await {
        match answer {
            Ok(values) => {
                let values = parts(values).unwrap_or_default();
                for ((place, _), value) in slot.into_iter().zip(values) {
                    answers[place] = read(value);
                }
            }
            Err(error) => {
                let failed = StoreError::from(error);
                for (place, _) in slot {
                    answers[place] = Err(failed.clone());
                }
            }
        }
    }
    answers
}

fn read(value: Value) -> Result<Option<Loaded>, StoreError> {
    let Value::Array(fields) = value else { return Ok(None) };
    let mut fields = fields.into_iter();
    let revision = fields.next().and_then(|revision| revision.as_i64());
    let body = fields.next().and_then(Value::into_bytes).ok_or_else(|| unexpected("a session without a body"))?;
    let session: Session = serde_json::from_slice(&body).map_err(StoreError::broken)?;
    Ok(Some(Loaded {
        session,
        revision: revision.ok_or_else(|| unexpected("a session without a revision"))?,
        cursor: Position::read(fields.next().unwrap_or(Value::Null))?,
        begin: fields.next().filter(Value::is_array).map(Position::read).transpose()?,
    }))
}

/// Puts together what one script may do: what lies in one slot, and not too much of it.
fn in_slots<T>(
    redis: &Redis,
    items: impl Iterator<Item = T>,
    session: impl Fn(&T) -> Uuid,
    most: usize,
) -> Vec<Vec<T>> {
    let mut slots: HashMap<u16, Vec<Vec<T>>> = HashMap::new();
    for item in items {
        let parts = slots.entry(redis.slot_of(&key(redis, session(&item), "session"))).or_default();
        match parts.last_mut().filter(|part| part.len() < most) {
            Some(part) => part.push(item),
            None => parts.push(vec![item]),
        }
    }
    slots.into_values().flatten().collect()
}

fn parts(value: Value) -> Result<Vec<Value>, StoreError> {
    if let Value::Array(parts) = value { Ok(parts) } else { Err(unexpected("a script answered no list")) }
}

fn flag(is_set: bool) -> Value {
    Value::from(if is_set { "1" } else { "0" })
}

pub(super) fn unexpected(what: &'static str) -> StoreError {
    StoreError::broken(what)
}

#[cfg(test)]
mod real_cluster {
    use super::super::sessions_contract;
    use pkg_redis::testing;

    #[tokio::test]
    async fn the_contract_holds() {
        let redis = testing::cluster().await;
        sessions_contract::verify_redis(&redis).await;
    }
}

#[cfg(test)]
mod real_redis {
    use super::super::sessions_contract;
    use pkg_redis::testing;

    #[tokio::test]
    async fn the_contract_holds() {
        let redis = testing::redis().await;
        sessions_contract::verify_redis(&redis).await;
    }
}

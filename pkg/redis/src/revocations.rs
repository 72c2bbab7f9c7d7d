//! Revoked sessions, shared by all replicas.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::SortedSetsInterface;
use fred::types::Value;
use pkg_auth::{REVOCATION_RETENTION, Revocation, Revocations, RevocationsUnavailable};
use pkg_batching::Batcher;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Redis, RedisError, Script};

/// How many revocations one command reads, so that it stays short however many there are.
const PAGE: i64 = 10_000;

/// Nanoseconds in a millisecond.
const NANOSECONDS: i128 = 1_000_000;

/// KEYS: the set. ARGV: how long to keep (ms), then sessions.
///
/// The time is Redis' own, so that replicas with other clocks agree, and never less than the last one written: after a
/// failover to a server whose clock is behind, readers who go on from the last time that they have seen miss nothing.
static APPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
        local at = math.max(now, tonumber(last[2] or 0))
        local score = string.format('%.0f', at)
        for i = 2, #ARGV do
            redis.call('ZADD', KEYS[1], score, ARGV[i])
        end
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - ARGV[1]))
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        return redis.status_reply('OK')
        ",
    )
});

/// The revocations of a system with many replicas: one sorted set, scored by Redis' clock in milliseconds.
///
/// They are as durable as Redis' persistence: with `appendonly yes` a killed Redis loses none, a power cut at most what
/// `appendfsync` allows.
#[derive(Clone, Debug)]
pub struct RedisRevocations {
    redis: Redis,
    key: String,
    /// Revocations that come at the same time are written by one command.
    appends: Batcher<Vec<Uuid>, Result<(), Arc<RedisError>>>,
}

impl RedisRevocations {
    /// The revocations under the prefix of `redis`. To be called on a runtime.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        let key = redis.key(&["auth", "revocations"]);
        let appends = Batcher::spawn({
            let (redis, key) = (redis.clone(), key.clone());
            move |batch| append(redis.clone(), key.clone(), batch)
        });
        Self { redis, key, appends }
    }

    async fn read(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, RedisError> {
        #[expect(clippy::cast_precision_loss, reason = "scores are milliseconds, far below 2^53")]
        let mut from = from.unix_timestamp_nanos().div_euclid(NANOSECONDS) as f64;
        let client = self.redis.client()?;
        let (mut found, mut skip) = (Vec::new(), 0);
        loop {
            let page = Some((skip, PAGE));
            let rows: Vec<(Bytes, f64)> =
                client.zrangebyscore(self.key.as_str(), from, f64::INFINITY, true, page).await?;
            let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
            let last = rows.last().map_or(from, |(_, score)| *score);
            for (member, score) in rows {
                found.push(revocation(&member, score)?);
            }
            if !full {
                return Ok(found);
            }
            // The next page begins with the time that this one ended with: a place would move when older ones are trimmed.
            skip = if last > from { 0 } else { skip + PAGE };
            from = last;
        }
    }
}

#[async_trait]
impl Revocations for RedisRevocations {
    /// `now` is not used: see [`RedisRevocations`].
    async fn append(&self, sessions: &[Uuid], _now: OffsetDateTime) -> Result<(), RevocationsUnavailable> {
        if sessions.is_empty() {
            return Ok(());
        }
        let appended = self.appends.call(sessions.to_vec()).await.map_err(unavailable)?;
        appended.map_err(unavailable)
    }

    /// `from` must be a time that this store gave before, or one long past: clocks of replicas may differ from Redis'.
    async fn since(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, RevocationsUnavailable> {
        self.read(from).await.map_err(unavailable)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the script writes whole milliseconds, far below 2^53")]
fn revocation(member: &[u8], score: f64) -> Result<Revocation, RedisError> {
    let damaged = |text: &'static str| RedisError::Broken(fred::error::Error::new(fred::error::ErrorKind::Parse, text));
    let session = Uuid::from_slice(member).map_err(|_| damaged("a revoked session is not a UUID"))?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(score as i64) * NANOSECONDS)
        .map_err(|_| damaged("a revocation has no time"))?;
    Ok(Revocation { session, at })
}

/// Writes the sessions of a whole batch; all of its calls have one outcome.
async fn append(redis: Redis, key: String, batch: Vec<Vec<Uuid>>) -> Vec<Result<(), Arc<RedisError>>> {
    let retention = REVOCATION_RETENTION.as_millis().to_string();
    let sessions = batch.iter().flatten().map(|session| Value::from(session.as_bytes().as_slice()));
    let arguments: Vec<Value> = std::iter::once(Value::from(retention)).chain(sessions).collect();
    let outcome = APPEND.run::<(), _, _>(&redis, key, arguments).await.map_err(Arc::new);
    vec![outcome; batch.len()]
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> RevocationsUnavailable {
    RevocationsUnavailable(Box::new(error))
}

#[cfg(test)]
mod real_redis {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn the_contract_holds() {
        let redis = testing::redis().await;
        pkg_auth::revocation_contract::verify(&RedisRevocations::new(redis.clone())).await;
    }

    #[tokio::test]
    async fn what_is_older_than_any_token_is_trimmed_and_a_later_time_is_kept_to() {
        let redis = testing::redis().await;
        let store = RedisRevocations::new(redis.clone());
        let (old, late) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let now = pkg_ambient::Ambient::system().now();
        let past = now - REVOCATION_RETENTION - time::Duration::minutes(1);
        // As another server with a clock ahead of ours has written it.
        let future = now + time::Duration::minutes(1);
        for (at, session) in [(past, old), (future, late)] {
            let entry =
                (f64::from(u32::try_from(at.unix_timestamp()).unwrap()) * 1000.0, session.as_bytes().as_slice());
            let added: i64 = redis.client().unwrap().zadd(&store.key, None, None, false, false, entry).await.unwrap();
            assert_eq!(added, 1);
        }

        store.append(&[Uuid::from_u128(3)], now).await.unwrap();
        let left = store.since(OffsetDateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(left.iter().map(|revocation| revocation.session.as_u128()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(left[0].at, left[1].at);
    }
}

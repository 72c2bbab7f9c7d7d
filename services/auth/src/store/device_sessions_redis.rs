//! Device sessions in Redis: a hash per user, `v` the version and `b` the body.

use std::sync::LazyLock;

use async_trait::async_trait;
use fred::interfaces::HashesInterface;
use pkg_db::to_millis;
use pkg_redis::{Redis, RedisError, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DeviceSessionStore, Loaded, StoreError, decode, encode};

/// Compares the version (ARGV 1), saves the next one and the body (ARGV 2 and 3), forgets at a time (ARGV 4, ms).
static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then return 0 end
         redis.call('HSET', KEYS[1], 'v', ARGV[2], 'b', ARGV[3])
         redis.call('PEXPIREAT', KEYS[1], ARGV[4])
         return 1",
    )
});

/// The real store of device sessions.
#[derive(Clone)]
pub struct RedisDeviceSessions {
    redis: Redis,
}

impl RedisDeviceSessions {
    /// The sessions under the prefix of this connection.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, user: Uuid) -> String {
        self.redis.key(&["auth", "sessions", &user.to_string()])
    }
}

#[async_trait]
impl DeviceSessionStore for RedisDeviceSessions {
    async fn load(&self, user: Uuid) -> Result<Loaded, StoreError> {
        let fields: (Option<i64>, Option<String>) =
            self.redis.client()?.hmget(self.key(user), vec!["v", "b"]).await.map_err(RedisError::from)?;
        match fields {
            (Some(version), Some(body)) => decode(version, &body),
            _ => Ok(Loaded::default()),
        }
    }

    async fn save(
        &self,
        user: Uuid,
        loaded: &Loaded,
        _now: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let (old, new) = (loaded.version.to_string(), (loaded.version + 1).to_string());
        let body = encode(loaded)?;
        let saved: i64 =
            SAVE.run(&self.redis, self.key(user), vec![old, new, body, to_millis(keep_until).to_string()]).await?;
        Ok(saved == 1)
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.is_unavailable() { Self::Unavailable(error.into()) } else { Self::Broken(error.into()) }
    }
}

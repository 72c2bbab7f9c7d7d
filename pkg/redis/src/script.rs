//! Lua scripts, sent by their hash.

use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{FromValue, MultipleKeys, MultipleValues};
use fred::util::sha1_hash;

use crate::{Redis, RedisError};

/// A Lua script. Make it once (in a `LazyLock`), run it often.
#[derive(Clone, Debug)]
pub struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    /// A script of this source.
    #[must_use]
    pub fn new(source: &'static str) -> Self {
        Self { source, hash: sha1_hash(source) }
    }

    /// Runs the script. On a cluster, all keys must lie in one slot.
    ///
    /// A server that does not know it (new, restarted, flushed) says so without running anything and gets the source.
    pub async fn run<R, K, A>(&self, redis: &Redis, keys: K, arguments: A) -> Result<R, RedisError>
    where
        R: FromValue,
        K: Into<MultipleKeys>,
        A: TryInto<MultipleValues>,
        A::Error: Into<Error>,
    {
        let keys = keys.into();
        let arguments = arguments.try_into().map_err(|error| RedisError::from(error.into()))?;
        let client = redis.client()?;
        match client.evalsha(self.hash.as_str(), keys.clone(), arguments.clone()).await {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                Ok(client.eval(self.source, keys, arguments).await?)
            }
            outcome => Ok(outcome?),
        }
    }
}

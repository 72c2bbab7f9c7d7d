//! Lua scripts, sent by their hash.

use std::borrow::Cow;

use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{FromValue, MultipleKeys, MultipleValues};
use fred::util::sha1_hash;

use crate::{Redis, RedisError};

/// How often a script is sent after slots that move from one node of a cluster to another.
const MAX_REDIRECTIONS: usize = 3;

/// What fred says of a command that a node of a cluster sent elsewhere, if it may be attempted only once. The node did
/// nothing, so another attempt is safe; commands that were on their way when a connection broke have other errors.
const REDIRECTED: &str = "Too many failed write attempts.";

/// A Lua script. Make it once (in a `LazyLock`), run it often.
#[derive(Clone, Debug)]
pub struct Script {
    source: Cow<'static, str>,
    hash: String,
}

impl Script {
    /// A script of this source.
    #[must_use]
    pub fn new(source: impl Into<Cow<'static, str>>) -> Self {
        let source = source.into();
        Self { hash: sha1_hash(&source), source }
    }

    /// A script that calls functions of a library: Lua text that defines local functions.
    #[must_use]
    pub fn with_library(library: &str, source: &str) -> Self {
        Self::new(format!("{library}\n{source}"))
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
        let mut client = redis.client()?;
        for _ in 0..MAX_REDIRECTIONS {
            match client.evalsha(self.hash.as_str(), keys.clone(), arguments.clone()).await {
                Err(error) if error.details().starts_with("NOSCRIPT") => {
                    return Ok(client.eval(self.source.as_ref(), keys, arguments).await?);
                }
                // By now this client knows where the slot is, others may not: stay with it, unless its connection broke.
                Err(error) if error.details() == REDIRECTED => client = redis.same_or_other(client)?,
                outcome => return Ok(outcome?),
            }
        }
        Ok(client.evalsha(self.hash.as_str(), keys, arguments).await?)
    }
}

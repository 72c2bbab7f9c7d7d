//! A key space of its own on a Redis server for tests.

use std::ops::Deref;

use fred::interfaces::KeysInterface;
use futures::TryStreamExt;
use pkg_ambient::Ambient;

use crate::{Redis, Settings};

/// Where the Redis server for tests is.
pub const REDIS_VARIABLE: &str = "MUSTER_TEST_REDIS_URL";
const CONNECTIONS: usize = 2;
/// Keys per round trip while cleaning up.
const SCAN_COUNT: u32 = 1_000;

/// Connections to Redis under a random prefix, whose keys are removed when this value is dropped. Dereferences to the
/// [`Redis`].
#[derive(Debug)]
pub struct TestRedis {
    redis: Redis,
    url: String,
}

impl TestRedis {
    /// What the keys begin with, for another process to use.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.redis.prefix
    }
}

impl Deref for TestRedis {
    type Target = Redis;

    fn deref(&self) -> &Redis {
        &self.redis
    }
}

/// A key space of its own.
///
/// # Panics
/// If `MUSTER_TEST_REDIS_URL` is not set or the server does not serve.
pub async fn redis() -> TestRedis {
    let Ok(url) = std::env::var(REDIS_VARIABLE) else {
        panic!("{REDIS_VARIABLE} is not set: run `make test`, which starts a server and sets it");
    };
    let prefix = format!("test-{}", Ambient::system().id().simple());
    let settings = Settings { pool_size: CONNECTIONS, prefix, ..Settings::default() };
    let redis = Redis::connect(&url, settings).await.expect("the test server serves");
    TestRedis { redis, url }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let (url, prefix) = (self.url.clone(), self.redis.prefix.clone());
        // Dropping is not async and may happen on a runtime's thread, so it gets a thread of its own. A failure leaves
        // keys behind on a server that is thrown away anyway.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let settings = Settings { pool_size: 1, ..Settings::default() };
                let redis = Redis::connect(&url, settings).await.ok()?;
                let client = redis.client().ok()?;
                let pages = client.scan_buffered(format!("{prefix}:*"), Some(SCAN_COUNT), None);
                let keys: Vec<_> = pages.try_collect().await.ok()?;
                if !keys.is_empty() {
                    client.unlink::<(), _>(keys).await.ok()?;
                }
                redis.close().await;
                Some(())
            })
        });
        drop(cleaner.join());
    }
}

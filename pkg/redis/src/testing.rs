//! For tests: key spaces of their own on a Redis server, and servers of their own.

mod server;

use std::ops::Deref;

use fred::interfaces::{ClientLike, KeysInterface};
use futures::TryStreamExt;
use futures::future::try_join_all;
use pkg_ambient::Ambient;

pub use server::{Copied, DURABLE, RedisServer};

use crate::{Redis, Settings};

/// Where the Redis server for tests is.
pub const REDIS_VARIABLE: &str = "MUSTER_TEST_REDIS_URL";
/// Where one node of the Redis Cluster for tests is.
pub const CLUSTER_VARIABLE: &str = "MUSTER_TEST_REDIS_CLUSTER_URL";
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
    connect(REDIS_VARIABLE).await
}

/// As [`redis`], on a cluster of three masters.
///
/// # Panics
/// If `MUSTER_TEST_REDIS_CLUSTER_URL` is not set or the cluster does not serve.
pub async fn cluster() -> TestRedis {
    connect(CLUSTER_VARIABLE).await
}

async fn connect(variable: &str) -> TestRedis {
    let Ok(url) = std::env::var(variable) else {
        panic!("{variable} is not set: run `make test`, which starts a server and sets it");
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
                let pattern = format!("{prefix}:*");
                let keys: Vec<_> = if client.is_clustered() {
                    client.scan_cluster_buffered(pattern, Some(SCAN_COUNT), None).try_collect().await.ok()?
                } else {
                    client.scan_buffered(pattern, Some(SCAN_COUNT), None).try_collect().await.ok()?
                };
                // One by one, since on a cluster they lie in many slots.
                try_join_all(keys.into_iter().map(|key| client.unlink::<(), _>(key))).await.ok()?;
                redis.close().await;
                Some(())
            })
        });
        drop(cleaner.join());
    }
}

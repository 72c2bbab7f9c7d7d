//! What may become of keys in Redis.

use fred::interfaces::KeysInterface;
use fred::types::Value;
use pkg_redis::Redis;

/// They are lost.
pub(crate) async fn empty(redis: &Redis, keys: Vec<String>) {
    redis.client().unwrap().del::<(), _>(keys).await.unwrap();
}

/// They are saved…
pub(crate) async fn dump(redis: &Redis, keys: Vec<String>) -> Vec<(String, Value)> {
    let mut kept = Vec::new();
    for key in keys {
        let dump = redis.client().unwrap().dump(key.as_str()).await.unwrap();
        kept.push((key, dump));
    }
    kept
}

/// …and what they were then comes back.
pub(crate) async fn put_back(redis: &Redis, kept: Vec<(String, Value)>) {
    for (key, dump) in kept {
        let back = redis.client().unwrap().restore::<Value, _>(key, 0, dump, true, false, None, None).await;
        assert_eq!(back.unwrap().as_str().as_deref(), Some("OK"));
    }
}

use super::*;

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["redis", "redis-cluster"] {
        let url = format!("{scheme}://muster:sesame@127.0.0.1:{port}");
        let error = Redis::connect(&url, Settings::default()).await.unwrap_err();
        let ConnectError::Refused { servers, source } = &error else { panic!("unexpected {error:?}") };
        assert_eq!(servers, &format!("127.0.0.1:{port}"));
        assert_eq!(source.kind(), &fred::error::ErrorKind::IO);
        assert!(!format!("{error:?}").contains("sesame"));
    }
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused_without_the_password() {
    for url in ["sesame", "redis://muster:12#sesame@host", "redis://muster:sesame@host/not-a-number"] {
        let error = Redis::connect(url, Settings::default()).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("sesame"), "{error:?}");
    }
}

mod real_redis {
    use super::*;
    use fred::interfaces::{KeysInterface, LuaInterface};
    use fred::types::Value;

    const INCREMENT: &str = "return redis.call('INCRBY', KEYS[1], ARGV[1])";

    #[tokio::test]
    async fn a_script_runs_on_a_server_that_has_forgotten_it() {
        let redis = testing::redis().await;
        let script = Script::new(INCREMENT);
        let key = redis.key(&["counter"]);
        for expected in [5_i64, 10] {
            let sum: i64 = script.run(&redis, key.as_str(), vec![Value::from(5_i64)]).await.unwrap();
            assert_eq!(sum, expected);
        }
        redis.client().unwrap().script_flush(false).await.unwrap();
        let sum: i64 = script.run(&redis, key.as_str(), vec![Value::from(5_i64)]).await.unwrap();
        assert_eq!(sum, 15);
    }

    #[tokio::test]
    async fn a_script_that_fails_is_broken_and_not_unavailable() {
        let redis = testing::redis().await;
        let script = Script::new("return redis.call('INCRBY', KEYS[1], 'many')");
        let outcome: Result<i64, _> = script.run(&redis, redis.key(&["counter"]), Vec::<Value>::new()).await;
        assert!(!outcome.unwrap_err().is_unavailable());
    }

    #[tokio::test]
    async fn keys_have_the_prefix_and_tests_do_not_meet() {
        let (one, other) = (testing::redis().await, testing::redis().await);
        one.client().unwrap().set::<(), _, _>(one.key(&["a"]), 1, None, None, false).await.unwrap();
        let found: Option<i64> = other.client().unwrap().get(other.key(&["a"])).await.unwrap();
        assert_eq!(found, None);
        assert!(one.key_in_slot("game", &["queue", "duel"]).ends_with(":{game}:queue:duel"));
    }

    #[tokio::test]
    async fn what_a_test_wrote_is_gone_after_it() {
        let observer = testing::redis().await;
        let redis = testing::redis().await;
        let key = redis.key(&["a"]);
        redis.client().unwrap().set::<(), _, _>(&key, 1, None, None, false).await.unwrap();
        drop(redis);
        let left: i64 = observer.client().unwrap().exists(&key).await.unwrap();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn connections_that_were_ended_are_unavailable_at_once() {
        let redis = testing::redis().await;
        redis.ping().await.unwrap();
        redis.close().await;
        assert!(redis.ping().await.unwrap_err().is_unavailable());
    }
}

mod real_cluster {
    use super::*;
    use fred::interfaces::{KeysInterface, PubsubInterface};
    use fred::types::Value;

    #[tokio::test]
    async fn a_script_runs_on_every_node() {
        let redis = testing::cluster().await;
        // Of its own, so that no node knows it.
        let source =
            format!("redis.call('SET', KEYS[1], '{}') return redis.call('INCRBY', KEYS[2], 1)", redis.prefix());
        let script = Script::new(source);
        let mut nodes = std::collections::HashSet::new();
        for number in 0..50 {
            let keys = ["a", "b"].map(|name| redis.key_in_slot(&number.to_string(), &[name]));
            assert_eq!(redis.slot_of(&keys[0]), redis.slot_of(&keys[1]));
            nodes.insert(redis.slot_of(&keys[0]) / (16_384 / 3 + 1));
            let sum: i64 = script.run(&redis, keys.to_vec(), Vec::<Value>::new()).await.unwrap();
            assert_eq!(sum, 1);
        }
        assert_eq!(nodes.len(), 3);
        let keys = vec![redis.key_in_slot("1", &["a"]), redis.key_in_slot("2", &["a"])];
        let outcome: Result<i64, _> = script.run(&redis, keys, Vec::<Value>::new()).await;
        assert!(!outcome.unwrap_err().is_unavailable());
    }

    #[tokio::test]
    async fn what_a_test_wrote_is_gone_after_it() {
        let observer = testing::cluster().await;
        let redis = testing::cluster().await;
        let keys: Vec<String> = (0..20).map(|number| redis.key(&[&number.to_string()])).collect();
        for key in &keys {
            redis.client().unwrap().set::<(), _, _>(key, 1, None, None, false).await.unwrap();
        }
        drop(redis);
        for key in &keys {
            let left: i64 = observer.client().unwrap().exists(key).await.unwrap();
            assert_eq!(left, 0);
        }
    }

    #[tokio::test]
    async fn messages_of_all_nodes_arrive_in_order() {
        let redis = testing::cluster().await;
        let (subscriber, mut notices) = redis.subscriber(1_000).await.unwrap();
        let channels: Vec<String> = (0..20).map(|number| redis.key(&[&number.to_string()])).collect();
        for channel in &channels {
            subscriber.subscribe(channel).await.unwrap();
        }
        for number in 0..20_u8 {
            for channel in &channels {
                let client = redis.ordered_client(channel).unwrap();
                let listeners: i64 = client.spublish(channel.as_str(), vec![number].as_slice()).await.unwrap();
                assert_eq!(listeners, 1);
            }
        }
        let mut next = std::collections::HashMap::new();
        for _ in 0..20 * channels.len() {
            let Incoming::Message { channel, payload } = notices.next().await else { panic!("no message") };
            let expected = next.entry(channel).or_insert(0);
            assert_eq!(payload[..], [*expected]);
            *expected += 1;
        }
        subscriber.unsubscribe(&channels[0]).await.unwrap();
        let mut listeners = 1;
        while listeners > 0 {
            let client = redis.client().unwrap();
            listeners = client.spublish::<i64, _, _>(channels[0].as_str(), "x").await.unwrap();
        }
        subscriber.close().await;
        while !matches!(notices.next().await, Incoming::Closed) {}
    }
}

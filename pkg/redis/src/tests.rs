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

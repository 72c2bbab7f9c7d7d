//! Readers watch while something happens to Redis.

use std::time::Duration;

use pkg_redis::Redis;
use tokio_util::sync::CancellationToken;

use super::RedisBus;
use super::real_redis::join;
use crate::contract::{at_once, next_numbers, numbered};
use crate::{Bus, PublishError, Topic};

/// The pause between an event and the next one.
const PAUSE: Duration = Duration::from_micros(200);
/// How long to go on before and after the trouble.
const QUIET: Duration = Duration::from_millis(300);

/// Publishes numbers until told to stop, repeating each with its id until it is acknowledged. Says how many it were.
async fn publish_all_the_time(bus: &RedisBus, topic: &Topic, stop: &CancellationToken) -> usize {
    let mut number = 0;
    while !stop.is_cancelled() {
        let event = [numbered(number)];
        loop {
            match bus.publish(topic, &event, None).await {
                Ok(_) => break,
                Err(PublishError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("unexpected {error:?}"),
            }
        }
        number += 1;
        tokio::time::sleep(PAUSE).await;
    }
    number
}

/// Readers on two nodes get every event once and in order, whatever happens meanwhile.
pub(super) async fn nothing_is_lost_while(nodes: (&Redis, &Redis), topic: &Topic, trouble: impl AsyncFnOnce()) {
    let (one, other) = (join(nodes.0).await, join(nodes.1).await);
    let mut readers = [one.reader(), other.reader(), other.reader()];
    for reader in &mut readers {
        reader.follow(topic, None).await.unwrap();
    }
    let stop = CancellationToken::new();
    let troubled = async {
        tokio::time::sleep(QUIET).await;
        trouble().await;
        tokio::time::sleep(QUIET).await;
        stop.cancel();
    };
    let (count, ()) = tokio::join!(publish_all_the_time(&one, topic, &stop), troubled);
    assert!(count > 100);
    for reader in &mut readers {
        assert_eq!(next_numbers(reader, count).await, (0..count).collect::<Vec<_>>());
        assert!(at_once(reader).is_none());
    }
    one.close().await;
    other.close().await;
}

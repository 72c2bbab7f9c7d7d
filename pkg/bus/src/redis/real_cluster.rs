use std::time::Duration;

use pkg_redis::{Settings, testing};

use super::faults::nothing_is_lost_while;
use super::own_cluster::Cluster;
use super::real_redis::{join, verify};
use super::*;
use crate::contract::{self, at_once, eventually, next_number, topic};

#[tokio::test]
async fn the_contract_holds() {
    let redis = testing::cluster().await;
    verify(&redis).await;
}

#[tokio::test]
async fn topics_lie_on_all_nodes() {
    let redis = testing::cluster().await;
    let bus = join(&redis).await;
    let mut reader = bus.reader();
    let topics: Vec<Topic> = (0..50).map(|_| topic("t")).collect();
    let mut slots = std::collections::HashSet::new();
    for topic in &topics {
        reader.follow(topic, None).await.unwrap();
        slots.insert(redis.slot_of(&Keys::new(&redis, topic).stream) / 5_461);
    }
    assert!(slots.len() >= 3);
    for topic in &topics {
        contract::publish(&bus, topic, 1).await;
        bus.publish_unretained(topic, "1".into()).unwrap();
    }
    for _ in 0..2 * topics.len() {
        assert_eq!(next_number(&mut reader).await, 1);
    }
}

async fn connect(cluster: &Cluster) -> Redis {
    Redis::connect(&cluster.url(), Settings::default()).await.unwrap()
}

#[tokio::test]
async fn a_slot_that_moves_loses_and_repeats_nothing() {
    let cluster = Cluster::start();
    let (one, other) = (connect(&cluster).await, connect(&cluster).await);
    let topic = topic("t");
    let slot = one.slot_of(&Keys::new(&one, &topic).stream);
    nothing_is_lost_while((&one, &other), &topic, async || {
        for _ in 0..2 {
            cluster.move_slot(slot);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn unretained_events_are_heard_again_after_a_slot_has_moved() {
    let cluster = Cluster::start();
    let (one, other) = (join(&connect(&cluster).await).await, join(&connect(&cluster).await).await);
    let topic = topic("t");
    let mut reader = other.reader();
    reader.follow(&topic, None).await.unwrap();
    let redis = &one.shared.redis;
    cluster.move_slot(redis.slot_of(&Keys::new(redis, &topic).channel));
    // Something retained tells that the subscription is gone; otherwise it is renewed once a minute.
    eventually("it is published", async || one.publish(&topic, &[contract::numbered(1)], None).await.is_ok()).await;
    assert_eq!(next_number(&mut reader).await, 1);
    eventually("it is heard", async || {
        one.publish_unretained(&topic, "2".into()).unwrap();
        at_once(&mut reader).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_killed_node_of_the_cluster_loses_and_repeats_nothing() {
    let mut cluster = Cluster::start();
    let (one, other) = (connect(&cluster).await, connect(&cluster).await);
    let topic = topic("t");
    let slot = one.slot_of(&Keys::new(&one, &topic).stream);
    nothing_is_lost_while((&one, &other), &topic, async || {
        for _ in 0..2 {
            let owner = cluster.owner(slot);
            owner.kill();
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            owner.restart();
            cluster.wait_until_ready();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

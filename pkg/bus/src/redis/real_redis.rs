use std::time::Duration;

use fred::interfaces::{ClientInterface, ClientLike, KeysInterface, LuaInterface, PubsubInterface};
use fred::types::client::ClientKillFilter;
use fred::types::client::ClientKillType;
use futures::FutureExt;
use futures::future::join_all;
use pkg_redis::Settings;
use pkg_redis::testing::{self, DURABLE, RedisServer};

use super::faults::nothing_is_lost_while;
use super::*;
use crate::contract::{
    self, Nodes, event, eventually, next, next_gap, next_number, next_numbers, numbered, publish, topic,
};
use crate::{Delivery, Retention};

pub(super) async fn join(redis: &Redis) -> RedisBus {
    RedisBus::connect(redis.clone(), Ambient::system(), contract::retentions()).await.unwrap()
}

async fn forget(redis: &Redis, topic: &Topic) {
    let Keys { topic, stream, ids, .. } = Keys::new(redis, topic);
    redis.client().unwrap().del::<(), _>(vec![topic, stream, ids]).await.unwrap();
}

pub(super) async fn verify(redis: &Redis) {
    let (one, other) = (join(redis).await, join(redis).await);
    let forget = |topic: Topic| {
        let redis = redis.clone();
        async move { forget(&redis, &topic).await }.boxed()
    };
    let ask = Script::with_library(POSITION_LUA, "return { bus_position(1, ARGV[1], ARGV[2]) }");
    let position = |topic: Topic| {
        let (redis, ask, position) = (redis.clone(), ask.clone(), one.position(&topic));
        let (keys, arguments) = (position.keys().to_vec(), position.arguments().to_vec());
        async move { Position::read(ask.run(&redis, keys, arguments).await.unwrap()).unwrap() }.boxed()
    };
    let (forget, position) = (Box::new(forget), Box::new(position));
    contract::verify(&Nodes { one: &one, other: &other, forget, position, histories: 15 }).await;
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn the_contract_holds() {
    let redis = testing::redis().await;
    verify(&redis).await;
}

async fn subscribers(redis: &Redis, topic: &Topic) -> u64 {
    let channel = Keys::new(redis, topic).channel;
    let counts: Vec<Value> = redis.client().unwrap().pubsub_shardnumsub(channel).await.unwrap();
    counts[1].as_u64().unwrap()
}

#[tokio::test]
async fn a_node_subscribes_once_and_unsubscribes_after_the_last_reader() {
    let redis = testing::redis().await;
    let bus = join(&redis).await;
    let topic = topic("t");
    let follow = async |_| {
        let mut reader = bus.reader();
        reader.follow(&topic, None).await.unwrap();
        reader
    };
    let mut readers = join_all((0..10).map(follow)).await;
    assert_eq!(subscribers(&redis, &topic).await, 1);
    readers.truncate(1);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(subscribers(&redis, &topic).await, 1);
    readers.clear();
    eventually("the node unsubscribes", async || subscribers(&redis, &topic).await == 0).await;
    eventually("the topic is let go", async || bus.topics() == 0).await;
    // And back, again and again, in the middle of it.
    for number in 0..40 {
        let mut reader = bus.reader();
        reader.follow(&topic, None).await.unwrap();
        publish(&bus, &topic, number).await;
        assert_eq!(next_number(&mut reader).await, number);
        drop(reader);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_lone_node_does_not_send_unretained_events() {
    let redis = testing::redis().await;
    let (bus, other) = (join(&redis).await, join(&redis).await);
    let topic = topic("t");
    let mut reader = bus.reader();
    reader.follow(&topic, None).await.unwrap();
    let link = bus.shared.links.get(topic.as_str()).unwrap();
    eventually("it knows that it is alone", async || {
        bus.publish_unretained(&topic, "1".into()).unwrap();
        link.company.is_alone()
    })
    .await;
    let mut there = other.reader();
    there.follow(&topic, None).await.unwrap();
    bus.publish_unretained(&topic, "2".into()).unwrap();
    assert_eq!(next_number(&mut there).await, 2);
    drop(there);
    eventually("it is alone again", async || {
        bus.publish_unretained(&topic, "3".into()).unwrap();
        link.company.is_alone()
    })
    .await;
}

#[tokio::test]
async fn a_lost_message_is_noticed() {
    let redis = testing::redis().await;
    let bus = join(&redis).await;
    let topic = topic("t");
    let mut reader = bus.reader();
    reader.follow(&topic, None).await.unwrap();
    // The server forgets that we listen, as when a slot moves to another node.
    bus.shared.unsubscribe(&topic).await.unwrap();
    eventually("it is unsubscribed", async || subscribers(&redis, &topic).await == 0).await;
    publish(&bus, &topic, 1).await;
    assert_eq!(next_number(&mut reader).await, 1);
    eventually("it is subscribed again", async || subscribers(&redis, &topic).await == 1).await;

    // A hole is seen by the next message.
    let cursor = publish(&bus, &topic, 2).await;
    assert_eq!(next_number(&mut reader).await, 2);
    bus.shared.unsubscribe(&topic).await.unwrap();
    eventually("it is unsubscribed", async || subscribers(&redis, &topic).await == 0).await;
    for number in 3..10 {
        publish(&bus, &topic, number).await;
    }
    bus.shared.subscribe(&topic).await.unwrap();
    publish(&bus, &topic, 10).await;
    assert_eq!(next_numbers(&mut reader, 8).await, (3..=10).collect::<Vec<_>>());
    let mut late = bus.reader();
    late.follow(&topic, Some(cursor)).await.unwrap();
    assert_eq!(next_number(&mut late).await, 3);
}

#[tokio::test]
async fn topics_and_ids_do_not_stay_for_ever() {
    let redis = testing::redis().await;
    let bus = join(&redis).await;
    let topic = topic("t");
    publish(&bus, &topic, 0).await;
    let retention = Retention::default();
    let client = redis.client().unwrap();
    let Keys { topic: state, stream, ids, .. } = Keys::new(&redis, &topic);
    for (key, limit) in [(&state, retention.memory()), (&stream, retention.lifetime), (&ids, Duration::from_hours(1))] {
        let left: i64 = client.pttl(key).await.unwrap();
        let limit = i64::try_from(limit.as_millis()).unwrap();
        assert!(left > limit / 2 && left <= limit, "{key}: {left} ms");
    }
    bus.end(&topic).await.unwrap();
    bus.reader().follow(&topic, None).await.unwrap();
    for key in [state, stream, ids] {
        let left: i64 = client.pttl(&key).await.unwrap();
        assert!(left > 0 && left <= i64::try_from(retention.after_end.as_millis()).unwrap(), "{key}: {left} ms");
    }
}

#[tokio::test]
async fn who_reads_does_not_shorten_what_a_publisher_asked_for() {
    let redis = testing::redis().await;
    let bus = join(&redis).await;
    let topic = topic("t");
    let long = Retention { lifetime: Duration::from_hours(20), ..Retention::default() };
    let cursor = bus.publish(&topic, &[numbered(0)], Some(long)).await.unwrap()[0].cursor;
    bus.reader().follow(&topic, cursor).await.unwrap();
    bus.reader().follow(&topic, None).await.unwrap();
    let Keys { topic: state, stream, .. } = Keys::new(&redis, &topic);
    for key in [state, stream] {
        let left: i64 = redis.client().unwrap().pttl(&key).await.unwrap();
        assert!(left > i64::try_from(long.lifetime.as_millis()).unwrap() - 60_000, "{key}: {left} ms");
    }
}

#[tokio::test]
async fn a_stream_whose_topic_was_evicted_begins_anew() {
    let redis = testing::redis().await;
    let bus = join(&redis).await;
    let topic = topic("t");
    let old = publish(&bus, &topic, 0).await;
    redis.client().unwrap().del::<(), _>(Keys::new(&redis, &topic).topic).await.unwrap();
    let new = publish(&bus, &topic, 1).await;
    assert_ne!(old.epoch, new.epoch);
    let mut reader = bus.reader();
    reader.follow(&topic, Some(Cursor { offset: 0, ..new })).await.unwrap();
    assert_eq!(next_number(&mut reader).await, 1);
}

/// Changes a value by compare-and-set, and tells of it.
const STATE: &str = "
    if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return {0, false} end
    local published = bus_publish(2, 3)
    if published then redis.call('SET', KEYS[1], ARGV[2]) end
    return {1, published}
";

#[tokio::test]
async fn a_state_and_its_event_are_one_step() {
    let redis = testing::redis().await;
    let bus = join(&redis).await;
    let topic = topic("session");
    let script = Script::with_library(PUBLISH_LUA, STATE);
    let state = redis.key_in_slot(topic.as_str(), &["state"]);
    let mut reader = bus.reader();
    reader.follow(&topic, None).await.unwrap();

    let change = async |from: &str, to: &str, ends: bool| {
        let publication = bus.publication(&topic, &[event(to.to_owned())], None).unwrap();
        let publication = if ends { publication.and_end() } else { publication };
        let keys: Vec<String> = std::iter::once(state.clone()).chain(publication.keys()).collect();
        let arguments = [Value::from(from), Value::from(to)].into_iter().chain(publication.arguments());
        let mut answer: Vec<Value> = script.run(&redis, keys, arguments.collect::<Vec<_>>()).await.unwrap();
        let published = answer.pop().unwrap();
        (answer[0].as_u64() == Some(1)).then(|| Publication::published(published).map(|(published, _)| published))
    };
    let published = change("", "1", false).await.unwrap().unwrap();
    assert!(change("", "5", false).await.is_none());
    let second = change("1", "2", true).await.unwrap().unwrap();
    assert!(matches!(change("2", "3", false).await, Some(Err(PublishError::Ended))));
    let left: String = redis.client().unwrap().get(&state).await.unwrap();
    assert_eq!(left, "2");

    for (number, published) in [(1, published), (2, second)] {
        let Delivery::Event(event) = next(&mut reader).await else { panic!("no event") };
        assert_eq!(event.payload(), number.to_string().as_bytes());
        assert_eq!((event.cursor(), event.time()), (published[0].cursor, published[0].time));
    }
    assert!(matches!(next(&mut reader).await, Delivery::Ended { .. }));
}

async fn connect(server: &RedisServer) -> Redis {
    Redis::connect(&server.url(), Settings::default()).await.unwrap()
}

#[tokio::test]
async fn a_killed_server_loses_and_repeats_nothing() {
    let mut server = RedisServer::start_with(DURABLE);
    let (one, other) = (connect(&server).await, connect(&server).await);
    nothing_is_lost_while((&one, &other), &topic("t"), async || {
        for _ in 0..3 {
            server.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.restart();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_killed_subscription_loses_and_repeats_nothing() {
    let server = RedisServer::start_with(DURABLE);
    let (one, other) = (connect(&server).await, connect(&server).await);
    nothing_is_lost_while((&one, &other), &topic("t"), async || {
        let client = connect(&server).await;
        for _ in 0..5 {
            let filter = vec![ClientKillFilter::Type(ClientKillType::Pubsub)];
            let killed: i64 = client.client().unwrap().client_kill(filter).await.unwrap();
            assert!(killed > 0);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_lost_everything_is_told_as_a_gap() {
    let server = RedisServer::start_with(DURABLE);
    let redis = connect(&server).await;
    let (one, other) = (join(&redis).await, join(&redis).await);
    let topic = topic("t");
    let mut readers = [one.reader(), other.reader()];
    for reader in &mut readers {
        reader.follow(&topic, None).await.unwrap();
    }
    publish(&one, &topic, 1).await;
    for reader in &mut readers {
        assert_eq!(next_number(reader).await, 1);
    }
    redis.client().unwrap().flushall::<()>(false).await.unwrap();
    redis.client().unwrap().script_flush(false).await.unwrap();
    publish(&one, &topic, 2).await;
    for reader in &mut readers {
        next_gap(reader).await;
        assert_eq!(next_number(reader).await, 2);
    }
}

#[tokio::test]
async fn a_server_that_lost_the_last_events_is_told_as_a_gap() {
    let server = RedisServer::start_with(DURABLE);
    let redis = connect(&server).await;
    let bus = join(&redis).await;
    let topic = topic("t");
    let mut reader = bus.reader();
    reader.follow(&topic, None).await.unwrap();
    let kept = publish(&bus, &topic, 1).await;
    let lost = publish(&bus, &topic, 2).await;
    assert_eq!(next_numbers(&mut reader, 2).await, [1, 2]);
    // As after a failover to a server that did not have the last one yet.
    let script =
        Script::new("redis.call('XDEL', KEYS[2], ARGV[2] .. '-0') return redis.call('HSET', KEYS[1], 'last', ARGV[1])");
    let Keys { topic: state, stream, .. } = Keys::new(&redis, &topic);
    let arguments = vec![kept.offset.to_string(), lost.offset.to_string()];
    script.run::<i64, _, _>(&redis, vec![state, stream], arguments).await.unwrap();

    let mut late = bus.reader();
    late.follow(&topic, Some(lost)).await.unwrap();
    assert_eq!(next_gap(&mut reader).await, kept);
    publish(&bus, &topic, 3).await;
    assert_eq!(next_number(&mut reader).await, 3);
    next_gap(&mut late).await;
    assert_eq!(next_number(&mut late).await, 3);
}

#[tokio::test]
async fn a_bus_without_a_server_says_so() {
    let mut server = RedisServer::start_with(DURABLE);
    let bus = join(&connect(&server).await).await;
    let topic = topic("t");
    let mut reader = bus.reader();
    server.kill();
    eventually("it is noticed", async || {
        matches!(bus.publish(&topic, &[numbered(0)], None).await, Err(PublishError::Unavailable(_)))
    })
    .await;
    assert!(matches!(reader.follow(&topic, None).await, Err(FollowError::Unavailable(_))));
    bus.publish_unretained(&topic, "1".into()).unwrap();
    server.restart();
    eventually("it serves again", async || reader.follow(&topic, None).await.is_ok()).await;
}

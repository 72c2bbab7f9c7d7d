//! What readers are promised.

use super::{
    LIMIT, Nodes, SHORT, SHORT_SURPLUS, at_once, eventually, next, next_gap, next_number, next_numbers, publish, topic,
};
use crate::{Bus, Cursor, Delivery, FollowError, MAX_FOLLOWED, Topic};

pub(super) async fn verify(nodes: &Nodes<'_>) {
    every_cursor_is_good_to_go_on_from(nodes).await;
    without_a_cursor_only_what_follows_is_delivered(nodes).await;
    one_reader_follows_many_topics(nodes).await;
    a_topic_can_be_left_and_followed_again(nodes).await;
    a_cursor_that_is_too_old_is_told_once(nodes).await;
    a_cursor_of_another_incarnation_is_told_once(nodes).await;
    who_stays_while_a_topic_is_forgotten_is_told_once(nodes).await;
    waiting_can_be_given_up(nodes).await;
    topics_without_readers_are_let_go(nodes).await;
}

async fn every_cursor_is_good_to_go_on_from(nodes: &Nodes<'_>) {
    const EVENTS: usize = 300;
    let topic = topic("resume");
    let mut first = nodes.one.reader();
    let mut cursors = vec![first.follow(&topic, None).await.unwrap()];
    for number in 0..EVENTS {
        cursors.push(publish(nodes.one, &topic, number).await);
    }
    for (bus, step) in [(nodes.one, 37), (nodes.other, 41)] {
        for seen in (0..=EVENTS).step_by(step).chain([EVENTS - 1, EVENTS]) {
            let mut reader = bus.reader();
            assert_eq!(reader.follow(&topic, Some(cursors[seen])).await.unwrap(), cursors[seen]);
            for number in seen..EVENTS {
                let Delivery::Event(event) = next(&mut reader).await else { panic!("no event") };
                assert_eq!(event.payload(), number.to_string().as_bytes());
                assert_eq!((event.topic(), event.cursor()), (&topic, Some(cursors[number + 1])));
            }
            assert!(at_once(&mut reader).is_none());
        }
    }
    assert_eq!(next_numbers(&mut first, EVENTS).await, (0..EVENTS).collect::<Vec<_>>());
}

async fn without_a_cursor_only_what_follows_is_delivered(nodes: &Nodes<'_>) {
    let topic = topic("live");
    let mut readers = Vec::new();
    for number in 0..20 {
        let published = publish(nodes.one, &topic, number).await;
        let mut reader = if number % 2 == 0 { nodes.one.reader() } else { nodes.other.reader() };
        assert_eq!(reader.follow(&topic, None).await.unwrap(), published);
        readers.push(reader);
    }
    publish(nodes.one, &topic, 20).await;
    for (number, reader) in readers.iter_mut().enumerate() {
        assert_eq!(next_numbers(reader, 20 - number).await, (number + 1..=20).collect::<Vec<_>>());
    }
}

async fn one_reader_follows_many_topics(nodes: &Nodes<'_>) {
    const EVENTS: usize = 10;
    let topics: Vec<Topic> = (0..MAX_FOLLOWED).map(|_| topic("many")).collect();
    let mut reader = nodes.one.reader();
    for topic in &topics {
        reader.follow(topic, None).await.unwrap();
    }
    let refused = reader.follow(&topic("many"), None).await;
    assert!(matches!(refused, Err(FollowError::TooManyTopics)));
    assert_eq!(reader.topics().count(), MAX_FOLLOWED);
    for number in 0..EVENTS {
        for topic in &topics {
            publish(nodes.other, topic, number).await;
        }
    }
    let mut seen = vec![0; topics.len()];
    let mut batch = Vec::new();
    while seen.iter().sum::<usize>() < EVENTS * topics.len() {
        let taken = tokio::time::timeout(LIMIT, reader.next_batch(&mut batch, 7)).await.expect("there is more");
        assert!(taken == batch.len() && taken <= 7);
        for delivery in batch.drain(..) {
            let topic = topics.iter().position(|topic| topic == delivery.topic()).unwrap();
            assert_eq!(super::number_of(&delivery), seen[topic]);
            seen[topic] += 1;
        }
    }
}

async fn a_topic_can_be_left_and_followed_again(nodes: &Nodes<'_>) {
    let (left, kept) = (topic("left"), topic("kept"));
    let mut reader = nodes.one.reader();
    let start = reader.follow(&left, None).await.unwrap();
    reader.follow(&kept, None).await.unwrap();
    publish(nodes.one, &left, 0).await;
    assert_eq!(next_number(&mut reader).await, 0);
    publish(nodes.one, &left, 1).await;
    assert!(reader.unfollow(&left));
    assert!(!reader.unfollow(&left));
    publish(nodes.one, &kept, 7).await;
    assert_eq!(next_number(&mut reader).await, 7);
    // From the beginning, and once more without leaving it first.
    for _ in 0..2 {
        reader.follow(&left, Some(start)).await.unwrap();
        assert_eq!(next_number(&mut reader).await, 0);
    }
    assert_eq!(next_number(&mut reader).await, 1);
}

async fn a_cursor_that_is_too_old_is_told_once(nodes: &Nodes<'_>) {
    let topic = topic(SHORT);
    let start = nodes.other.reader().follow(&topic, None).await.unwrap();
    let mut last = start;
    for number in 0..SHORT_SURPLUS {
        last = publish(nodes.one, &topic, number).await;
    }
    let mut reader = nodes.one.reader();
    assert_eq!(reader.follow(&topic, Some(start)).await.unwrap(), start);
    assert_eq!(next_gap(&mut reader).await, last);
    assert!(at_once(&mut reader).is_none());
    publish(nodes.other, &topic, 1_000).await;
    assert_eq!(next_number(&mut reader).await, 1_000);

    // What is still there is delivered, and a repeated id that is not is said to be gone.
    let mut recent = nodes.one.reader();
    recent.follow(&topic, Some(last)).await.unwrap();
    assert_eq!(next_number(&mut recent).await, 1_000);
    let old = super::numbered(5);
    nodes.one.publish(&topic, std::slice::from_ref(&old), None).await.unwrap();
    for number in 0..SHORT_SURPLUS {
        publish(nodes.one, &topic, number).await;
    }
    let repeated = nodes.one.publish(&topic, &[old], None).await.unwrap();
    assert_eq!((repeated[0].repeated, repeated[0].cursor), (true, None));
}

async fn a_cursor_of_another_incarnation_is_told_once(nodes: &Nodes<'_>) {
    let topic = topic("incarnations");
    let old = publish(nodes.one, &topic, 0).await;
    (nodes.forget)(topic.clone()).await;
    let mut reader = nodes.other.reader();
    reader.follow(&topic, Some(old)).await.unwrap();
    let cursor = next_gap(&mut reader).await;
    assert_ne!(cursor.epoch, old.epoch);
    publish(nodes.one, &topic, 1).await;
    assert_eq!(next_number(&mut reader).await, 1);

    // Nor is one that nobody was ever given taken for one of now.
    for forged in [Cursor { offset: u64::MAX, ..cursor }, Cursor { epoch: !cursor.epoch, ..cursor }] {
        let mut reader = nodes.one.reader();
        reader.follow(&topic, Some(forged)).await.unwrap();
        next_gap(&mut reader).await;
        let last = publish(nodes.other, &topic, 2).await;
        assert_eq!(next_number(&mut reader).await, 2);
        assert!(last.offset > cursor.offset);
    }
}

async fn who_stays_while_a_topic_is_forgotten_is_told_once(nodes: &Nodes<'_>) {
    let topic = topic("incarnations");
    let mut readers = [nodes.one.reader(), nodes.other.reader()];
    for reader in &mut readers {
        reader.follow(&topic, None).await.unwrap();
        publish(nodes.one, &topic, 0).await;
        assert_eq!(next_number(reader).await, 0);
    }
    assert_eq!(next_number(&mut readers[0]).await, 0);
    (nodes.forget)(topic.clone()).await;
    let mut number = 1;
    for reader in &mut readers {
        next_gap(reader).await;
        number += 1;
    }
    publish(nodes.one, &topic, number).await;
    for reader in &mut readers {
        assert_eq!(next_number(reader).await, number);
    }
}

async fn waiting_can_be_given_up(nodes: &Nodes<'_>) {
    let topic = topic("cancel");
    let mut reader = nodes.one.reader();
    reader.follow(&topic, None).await.unwrap();
    let publisher = async {
        for number in 0..200 {
            publish(nodes.other, &topic, number).await;
        }
    };
    let impatient = async {
        let mut numbers = Vec::new();
        while numbers.len() < 200 {
            // Gives up and asks again, all the time.
            match at_once(&mut reader) {
                Some(delivery) => numbers.push(super::number_of(&delivery)),
                None => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        }
        numbers
    };
    let (numbers, ()) = tokio::time::timeout(LIMIT, async { tokio::join!(impatient, publisher) }).await.unwrap();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

async fn topics_without_readers_are_let_go(nodes: &Nodes<'_>) {
    let is_quiet = async |bus: &dyn Bus| bus.topics() == 0;
    eventually("no topics are followed", async || is_quiet(nodes.one).await && is_quiet(nodes.other).await).await;
    let topic = topic("quiet");
    let mut readers = [nodes.one.reader(), nodes.one.reader()];
    for reader in &mut readers {
        reader.follow(&topic, None).await.unwrap();
    }
    assert_eq!(nodes.one.topics(), 1);
    let [first, second] = readers;
    drop(first);
    publish(nodes.other, &topic, 1).await;
    let mut second = second;
    assert_eq!(next_number(&mut second).await, 1);
    drop(second);
    eventually("no topics are followed", async || is_quiet(nodes.one).await).await;
}

//! What is promised of events that are kept nowhere.

use std::time::Duration;

use super::{Nodes, at_once, next, next_number, number_of, publish, topic};
use crate::{Bus, Delivery, Reader, Topic};

pub(super) async fn verify(nodes: &Nodes<'_>) {
    readers_on_the_node_get_them_at_once_and_others_soon(nodes).await;
    they_arrive_once_and_in_order(nodes).await;
    who_comes_later_gets_none(nodes).await;
    both_kinds_go_over_one_topic(nodes).await;
}

fn say(bus: &dyn Bus, topic: &Topic, number: usize) {
    bus.publish_unretained(topic, number.to_string().into()).unwrap();
}

/// Publishes until the reader gets something, since a new one may not be known everywhere yet. Says how many it were.
async fn say_until_heard(bus: &dyn Bus, topic: &Topic, reader: &mut Reader) -> usize {
    for number in 0..10_000 {
        say(bus, topic, number);
        if let Ok(delivery) = tokio::time::timeout(Duration::from_millis(5), reader.next()).await {
            assert!(number_of(&delivery) <= number);
            return number + 1;
        }
    }
    panic!("nobody listens");
}

async fn readers_on_the_node_get_them_at_once_and_others_soon(nodes: &Nodes<'_>) {
    let topic = topic("unretained");
    say(nodes.one, &topic, 0);
    let (mut here, mut there) = (nodes.one.reader(), nodes.other.reader());
    here.follow(&topic, None).await.unwrap();
    there.follow(&topic, None).await.unwrap();
    say(nodes.one, &topic, 1);
    let Some(Delivery::Event(event)) = at_once(&mut here) else { panic!("not at once") };
    assert_eq!((&event.payload()[..], event.cursor()), (&b"1"[..], None));
    assert_eq!(next_number(&mut there).await, 1);
}

async fn they_arrive_once_and_in_order(nodes: &Nodes<'_>) {
    const EVENTS: usize = 500;
    let topic = topic("unretained");
    let mut readers = [nodes.one.reader(), nodes.other.reader(), nodes.other.reader()];
    for reader in &mut readers {
        reader.follow(&topic, None).await.unwrap();
    }
    for number in 0..EVENTS {
        say(nodes.one, &topic, number);
        say(nodes.other, &topic, number + EVENTS);
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for reader in &mut readers {
        let (mut first, mut second) = (0, EVENTS);
        while (first, second) != (EVENTS, 2 * EVENTS) {
            let number = next_number(reader).await;
            let expected = if number < EVENTS { &mut first } else { &mut second };
            assert_eq!(number, *expected);
            *expected += 1;
        }
        assert!(at_once(reader).is_none());
    }
}

async fn who_comes_later_gets_none(nodes: &Nodes<'_>) {
    let topic = topic("unretained");
    let mut first = nodes.one.reader();
    let start = first.follow(&topic, None).await.unwrap();
    say(nodes.one, &topic, 0);
    publish(nodes.one, &topic, 1).await;
    say(nodes.one, &topic, 2);
    let mut late = nodes.one.reader();
    late.follow(&topic, Some(start)).await.unwrap();
    assert_eq!(next_number(&mut late).await, 1);
    say(nodes.one, &topic, 3);
    assert_eq!(next_number(&mut late).await, 3);
}

async fn both_kinds_go_over_one_topic(nodes: &Nodes<'_>) {
    let topic = topic("unretained");
    let mut reader = nodes.one.reader();
    reader.follow(&topic, None).await.unwrap();
    let mut retained = 0;
    let mut unretained = 0;
    for number in 0..100 {
        say(nodes.one, &topic, 1_000 + number);
        publish(nodes.other, &topic, number).await;
    }
    while (retained, unretained) != (100, 100) {
        let delivery = next(&mut reader).await;
        let (number, Delivery::Event(event)) = (number_of(&delivery), &delivery) else { panic!("no event") };
        let expected = if event.cursor().is_some() { &mut retained } else { &mut unretained };
        assert_eq!(number % 1_000, *expected);
        *expected += 1;
    }

    // A node that nobody else listened to until now is heard by those who begin to.
    let mut other = nodes.other.reader();
    other.follow(&topic, None).await.unwrap();
    let said = say_until_heard(nodes.one, &topic, &mut other).await;
    assert_eq!(said, 1, "who follows is there");
}

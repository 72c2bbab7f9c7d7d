//! What publishers are promised.

use std::time::Duration;

use futures::future::join_all;

use super::{
    Nodes, SHORT_LENGTH, SHORT_SURPLUS, eventually, next, next_gap, next_number, next_numbers, numbered, publish, topic,
};
use crate::{
    Delivery, MAX_PAYLOAD_BYTES, MAX_PUBLICATION_BYTES, MAX_PUBLICATION_EVENTS, NewEvent, PublishError, Retention,
    Topic,
};

pub(super) async fn verify(nodes: &Nodes<'_>) {
    many_publishers_make_one_order(nodes).await;
    a_publication_is_not_parted(nodes).await;
    an_id_is_published_once(nodes).await;
    what_is_too_large_is_refused(nodes).await;
    a_topic_ends_after_its_last_event(nodes).await;
    a_publisher_says_how_much_is_kept(nodes).await;
    a_position_lies_between_what_was_and_what_comes(nodes).await;
}

async fn many_publishers_make_one_order(nodes: &Nodes<'_>) {
    const PUBLISHERS: usize = 8;
    const EVENTS: usize = 50;
    let topic = topic("order");
    let mut readers = [nodes.one.reader(), nodes.other.reader()];
    let mut start = None;
    for reader in &mut readers {
        start = Some(reader.follow(&topic, None).await.unwrap());
    }
    let publish_own = async |publisher: usize| {
        let bus = if publisher.is_multiple_of(2) { nodes.one } else { nodes.other };
        let mut cursors = Vec::new();
        for event in 0..EVENTS {
            cursors.push((publish(bus, &topic, publisher * EVENTS + event).await, publisher * EVENTS + event));
        }
        cursors
    };
    let mut published = join_all((0..PUBLISHERS).map(publish_own)).await.concat();
    published.sort_by_key(|(cursor, _)| cursor.offset);
    let order: Vec<usize> = published.iter().map(|(_, number)| *number).collect();

    for reader in &mut readers {
        assert_eq!(next_numbers(reader, PUBLISHERS * EVENTS).await, order);
    }
    // Whoever comes later is told the same.
    let mut late = nodes.one.reader();
    late.follow(&topic, start).await.unwrap();
    assert_eq!(next_numbers(&mut late, PUBLISHERS * EVENTS).await, order);
    for publisher in 0..PUBLISHERS {
        let own: Vec<_> = order.iter().filter(|number| **number / EVENTS == publisher).collect();
        assert!(own.is_sorted(), "publisher {publisher} was reordered");
    }
}

async fn a_publication_is_not_parted(nodes: &Nodes<'_>) {
    const SIZE: usize = 5;
    let topic = topic("batches");
    let mut reader = nodes.other.reader();
    reader.follow(&topic, None).await.unwrap();
    let publication = async |number: usize| {
        let events: Vec<NewEvent> = (0..SIZE).map(|event| numbered(number * SIZE + event)).collect();
        let published = nodes.one.publish(&topic, &events, None).await.unwrap();
        assert!(published.is_sorted_by_key(|published| published.cursor.unwrap().offset));
        assert!(published.is_sorted_by_key(|published| published.time));
    };
    join_all((0..20).map(publication)).await;
    for _ in 0..20 {
        let numbers = next_numbers(&mut reader, SIZE).await;
        let first = numbers[0];
        assert_eq!(numbers, (first..first + SIZE).collect::<Vec<_>>());
        assert_eq!(first % SIZE, 0);
    }
    assert!(nodes.one.publish(&topic, &[], None).await.unwrap().is_empty());
}

async fn an_id_is_published_once(nodes: &Nodes<'_>) {
    let topic = topic("ids");
    let mut reader = nodes.one.reader();
    reader.follow(&topic, None).await.unwrap();
    let events = [numbered(0), numbered(1)];
    let first = nodes.one.publish(&topic, &events, None).await.unwrap();
    let again = nodes.other.publish(&topic, &[numbered(2), events[1].clone(), numbered(3)], None).await.unwrap();
    assert_eq!(again.iter().map(|published| published.repeated).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!((again[1].cursor, again[1].time), (first[1].cursor, first[1].time));
    let twice = numbered(4);
    let both = nodes.one.publish(&topic, &[twice.clone(), twice], None).await.unwrap();
    assert_eq!((both[0].repeated, both[1].repeated, both[0].cursor), (false, true, both[1].cursor));
    // Without an id, the same is published twice.
    let anonymous = NewEvent { id: None, ..numbered(5) };
    nodes.one.publish(&topic, &[anonymous.clone(), anonymous], None).await.unwrap();
    assert_eq!(next_numbers(&mut reader, 7).await, [0, 1, 2, 3, 4, 5, 5]);
    // In another topic it is another event.
    assert!(!nodes.one.publish(&super::topic("ids"), &events, None).await.unwrap()[0].repeated);
    // At the same time, too.
    let contested = [numbered(6)];
    let outcomes = join_all((0..10).map(|_| nodes.one.publish(&topic, &contested, None))).await;
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.as_ref().unwrap()[0].repeated).count(), 1);
}

async fn what_is_too_large_is_refused(nodes: &Nodes<'_>) {
    let topic = topic("sizes");
    let payload = |bytes| NewEvent { id: None, payload: vec![b'1'; bytes].into() };
    let many = vec![payload(1); MAX_PUBLICATION_EVENTS + 1];
    let heavy = vec![payload(MAX_PAYLOAD_BYTES); MAX_PUBLICATION_BYTES / MAX_PAYLOAD_BYTES + 1];
    for events in [many, heavy, vec![payload(MAX_PAYLOAD_BYTES + 1)]] {
        assert!(matches!(nodes.one.publish(&topic, &events, None).await, Err(PublishError::TooLarge)));
    }
    let large = payload(MAX_PAYLOAD_BYTES + 1).payload;
    assert!(matches!(nodes.one.publish_unretained(&topic, large), Err(PublishError::TooLarge)));

    let mut reader = nodes.other.reader();
    let start = reader.follow(&topic, None).await.unwrap();
    let most = vec![payload(MAX_PAYLOAD_BYTES); MAX_PUBLICATION_BYTES / MAX_PAYLOAD_BYTES];
    nodes.one.publish(&topic, &most, None).await.unwrap();
    nodes.one.publish(&topic, &[NewEvent { id: None, payload: bytes::Bytes::new() }], None).await.unwrap();
    reader.follow(&topic, Some(start)).await.unwrap();
    for expected in most.iter().map(|event| event.payload.len()).chain([0]) {
        let Delivery::Event(event) = next(&mut reader).await else { panic!("no event") };
        assert_eq!(event.payload().len(), expected);
    }
}

async fn a_topic_ends_after_its_last_event(nodes: &Nodes<'_>) {
    let topic = topic("ends");
    let mut live = nodes.other.reader();
    let start = live.follow(&topic, None).await.unwrap();
    let last = numbered(1);
    publish(nodes.one, &topic, 0).await;
    let published = nodes.one.publish(&topic, std::slice::from_ref(&last), None).await.unwrap();
    nodes.one.end(&topic).await.unwrap();
    nodes.other.end(&topic).await.unwrap();
    assert!(matches!(nodes.one.publish(&topic, &[numbered(2)], None).await, Err(PublishError::Ended)));
    // Who lost the answer may still ask.
    let again = nodes.one.publish(&topic, &[last], None).await.unwrap();
    assert_eq!((again[0].repeated, again[0].cursor), (true, published[0].cursor));

    let mut late = nodes.one.reader();
    late.follow(&topic, Some(start)).await.unwrap();
    for reader in [&mut live, &mut late] {
        assert_eq!((next_number(reader).await, next_number(reader).await), (0, 1));
        assert!(is_end(&next(reader).await, &topic));
        assert_eq!(reader.topics().count(), 0);
    }
    let mut too_late = nodes.one.reader();
    too_late.follow(&topic, None).await.unwrap();
    assert!(is_end(&next(&mut too_late).await, &topic));
    eventually("no node reads the topic", async || nodes.one.topics() + nodes.other.topics() == 0).await;

    // A topic that nobody knows can end, too.
    let silent = super::topic("ends");
    live.follow(&silent, None).await.unwrap();
    nodes.one.end(&silent).await.unwrap();
    assert!(is_end(&next(&mut live).await, &silent));
}

async fn a_publisher_says_how_much_is_kept(nodes: &Nodes<'_>) {
    let topic = topic("kept");
    let start = nodes.other.reader().follow(&topic, None).await.unwrap();
    let few = Retention { max_length: SHORT_LENGTH, ..Retention::default() };
    let mut last = start;
    for number in 0..SHORT_SURPLUS {
        last = nodes.one.publish(&topic, &[numbered(number)], Some(few)).await.unwrap()[0].cursor.unwrap();
    }
    let mut late = nodes.one.reader();
    late.follow(&topic, Some(start)).await.unwrap();
    assert_eq!(next_gap(&mut late).await, last);

    let brief = Retention { lifetime: Duration::from_millis(1_500), ..Retention::default() };
    let published = nodes.other.publish(&topic, &[numbered(1)], Some(brief)).await.unwrap();
    let mut in_time = nodes.one.reader();
    in_time.follow(&topic, Some(last)).await.unwrap();
    assert_eq!(next_number(&mut in_time).await, 1);
    eventually("the event is gone, and the topic is not", async || {
        let mut late = nodes.one.reader();
        late.follow(&topic, Some(start)).await.unwrap();
        matches!(next(&mut late).await, Delivery::Gap { cursor, .. } if Some(cursor) == published[0].cursor)
    })
    .await;
}

async fn a_position_lies_between_what_was_and_what_comes(nodes: &Nodes<'_>) {
    let topic = topic("positions");
    // Of a topic that nobody knows, too.
    let mut positions = vec![(nodes.position)(topic.clone()).await];
    for number in 0..3 {
        assert_eq!((nodes.position)(topic.clone()).await, positions[number]);
        let cursor = publish(nodes.other, &topic, number).await;
        positions.push((nodes.position)(topic.clone()).await);
        assert_eq!(positions[number + 1], cursor);
    }
    nodes.one.end(&topic).await.unwrap();
    assert_eq!((nodes.position)(topic.clone()).await, positions[3]);
    for (seen, position) in positions.into_iter().enumerate() {
        let mut reader = nodes.one.reader();
        reader.follow(&topic, Some(position)).await.unwrap();
        assert_eq!(next_numbers(&mut reader, 3 - seen).await, (seen..3).collect::<Vec<_>>());
        assert!(is_end(&next(&mut reader).await, &topic));
    }
}

fn is_end(delivery: &Delivery, of: &Topic) -> bool {
    matches!(delivery, Delivery::Ended { topic } if topic == of)
}

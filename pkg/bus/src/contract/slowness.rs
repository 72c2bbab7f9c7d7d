//! What is promised when readers are slow.

use super::{Nodes, SHORT, at_once, next, next_gap, next_number, number_of, publish, topic};
use crate::backlog::BACKLOG_EVENTS;
use crate::{Delivery, NewEvent};

pub(super) async fn verify(nodes: &Nodes<'_>) {
    who_reads_late_gets_all_that_is_retained(nodes).await;
    who_reads_late_misses_unretained_events_and_none_is_reordered(nodes).await;
    who_does_not_read_does_not_hold_up_others(nodes).await;
    who_reads_too_late_is_told_once(nodes).await;
}

async fn who_reads_late_gets_all_that_is_retained(nodes: &Nodes<'_>) {
    const EVENTS: usize = 3 * BACKLOG_EVENTS;
    let topic = topic("slow");
    let mut slow = nodes.other.reader();
    slow.follow(&topic, None).await.unwrap();
    for first in (0..EVENTS).step_by(64) {
        let events: Vec<NewEvent> = (first..first + 64).map(super::numbered).collect();
        nodes.one.publish(&topic, &events, None).await.unwrap();
    }
    // While it catches up, it goes on.
    let mut published = EVENTS;
    for number in 0..EVENTS {
        assert_eq!(next_number(&mut slow).await, number);
        if number % 100 == 0 {
            publish(nodes.one, &topic, published).await;
            published += 1;
        }
    }
    for number in EVENTS..published {
        assert_eq!(next_number(&mut slow).await, number);
    }
    assert!(at_once(&mut slow).is_none());
}

async fn who_reads_late_misses_unretained_events_and_none_is_reordered(nodes: &Nodes<'_>) {
    const EVENTS: usize = 4 * BACKLOG_EVENTS;
    let topic = topic("slow");
    let mut slow = nodes.one.reader();
    slow.follow(&topic, None).await.unwrap();
    let mut retained = 0;
    for number in 0..EVENTS {
        nodes.one.publish_unretained(&topic, number.to_string().into()).unwrap();
        if number % 64 == 0 {
            publish(nodes.one, &topic, retained).await;
            retained += 1;
        }
    }
    let (mut seen_retained, mut last_unretained, mut seen_unretained) = (0, None, 0);
    while seen_retained < retained || last_unretained != Some(EVENTS - 1) {
        let delivery = next(&mut slow).await;
        let number = number_of(&delivery);
        let Delivery::Event(event) = delivery else { panic!("no event") };
        if event.cursor().is_some() {
            assert_eq!(number, seen_retained);
            seen_retained += 1;
        } else {
            assert!(last_unretained.is_none_or(|last| last < number));
            last_unretained = Some(number);
            seen_unretained += 1;
        }
    }
    assert!(seen_unretained <= BACKLOG_EVENTS, "{seen_unretained} were kept for a slow reader");
}

async fn who_does_not_read_does_not_hold_up_others(nodes: &Nodes<'_>) {
    let topic = topic("stalled");
    let mut stalled = nodes.one.reader();
    stalled.follow(&topic, None).await.unwrap();
    let mut reader = nodes.one.reader();
    reader.follow(&topic, None).await.unwrap();
    for number in 0..2 * BACKLOG_EVENTS {
        nodes.one.publish_unretained(&topic, number.to_string().into()).unwrap();
        assert_eq!(number_of(&at_once(&mut reader).expect("it is there")), number);
    }
    publish(nodes.one, &topic, 7).await;
    assert_eq!(next_number(&mut reader).await, 7);
}

async fn who_reads_too_late_is_told_once(nodes: &Nodes<'_>) {
    let topic = topic(SHORT);
    let mut slow = nodes.other.reader();
    slow.follow(&topic, None).await.unwrap();
    let mut last = None;
    for first in (0..2 * BACKLOG_EVENTS).step_by(64) {
        let events: Vec<NewEvent> = (first..first + 64).map(super::numbered).collect();
        last = nodes.one.publish(&topic, &events, None).await.unwrap().pop();
    }
    let last = last.and_then(|published| published.cursor).unwrap();
    let mut current = nodes.other.reader();
    assert_eq!(current.follow(&topic, None).await.unwrap(), last);
    publish(nodes.other, &topic, 1).await;
    // The other node has it all now.
    assert_eq!(next_number(&mut current).await, 1);
    let gap = next_gap(&mut slow).await;
    assert!(gap.offset >= last.offset);
    publish(nodes.one, &topic, 2).await;
    let rest = if gap == last { vec![1, 2] } else { vec![2] };
    assert_eq!(super::next_numbers(&mut slow, rest.len()).await, rest);
}

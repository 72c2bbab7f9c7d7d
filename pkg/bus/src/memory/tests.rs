use std::sync::Barrier;
use std::time::Duration;

use futures::FutureExt;
use pkg_ambient::ManualClock;

use super::*;
use crate::contract::{self, Nodes, at_once, next_gap, next_number, next_numbers, numbered, publish, topic};
use crate::{Delivery, Retention};

#[tokio::test]
async fn the_contract_holds() {
    let bus = MemoryBus::new(Ambient::system(), contract::retentions());
    let forget = |topic: Topic| async { bus.forget(&{ topic }) }.boxed();
    let position = |topic: Topic| async { bus.position(&{ topic }) }.boxed();
    let (forget, position) = (Box::new(forget), Box::new(position));
    contract::verify(&Nodes { one: &bus, other: &bus, forget, position, histories: 200 }).await;
}

fn with_clock() -> (MemoryBus, Arc<ManualClock>) {
    let clock = ManualClock::new();
    let retention = Retention { lifetime: Duration::from_mins(5), ..Retention::default() };
    (MemoryBus::new(Ambient::with_clock(clock.clone()), Retentions::new(retention)), clock)
}

#[tokio::test]
async fn events_are_kept_for_their_lifetime() {
    let (bus, clock) = with_clock();
    let topic = topic("t");
    let mut reader = bus.reader();
    let start = reader.follow(&topic, None).await.unwrap();
    let last = publish(&bus, &topic, 0).await;
    clock.advance(Duration::from_secs(299));
    bus.reader().follow(&topic, None).await.unwrap();
    assert_eq!(next_number(&mut reader).await, 0);
    clock.advance(Duration::from_secs(2));
    // The topic lives on while it has readers, without the event.
    let mut late = bus.reader();
    late.follow(&topic, Some(start)).await.unwrap();
    assert_eq!(next_gap(&mut late).await, last);
    let mut current = bus.reader();
    current.follow(&topic, Some(last)).await.unwrap();
    publish(&bus, &topic, 1).await;
    assert_eq!(next_number(&mut current).await, 1);
}

#[tokio::test]
async fn topics_are_forgotten() {
    let (bus, clock) = with_clock();
    let (idle, ended, read) = (topic("idle"), topic("ended"), topic("read"));
    let old = publish(&bus, &idle, 0).await;
    publish(&bus, &ended, 0).await;
    bus.end_now(&ended);
    let mut reader = bus.reader();
    reader.follow(&read, None).await.unwrap();
    assert_eq!(bus.remembered(), 3);
    clock.advance(Duration::from_secs(301));
    publish(&bus, &read, 1).await;
    assert_eq!(bus.remembered(), 1);
    drop(reader);
    clock.advance(Duration::from_secs(301));
    let mut reader = bus.reader();
    reader.follow(&idle, Some(old)).await.unwrap();
    next_gap(&mut reader).await;
    assert_eq!(bus.remembered(), 1);
}

#[tokio::test]
async fn ids_are_forgotten_after_an_hour() {
    let (bus, clock) = with_clock();
    let topic = topic("t");
    let event = [numbered(0)];
    let _reader = {
        let mut reader = bus.reader();
        reader.follow(&topic, None).await.unwrap();
        reader
    };
    bus.publish_now(&topic, &event, None).unwrap();
    clock.advance(Duration::from_mins(59));
    assert!(bus.publish_now(&topic, &event, None).unwrap()[0].repeated);
    clock.advance(Duration::from_mins(2));
    assert!(!bus.publish_now(&topic, &event, None).unwrap()[0].repeated);
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_reorder() {
    let (bus, clock) = with_clock();
    clock.advance(Duration::from_secs(100));
    let topic = topic("t");
    let first = publish(&bus, &topic, 0).await;
    let behind = MemoryBus { shared: bus.shared.clone() };
    let second = publish(&behind, &topic, 1).await;
    assert!(second.offset > first.offset);
}

#[tokio::test]
async fn a_reader_that_was_away_for_long_is_caught_up() {
    let (bus, clock) = with_clock();
    let topic = topic("t");
    let mut reader = bus.reader();
    reader.follow(&topic, None).await.unwrap();
    publish(&bus, &topic, 0).await;
    bus.publish_unretained(&topic, "7".into()).unwrap();
    clock.advance(Duration::from_secs(11));
    publish(&bus, &topic, 1).await;
    assert_eq!(next_numbers(&mut reader, 2).await, [0, 1]);
    assert!(at_once(&mut reader).is_none());
}

/// Publishers and readers on threads of their own: no wake-up is lost.
#[test]
fn nothing_is_lost_between_threads() {
    const THREADS: usize = 4;
    const EVENTS: usize = 20_000;
    let bus = MemoryBus::new(Ambient::system(), Retentions::default());
    let topic = topic("t");
    let ready = Barrier::new(2 * THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bus, topic, ready) = (&bus, &topic, &ready);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    let mut reader = bus.reader();
                    reader.follow(topic, None).await.unwrap();
                    ready.wait();
                    let mut batch = Vec::new();
                    let mut seen = 0;
                    let mut last = None;
                    while seen < THREADS * EVENTS / 20 {
                        let wait = reader.next_batch(&mut batch, 16);
                        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("no wake-up is lost");
                        for delivery in batch.drain(..) {
                            let Delivery::Event(event) = delivery else { panic!("no event") };
                            if let Some(cursor) = event.cursor() {
                                assert!(last < Some(cursor.offset));
                                last = Some(cursor.offset);
                                seen += 1;
                            }
                        }
                    }
                });
            });
            scope.spawn(move || {
                ready.wait();
                for number in 0..EVENTS {
                    if number % 20 == 0 {
                        bus.publish_now(topic, &[numbered(thread)], None).unwrap();
                    } else {
                        bus.publish_unretained(topic, "0".into()).unwrap();
                    }
                }
            });
        }
    });
}

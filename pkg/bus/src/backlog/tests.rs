use bytes::Bytes;

use super::*;
use crate::Topic;
use crate::event::time_of;

const NOW: u64 = 1_000_000_000;
const EPOCH: u64 = 7;

fn retained(offset: u64) -> Arc<Event> {
    let cursor = Cursor { epoch: EPOCH, offset: NOW + offset };
    Event::retained(Topic::new("t").unwrap(), cursor, Bytes::new())
}

fn unretained() -> Arc<Event> {
    Event::unretained(Topic::new("t").unwrap(), time_of(NOW), Bytes::new())
}

fn end(offset: u64) -> Cursor {
    Cursor { epoch: EPOCH, offset: NOW + offset }
}

fn arrival(previous: u64, offset: u64) -> Arrival {
    Arrival { previous: NOW + previous, event: retained(offset) }
}

fn open_at(offset: u64) -> Backlog {
    let mut backlog = Backlog::default();
    assert!(!backlog.open(end(offset), false));
    backlog
}

/// Takes all: the offsets, 0 for an unretained one.
fn offsets(backlog: &Backlog, place: &mut Place) -> (Vec<u64>, Taken) {
    let mut out = Vec::new();
    let taken = backlog.take(place, &mut out, usize::MAX, &mut Lost::default());
    let offset = |delivery: &Delivery| match delivery {
        Delivery::Event(event) => event.cursor().map_or(0, |cursor| cursor.offset - NOW),
        _ => panic!("unexpected {delivery:?}"),
    };
    (out.iter().map(offset).collect(), taken)
}

fn page(last: u64, previous: u64, offsets: &[u64]) -> Page {
    Page {
        end: end(last),
        ended: false,
        previous: (!offsets.is_empty()).then_some(NOW + previous),
        events: offsets.iter().map(|offset| retained(*offset)).collect(),
        more: false,
    }
}

fn now() -> OffsetDateTime {
    time_of(NOW)
}

#[test]
fn what_was_seen_is_not_delivered_again() {
    let mut backlog = open_at(10);
    let mut place = backlog.place(1, NOW + 12);
    assert!(!backlog.receive(EPOCH, vec![arrival(10, 11), arrival(11, 12), arrival(12, 13)], now()));
    assert!(!backlog.receive(EPOCH, vec![arrival(11, 12), arrival(12, 13), arrival(13, 14)], now()));
    assert_eq!(offsets(&backlog, &mut place), (vec![13, 14], Taken::All));
    assert_eq!(offsets(&backlog, &mut place), (vec![], Taken::All));
}

#[test]
fn a_hole_is_noticed_and_filled() {
    let mut backlog = open_at(10);
    let mut place = backlog.place(1, NOW + 10);
    assert!(backlog.receive(EPOCH, vec![arrival(12, 13)], now()));
    let before = backlog.standing();
    // Meanwhile, what is missing arrives in part.
    assert!(!backlog.receive(EPOCH, vec![arrival(10, 11)], now()));
    assert_eq!(backlog.merge(before, page(13, 10, &[11, 12, 13]), now()), 2);
    assert_eq!(offsets(&backlog, &mut place), (vec![11, 12, 13], Taken::All));
}

#[test]
fn what_arrives_before_it_is_open_is_remembered() {
    let mut backlog = Backlog::default();
    assert!(!backlog.receive(EPOCH, vec![arrival(10, 11)], now()));
    assert!(backlog.open(end(10), false));
}

#[test]
fn events_that_are_gone_are_a_gap() {
    for page in [page(20, 15, &[16, 20]), page(20, 0, &[]), page(5, 0, &[])] {
        let mut backlog = open_at(10);
        let mut place = backlog.place(1, NOW + 10);
        let last = page.end;
        assert_eq!(backlog.merge(backlog.standing(), page, now()), 0);
        assert_eq!(backlog.gap(&mut place, &mut Lost::default()), Some(last));
        assert_eq!(backlog.gap(&mut place, &mut Lost::default()), None);
        assert_eq!(offsets(&backlog, &mut place), (vec![], Taken::All));
    }
}

#[test]
fn another_incarnation_is_a_gap_before_its_first_event() {
    let mut backlog = open_at(10);
    let mut place = backlog.place(1, NOW + 10);
    let topic = Topic::new("t").unwrap();
    let event = Event::retained(topic, Cursor { epoch: 8, offset: NOW + 30 }, Bytes::new());
    assert!(!backlog.receive(8, vec![Arrival { previous: 0, event }], now()));
    assert_eq!(backlog.gap(&mut place, &mut Lost::default()), Some(Cursor { epoch: 8, offset: 0 }));
    assert_eq!(offsets(&backlog, &mut place), (vec![30], Taken::All));
}

#[test]
fn a_store_that_lost_what_we_had_is_a_gap() {
    let mut backlog = open_at(10);
    let mut place = backlog.place(1, NOW + 10);
    assert!(!backlog.receive(EPOCH, vec![arrival(8, 15)], now()));
    assert_eq!(backlog.gap(&mut place, &mut Lost::default()), Some(end(8)));
    assert_eq!(offsets(&backlog, &mut place), (vec![15], Taken::All));
    // An answer from before that is no news.
    let before = backlog.standing();
    backlog.push(retained(16), now());
    backlog.observe(before, &page(15, 0, &[]));
    assert_eq!(backlog.standing().end, end(16));
    backlog.observe(backlog.standing(), &page(15, 0, &[]));
    assert_eq!(backlog.standing().end, end(15));
}

#[test]
fn who_falls_behind_is_told_and_comes_back() {
    let mut backlog = open_at(0);
    let mut place = backlog.place(1, NOW);
    let count = BACKLOG_EVENTS as u64 + 10;
    for offset in 1..=count {
        backlog.push(retained(offset), now());
    }
    assert_eq!(offsets(&backlog, &mut place).1, Taken::Behind);
    place.advance(NOW + 9);
    assert_eq!(offsets(&backlog, &mut place).1, Taken::Behind);
    place.advance(NOW + 20);
    assert_eq!(offsets(&backlog, &mut place), ((21..=count).collect(), Taken::All));
}

#[test]
fn unretained_events_are_missed_by_who_falls_behind_and_counted() {
    let mut backlog = open_at(0);
    let mut place = backlog.place(1, NOW);
    for _ in 0..BACKLOG_EVENTS + 10 {
        backlog.push(unretained(), now());
    }
    let (mut out, mut lost) = (Vec::new(), Lost::default());
    assert_eq!(backlog.take(&mut place, &mut out, usize::MAX, &mut lost), Taken::All);
    assert_eq!((out.len(), lost.unretained), (BACKLOG_EVENTS, 10));
    let mut late = backlog.place(1, NOW);
    assert_eq!(offsets(&backlog, &mut late), (vec![], Taken::All));
}

#[test]
fn what_is_old_or_too_much_is_dropped() {
    let mut backlog = open_at(0);
    backlog.push(retained(1), now());
    backlog.push(unretained(), now());
    backlog.trim(now() + BACKLOG_AGE + Duration::from_millis(1));
    assert_eq!((backlog.entries.len(), backlog.bytes, backlog.base), (0, 0, NOW + 1));

    let topic = Topic::new("t").unwrap();
    let large = Bytes::from(vec![0; BACKLOG_BYTES / 4]);
    for _ in 0..10 {
        backlog.push(Event::unretained(topic.clone(), now(), large.clone()), now());
    }
    assert_eq!(backlog.entries.len(), 4);
}

#[test]
fn the_end_comes_after_the_last_event() {
    let mut backlog = open_at(0);
    let mut place = backlog.place(1, NOW);
    backlog.push(retained(1), now());
    // The end is known before an event that is still missing.
    assert!(backlog.receive_end(end(2)));
    assert_eq!(offsets(&backlog, &mut place), (vec![1], Taken::All));
    let ended = Page { ended: true, ..page(2, 1, &[2]) };
    backlog.merge(backlog.standing(), ended, now());
    let mut out = Vec::new();
    assert_eq!(backlog.take(&mut place, &mut out, 1, &mut Lost::default()), Taken::Some);
    assert_eq!(offsets(&backlog, &mut place), (vec![], Taken::Ended));
}

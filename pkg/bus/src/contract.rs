//! What every bus promises, over two nodes of it. Where there is only one process, both are the same.

mod following;
mod histories;
mod publishing;
mod slowness;
mod unretained;

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use pkg_ambient::Ambient;
use tokio::time::timeout;

use crate::{Bus, Cursor, Delivery, NewEvent, Reader, Retention, Retentions, Topic};

/// How long anything may take to happen.
const LIMIT: Duration = Duration::from_secs(30);
/// The class of topics that keep little.
const SHORT: &str = "short";
/// So many events are kept of them at least, and fewer than so many for certain.
const SHORT_LENGTH: usize = 50;
const SHORT_SURPLUS: usize = 300;

/// Two nodes of a bus, and what only a test does to it.
pub(crate) struct Nodes<'a> {
    pub(crate) one: &'a dyn Bus,
    pub(crate) other: &'a dyn Bus,
    /// Removes all that the store knows of a topic, with readers or without.
    pub(crate) forget: Box<dyn Fn(Topic) -> BoxFuture<'a, ()> + Send + Sync + 'a>,
    /// Where a topic is, as a store asks that reads a state beside it.
    pub(crate) position: Box<dyn Fn(Topic) -> BoxFuture<'a, Cursor> + Send + Sync + 'a>,
    /// How many random histories to try.
    pub(crate) histories: u32,
}

/// What the nodes must be made with.
pub(crate) fn retentions() -> Retentions {
    let short = Retention { max_length: SHORT_LENGTH, ..Retention::default() };
    Retentions::new(Retention { max_length: 10_000, ..Retention::default() }).with(SHORT, short)
}

pub(crate) async fn verify(nodes: &Nodes<'_>) {
    publishing::verify(nodes).await;
    following::verify(nodes).await;
    unretained::verify(nodes).await;
    slowness::verify(nodes).await;
    histories::verify(nodes).await;
}

/// A topic that nobody else uses.
pub(crate) fn topic(class: &str) -> Topic {
    Topic::new(&format!("{class}/{}", Ambient::system().id())).unwrap()
}

pub(crate) fn event(payload: impl Into<Bytes>) -> NewEvent {
    NewEvent { id: Some(Ambient::system().id()), payload: payload.into() }
}

pub(crate) fn numbered(number: usize) -> NewEvent {
    event(number.to_string())
}

/// Publishes an event, and says where the topic is after it.
pub(crate) async fn publish(bus: &dyn Bus, topic: &Topic, number: usize) -> Cursor {
    let published = bus.publish(topic, &[numbered(number)], None).await.unwrap();
    assert!(!published[0].repeated);
    published[0].cursor.unwrap()
}

pub(crate) async fn next(reader: &mut Reader) -> Delivery {
    timeout(LIMIT, reader.next()).await.expect("something is delivered")
}

/// What is there at this moment.
pub(crate) fn at_once(reader: &mut Reader) -> Option<Delivery> {
    // Tokio lets a task that has done much wait for its turn, which looks as if there were nothing.
    tokio::task::unconstrained(reader.next()).now_or_never()
}

/// The next delivery, which is an event, as a number.
pub(crate) async fn next_number(reader: &mut Reader) -> usize {
    number_of(&next(reader).await)
}

pub(crate) fn number_of(delivery: &Delivery) -> usize {
    let Delivery::Event(event) = delivery else { panic!("unexpected {delivery:?}") };
    std::str::from_utf8(event.payload()).unwrap().parse().unwrap()
}

pub(crate) async fn next_numbers(reader: &mut Reader, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(next_number(reader).await);
    }
    numbers
}

/// The cursor of the next delivery, which is a gap.
pub(crate) async fn next_gap(reader: &mut Reader) -> Cursor {
    match next(reader).await {
        Delivery::Gap { cursor, .. } => cursor,
        delivery => panic!("unexpected {delivery:?}"),
    }
}

/// Waits until a condition is true.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"));
}

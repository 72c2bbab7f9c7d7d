//! Random histories: readers come and go while others publish, and each sees every event once, in order.

use futures::FutureExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::{Nodes, at_once, next, numbered, topic};
use crate::{Cursor, Delivery, NewEvent, Reader};

const CLIENTS: usize = 3;
const MAX_STEPS: usize = 60;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many events are published, by the one node or the other.
    Publish { by_other: bool, count: usize },
    /// A client goes away.
    Leave { client: usize },
    /// A client goes on from the last cursor that it has seen, at the one node or the other; perhaps it never left.
    Resume { client: usize, at_other: bool },
    /// A client reads what there is, at most so many events.
    Read { client: usize, count: usize },
}

/// A client as it should be: it has a cursor and knows which event comes next.
struct Client {
    cursor: Cursor,
    next: usize,
    reader: Option<Reader>,
}

pub(super) async fn verify(nodes: &Nodes<'_>) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let steps = prop::collection::vec(step(), 1..MAX_STEPS);
    for _ in 0..nodes.histories {
        let steps = steps.new_tree(&mut runner).expect("steps can be made").current();
        let described = format!("{steps:?}");
        let outcome = std::panic::AssertUnwindSafe(play(nodes, steps)).catch_unwind().await;
        assert!(outcome.is_ok(), "not with this history: {described}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        (any::<bool>(), 1_usize..40).prop_map(|(by_other, count)| Step::Publish { by_other, count }),
        client.clone().prop_map(|client| Step::Leave { client }),
        (client.clone(), any::<bool>()).prop_map(|(client, at_other)| Step::Resume { client, at_other }),
        (client, 1_usize..60).prop_map(|(client, count)| Step::Read { client, count }),
    ]
}

async fn play(nodes: &Nodes<'_>, steps: Vec<Step>) {
    let topic = topic("history");
    let start = nodes.one.reader().follow(&topic, None).await.unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client { cursor: start, next: 0, reader: None }).collect();
    let mut published = 0;
    for step in steps {
        match step {
            Step::Publish { by_other, count } => {
                let bus = if by_other { nodes.other } else { nodes.one };
                let events: Vec<NewEvent> = (published..published + count).map(numbered).collect();
                bus.publish(&topic, &events, None).await.unwrap();
                published += count;
            }
            Step::Leave { client } => clients[client].reader = None,
            Step::Resume { client, at_other } => {
                let client = &mut clients[client];
                let mut reader = client
                    .reader
                    .take()
                    .unwrap_or_else(|| if at_other { nodes.other.reader() } else { nodes.one.reader() });
                assert_eq!(reader.follow(&topic, Some(client.cursor)).await.unwrap(), client.cursor);
                client.reader = Some(reader);
            }
            Step::Read { client, count } => {
                for _ in 0..count {
                    let Some(reader) = &mut clients[client].reader else { break };
                    let Some(delivery) = at_once(reader) else { break };
                    clients[client].see(&delivery);
                }
            }
        }
    }
    for client in &mut clients {
        if client.reader.is_none() {
            let mut reader = nodes.one.reader();
            reader.follow(&topic, Some(client.cursor)).await.unwrap();
            client.reader = Some(reader);
        }
        let mut reader = client.reader.take().expect("it is there");
        while client.next < published {
            client.see(&next(&mut reader).await);
        }
        assert!(at_once(&mut reader).is_none());
    }
}

impl Client {
    fn see(&mut self, delivery: &Delivery) {
        let Delivery::Event(event) = delivery else { panic!("unexpected {delivery:?}") };
        assert_eq!(event.payload(), self.next.to_string().as_bytes());
        self.next += 1;
        self.cursor = event.cursor().unwrap();
    }
}

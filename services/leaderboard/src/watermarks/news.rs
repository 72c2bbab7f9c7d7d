//! How far boards have come, from one replica to the others: on a topic of the bus for each partition of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pkg_bus::{Delivery, Reader, Topic};
use pkg_definition::Key;
use pkg_log::Topic as LogTopic;
use tokio::time::sleep;
use uuid::Uuid;

use super::Inner;
use crate::board::BoardId;

/// The pause after something was told: what happens meanwhile is told together.
const TELL_PAUSE: Duration = Duration::from_millis(2);
/// How many boards one message tells of.
const TOLD_AT_ONCE: usize = 1_000;
/// The pause before topics are followed that could not be.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);
/// How many messages are taken at a time.
const HEARD_AT_ONCE: usize = 64;

/// Tells for ever what was applied here.
pub(super) async fn tell(inner: &Inner) {
    loop {
        inner.told.notified().await;
        let untold = std::mem::take(&mut *inner.untold());
        let mut partitions: BTreeMap<i32, Vec<(BoardId, i64)>> = BTreeMap::new();
        for (board, offset) in untold {
            let partition = LogTopic::Scores.partition_of(&board.to_string());
            partitions.entry(partition).or_default().push((board, offset));
        }
        for (partition, boards) in partitions {
            for boards in boards.chunks(TOLD_AT_ONCE) {
                // What is lost is found by looking.
                if let Err(error) = inner.bus.publish_unretained(&topic(partition), encode(boards)) {
                    let error: &dyn std::error::Error = &error;
                    tracing::debug!(partition, error, "other replicas were not told of boards");
                }
            }
        }
        sleep(TELL_PAUSE).await;
    }
}

/// Learns for ever what was applied elsewhere.
pub(super) async fn hear(inner: &Inner) {
    let mut reader = inner.bus.reader();
    let mut deliveries = Vec::new();
    follow(&mut reader).await;
    loop {
        reader.next_batch(&mut deliveries, HEARD_AT_ONCE).await;
        for delivery in deliveries.drain(..) {
            let Delivery::Event(event) = delivery else { continue };
            for (board, offset) in decode(event.payload().clone()) {
                inner.learn(&board, offset);
            }
        }
    }
}

async fn follow(reader: &mut Reader) {
    for partition in 0..LogTopic::Scores.partitions() {
        while let Err(error) = reader.follow(&topic(partition), None).await {
            let cause: &(dyn std::error::Error + Send + Sync) = &error;
            tracing::warn!(error = cause as &dyn std::error::Error, "other replicas are not heard of");
            sleep(FOLLOW_AGAIN).await;
        }
    }
}

fn topic(partition: i32) -> Topic {
    Topic::new(&format!("watermarks/{partition}")).expect("a valid name")
}

/// Of each board: the game, the offset, the length of the key, the key.
fn encode(boards: &[(BoardId, i64)]) -> Bytes {
    let mut bytes = BytesMut::new();
    for (BoardId { game, key }, offset) in boards {
        bytes.put_slice(game.as_bytes());
        bytes.put_i64(*offset);
        bytes.put_u8(u8::try_from(key.as_str().len()).expect("keys are short"));
        bytes.put_slice(key.as_str().as_bytes());
    }
    bytes.freeze()
}

/// Up to what is no message.
fn decode(mut bytes: Bytes) -> Vec<(BoardId, i64)> {
    let mut next = move || {
        let mut game = [0; 16];
        bytes.try_copy_to_slice(&mut game).ok()?;
        let offset = bytes.try_get_i64().ok()?;
        let length = usize::from(bytes.try_get_u8().ok()?);
        let key = (length <= bytes.len()).then(|| bytes.split_to(length))?;
        let key = Key::parse(std::str::from_utf8(&key).ok()?)?;
        Some((BoardId { game: Uuid::from_bytes(game), key }, offset))
    };
    std::iter::from_fn(&mut next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let board = |game: u128, key: &str| BoardId { game: Uuid::from_u128(game), key: Key::parse(key).unwrap() };
        let boards = [(board(1, "a"), 0), (board(2, &"b".repeat(64)), i64::MAX)];
        let bytes = encode(&boards);
        assert_eq!(decode(bytes.clone()), boards);
        assert_eq!(decode(bytes.slice(..bytes.len() - 1)), boards[..1]);
        assert_eq!(decode(Bytes::from_static(b"?")), []);
    }
}

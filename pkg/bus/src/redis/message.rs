//! What nodes tell each other by Pub/Sub. `publish.lua` writes some of it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::publication::read_epoch;

/// A message on the channel of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Events were published.
    Retained { epoch: u64, events: Vec<RetainedEvent> },
    /// The topic has ended after the event of this offset.
    Ended { epoch: u64, offset: u64 },
    /// A node says what is kept nowhere. Its messages are numbered.
    Unretained { node: u64, number: u64, payloads: Vec<Bytes> },
    /// A node listens from now on.
    Hello { node: u64 },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct RetainedEvent {
    /// The offset of the event before.
    pub(super) previous: u64,
    pub(super) offset: u64,
    pub(super) payload: Bytes,
}

const RETAINED: u8 = b'R';
const ENDED: u8 = b'E';
const UNRETAINED: u8 = b'U';
const HELLO: u8 = b'H';
/// An epoch, as text.
const EPOCH_BYTES: usize = 16;

impl Message {
    /// Reads a message; nothing if it is none of ours.
    pub(super) fn read(mut bytes: Bytes) -> Option<Self> {
        let kind = bytes.try_get_u8().ok()?;
        let message = match kind {
            RETAINED => {
                let epoch = take_epoch(&mut bytes)?;
                let mut events = Vec::new();
                while bytes.has_remaining() {
                    let (previous, offset) = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
                    events.push(RetainedEvent { previous, offset, payload: take_payload(&mut bytes)? });
                }
                Self::Retained { epoch, events }
            }
            ENDED => Self::Ended { epoch: take_epoch(&mut bytes)?, offset: bytes.try_get_u64().ok()? },
            UNRETAINED => {
                let (node, number) = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
                let mut payloads = Vec::new();
                while bytes.has_remaining() {
                    payloads.push(take_payload(&mut bytes)?);
                }
                Self::Unretained { node, number, payloads }
            }
            HELLO => Self::Hello { node: bytes.try_get_u64().ok()? },
            _ => return None,
        };
        Some(message)
    }
}

/// Writes [`Message::Hello`].
pub(super) fn hello(node: u64) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(HELLO);
    bytes.put_u64(node);
    bytes.freeze()
}

/// Begins a [`Message::Unretained`].
pub(super) fn unretained(node: u64, number: u64) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(UNRETAINED);
    bytes.put_u64(node);
    bytes.put_u64(number);
    bytes
}

/// Adds a payload to a [`Message::Unretained`].
pub(super) fn add_payload(message: &mut BytesMut, payload: &[u8]) {
    message.put_u32(u32::try_from(payload.len()).expect("payloads are far smaller than 4 GiB"));
    message.put_slice(payload);
}

fn take_epoch(bytes: &mut Bytes) -> Option<u64> {
    if bytes.len() < EPOCH_BYTES {
        return None;
    }
    let text = bytes.split_to(EPOCH_BYTES);
    read_epoch(std::str::from_utf8(&text).ok()?).ok()
}

fn take_payload(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut message = unretained(7, 9);
        add_payload(&mut message, b"");
        add_payload(&mut message, b"left");
        let payloads = vec![Bytes::new(), Bytes::from_static(b"left")];
        let expected = Message::Unretained { node: 7, number: 9, payloads };
        assert_eq!(Message::read(message.freeze()), Some(expected));
        assert_eq!(Message::read(hello(u64::MAX)), Some(Message::Hello { node: u64::MAX }));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(kind in prop::sample::select(b"REUH?".to_vec()), rest: Vec<u8>) {
            let _ = Message::read([&[kind], rest.as_slice()].concat().into());
        }
    }
}

//! Messages as they go over the wire: encoded once for all who get them, and joined without another look at them.
//!
//! `SubscribeResponse` and `ConnectEventsResponse` write what they have in common in the same way, so one encoding serves
//! both streams.

use bytes::{BufMut, Bytes, BytesMut};
use pkg_api::events::v1::connect_events_response::Message;
use pkg_api::events::v1::{ConnectEventsResponse, Event};
use pkg_envelope::{Audience, Envelope, Malformed};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use uuid::Uuid;

use crate::timestamps::timestamp;

/// What stands before each message in gRPC: whether it is compressed, and its length.
const HEADER_BYTES: usize = 5;
/// The number of the field that holds an event, in both kinds of messages.
const EVENT_FIELD: u32 = 2;
/// So much goes out at once, and then at most one message more.
const ENOUGH_BYTES: usize = 32 * 1024;

/// A message, ready to be sent.
pub fn frame(message: Message) -> Bytes {
    let message = ConnectEventsResponse { message: Some(message) };
    let mut bytes = header(message.encoded_len());
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

fn header(length: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes
}

/// An event as all its readers on this node need it.
#[derive(Debug)]
pub struct Prepared {
    pub audience: Audience,
    pub is_of_muster: bool,
    pub seat_of: Option<Uuid>,
    /// The message, ready to be sent.
    pub frame: Bytes,
}

impl Prepared {
    pub fn new(event: &pkg_bus::Event) -> Result<Self, Malformed> {
        let Envelope { audience, is_of_muster, seat_of, event: body } = Envelope::parse(event.payload())?;
        // Two encodings one after the other are one of both.
        let rest = Event {
            topic: event.topic().as_str().to_owned(),
            cursor: event.cursor().map(|cursor| cursor.to_string()).unwrap_or_default(),
            time: Some(timestamp(event.time())),
            ..Event::default()
        };
        let length = body.len() + rest.encoded_len();
        let mut bytes = header(key_len(EVENT_FIELD) + encoded_len_varint(length as u64) + length);
        encode_key(EVENT_FIELD, WireType::LengthDelimited, &mut bytes);
        encode_varint(length as u64, &mut bytes);
        bytes.put_slice(&body);
        rest.encode_raw(&mut bytes);
        Ok(Self { audience, is_of_muster, seat_of, frame: bytes.freeze() })
    }
}

/// What is to be sent next. A single message is sent as it is, without a copy; several are joined.
#[derive(Debug, Default)]
pub struct Outgoing {
    first: Option<Bytes>,
    joined: BytesMut,
}

impl Outgoing {
    pub fn push(&mut self, frame: Bytes) {
        if self.first.is_none() && self.joined.is_empty() {
            self.first = Some(frame);
            return;
        }
        if let Some(first) = self.first.take() {
            self.joined.reserve(first.len() + frame.len());
            self.joined.put_slice(&first);
        }
        self.joined.put_slice(&frame);
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.joined.is_empty()
    }

    /// Whether it should be sent before anything is added.
    pub fn is_full(&self) -> bool {
        self.first.as_ref().map_or(self.joined.len(), Bytes::len) >= ENOUGH_BYTES
    }

    /// All of it.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.joined.is_empty() { self.first.take() } else { Some(std::mem::take(&mut self.joined).freeze()) }
    }
}

#[cfg(test)]
mod tests {
    use pkg_ambient::Ambient;
    use pkg_api::events::v1::event::Payload;
    use pkg_api::events::v1::{GameEvent, Gap, SubscribeResponse, Subscribed, TopicClosed, subscribe_response};
    use pkg_api::game::v1::{GoAway, Heartbeat};
    use pkg_bus::{Bus, Delivery, MemoryBus, NewEvent, Retentions, Topic};

    use super::*;

    fn payload(frame: &Bytes) -> &[u8] {
        assert_eq!(usize::try_from(u32::from_be_bytes(frame[1..5].try_into().unwrap())).unwrap(), frame.len() - 5);
        assert_eq!(frame[0], 0);
        &frame[5..]
    }

    #[test]
    fn both_streams_read_what_one_writes() {
        use subscribe_response::Message as Told;
        let messages = [
            (Message::Subscribed(Subscribed::default()), Told::Subscribed(Subscribed::default())),
            (Message::Event(Event::default()), Told::Event(Event::default())),
            (Message::Gap(Gap::default()), Told::Gap(Gap::default())),
            (Message::TopicClosed(TopicClosed::default()), Told::TopicClosed(TopicClosed::default())),
            (Message::Heartbeat(Heartbeat::default()), Told::Heartbeat(Heartbeat::default())),
            (Message::GoAway(GoAway::default()), Told::GoAway(GoAway::default())),
        ];
        for (written, read) in messages {
            let frame = frame(written);
            assert_eq!(SubscribeResponse::decode(payload(&frame)).unwrap().message, Some(read));
        }
    }

    #[tokio::test]
    async fn an_event_gets_its_topic_cursor_and_time() {
        let bus = MemoryBus::new(Ambient::system(), Retentions::default());
        let topic = Topic::new("session/1").unwrap();
        let mut reader = bus.reader();
        reader.follow(&topic, None).await.unwrap();
        let game_event = GameEvent { name: "shot".to_owned(), data: vec![7; 300], ..GameEvent::default() };
        let body =
            Event { player_id: "p".to_owned(), payload: Some(Payload::GameEvent(game_event)), ..Event::default() };
        let new = NewEvent { id: None, payload: pkg_envelope::encode(&Audience::Everyone, &body) };
        let published = bus.publish(&topic, &[new], None).await.unwrap();

        let Delivery::Event(event) = reader.next().await else { panic!("an event") };
        let prepared = Prepared::new(&event).unwrap();
        let read = ConnectEventsResponse::decode(payload(&prepared.frame)).unwrap().message;
        let expected = Event {
            topic: topic.as_str().to_owned(),
            cursor: published[0].cursor.unwrap().to_string(),
            time: Some(timestamp(published[0].time)),
            ..body
        };
        assert_eq!(read, Some(Message::Event(expected)));
    }

    #[test]
    fn one_message_is_not_copied_and_several_keep_their_order() {
        let frames = [1, 2, 3].map(|byte| Bytes::from(vec![byte; 2]));
        let mut outgoing = Outgoing::default();
        assert!(outgoing.is_empty() && outgoing.take().is_none());
        outgoing.push(frames[0].clone());
        assert_eq!(outgoing.take().unwrap().as_ptr(), frames[0].as_ptr());
        for frame in &frames {
            outgoing.push(frame.clone());
        }
        assert!(!outgoing.is_empty() && !outgoing.is_full());
        assert_eq!(&outgoing.take().unwrap()[..], [1, 1, 2, 2, 3, 3]);
        assert!(outgoing.is_empty());
    }
}

//! Messages of event streams, looked at no more than is measured: a client that decodes everything would measure itself.

use std::time::Duration;

use pkg_api::events::v1::connect_events_response::Message;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{ConnectEventsResponse, Event, GameEvent};
use prost_types::Timestamp;
use uuid::Uuid;

/// Stands before the time in the data of an event. No text has such bytes.
const MARK: [u8; 8] = [0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC];
/// The size of an event's data.
pub const DATA_BYTES: usize = 96;

/// The keys of the fields that tell the messages of the server apart: number and kind.
const EVENT: u8 = 2 << 3 | 2;
const ACCEPTED: u8 = 7 << 3 | 2;
const REFUSED: u8 = 8 << 3 | 2;

/// What the server told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// An event of ours, and when it was published.
    Event(Duration),
    Accepted,
    Refused,
    /// Anything else.
    Other,
}

/// The data of an event that is published at this time.
pub fn data(published: Duration) -> Vec<u8> {
    let nanos = u64::try_from(published.as_nanos()).unwrap_or(u64::MAX);
    let mut data = [MARK, nanos.to_be_bytes()].concat();
    data.resize(DATA_BYTES, 0);
    data
}

/// What Muster tells everybody in a session when this player has published this.
pub fn delivery(session: Uuid, player: Uuid, event: GameEvent) -> ConnectEventsResponse {
    let event = Event {
        topic: format!("session/{session}"),
        // As long as most times are.
        time: Some(Timestamp { seconds: 1_780_000_000, nanos: 999_999_999 }),
        player_id: player.to_string(),
        payload: Some(Payload::GameEvent(event)),
        ..Event::default()
    };
    ConnectEventsResponse { message: Some(Message::Event(event)) }
}

fn published(message: &[u8]) -> Option<Duration> {
    let place = message.iter().position(|byte| *byte == MARK[0])?;
    let nanos = message.get(place..)?.strip_prefix(&MARK)?.first_chunk()?;
    Some(Duration::from_nanos(u64::from_be_bytes(*nanos)))
}

/// What a message tells.
pub fn told(message: &[u8]) -> Told {
    match message.first() {
        Some(&EVENT) => published(message).map_or(Told::Other, Told::Event),
        Some(&ACCEPTED) => Told::Accepted,
        Some(&REFUSED) => Told::Refused,
        _ => Told::Other,
    }
}

#[cfg(test)]
mod tests {
    use pkg_api::events::v1::{PublishAccepted, PublishRefused, Subscribed};
    use prost::Message as _;

    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let at = Duration::from_nanos(1_234_567_890_123);
        let event = GameEvent { data: data(at), name: "move".to_owned(), ..GameEvent::default() };
        let delivered = delivery(Uuid::nil(), Uuid::nil(), event).message.unwrap();
        let other = Event { topic: "session/1".to_owned(), ..Event::default() };
        for (message, expected) in [
            (delivered, Told::Event(at)),
            (Message::Event(other), Told::Other),
            (Message::PublishAccepted(PublishAccepted { number: 1, response: None }), Told::Accepted),
            (Message::PublishRefused(PublishRefused { number: 1, ..PublishRefused::default() }), Told::Refused),
            (Message::Subscribed(Subscribed::default()), Told::Other),
        ] {
            let message = ConnectEventsResponse { message: Some(message) };
            assert_eq!(told(&message.encode_to_vec()), expected);
        }
    }
}

//! What is published on a topic: an event, and before it what readers sort it by without decoding it.
//!
//! The event lacks its topic, cursor and time, which depend on where and when it was published: readers add them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{Event, PlayerJoined};
use prost::Message;
use uuid::Uuid;

/// To whom of those who follow a topic an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// To all of them.
    Everyone,
    /// Those in this team.
    Team(String),
    /// This player.
    Player(Uuid),
}

/// An event as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// To whom it goes.
    pub audience: Audience,
    /// Whether it is not the game's own: it tells of a change of the session itself.
    pub is_of_muster: bool,
    /// Who took or lost a seat in the session by this: they are looked at anew.
    pub seat_of: Option<Uuid>,
    /// The encoded event.
    pub event: Bytes,
}

/// The bytes are not an event in its envelope: a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event in its envelope")]
pub struct Malformed;

const TO_EVERYONE: u8 = 0;
const TO_TEAM: u8 = 1;
const TO_PLAYER: u8 = 2;
/// Added to the others if the player follows whose seat changed…
const HAS_SEAT: u8 = 0x80;
/// …and if it is not the game's own.
const OF_MUSTER: u8 = 0x40;
/// The longest header: the kind, the name of a team and its length, a player.
const MAX_HEADER_BYTES: usize = 1 + 1 + u8::MAX as usize + 16;

/// An event for an audience. Its topic, cursor and time must not be set.
///
/// A name of a team has 32 bytes at most.
#[must_use]
pub fn encode(audience: &Audience, event: &Event) -> Bytes {
    let mut bytes = BytesMut::with_capacity(MAX_HEADER_BYTES + event.encoded_len());
    let seat_of = seat_of(event);
    let is_of_muster = !matches!(event.payload, Some(Payload::GameEvent(_)));
    let flags = if seat_of.is_some() { HAS_SEAT } else { 0 } | if is_of_muster { OF_MUSTER } else { 0 };
    match audience {
        Audience::Everyone => bytes.put_u8(TO_EVERYONE | flags),
        Audience::Team(name) => {
            let name = &name.as_bytes()[..name.len().min(u8::MAX.into())];
            bytes.put_u8(TO_TEAM | flags);
            bytes.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.put_slice(name);
        }
        Audience::Player(player) => {
            bytes.put_u8(TO_PLAYER | flags);
            bytes.put_slice(player.as_bytes());
        }
    }
    if let Some(player) = seat_of {
        bytes.put_slice(player.as_bytes());
    }
    event.encode_raw(&mut bytes);
    bytes.freeze()
}

impl Envelope {
    /// What [`encode`] wrote.
    pub fn parse(payload: &Bytes) -> Result<Self, Malformed> {
        let mut rest = payload.clone();
        let kind = rest.try_get_u8().map_err(|_| Malformed)?;
        let audience = match kind & !(HAS_SEAT | OF_MUSTER) {
            TO_EVERYONE => Audience::Everyone,
            TO_TEAM => {
                let length = rest.try_get_u8().map_err(|_| Malformed)?;
                let name = take(&mut rest, length.into())?;
                Audience::Team(String::from_utf8(name.to_vec()).map_err(|_| Malformed)?)
            }
            TO_PLAYER => Audience::Player(take_id(&mut rest)?),
            _ => return Err(Malformed),
        };
        let seat_of = if kind & HAS_SEAT == 0 { None } else { Some(take_id(&mut rest)?) };
        Ok(Self { audience, is_of_muster: kind & OF_MUSTER != 0, seat_of, event: rest })
    }
}

fn seat_of(event: &Event) -> Option<Uuid> {
    let player = match event.payload.as_ref()? {
        Payload::PlayerJoined(PlayerJoined { seat, .. }) => &seat.as_ref()?.player_id,
        Payload::PlayerLeft(left) => &left.player_id,
        _ => return None,
    };
    Uuid::try_parse(player).ok()
}

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, Malformed> {
    if rest.len() < length { Err(Malformed) } else { Ok(rest.split_to(length)) }
}

fn take_id(rest: &mut Bytes) -> Result<Uuid, Malformed> {
    Uuid::from_slice(&take(rest, 16)?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use pkg_api::events::v1::{GameEvent, PlayerLeft};
    use pkg_api::game::v1::Seat;
    use proptest::prelude::*;

    use super::*;

    const PLAYER: Uuid = Uuid::from_u128(7);

    fn event(payload: Payload) -> Event {
        Event { event_id: "id".to_owned(), player_id: PLAYER.to_string(), payload: Some(payload), ..Event::default() }
    }

    fn shot() -> Event {
        event(Payload::GameEvent(GameEvent { name: "shot".to_owned(), ..GameEvent::default() }))
    }

    #[test]
    fn an_event_comes_out_as_it_went_in_for_every_audience() {
        for audience in [Audience::Everyone, Audience::Team("red".to_owned()), Audience::Player(Uuid::from_u128(9))] {
            let envelope = Envelope::parse(&encode(&audience, &shot())).unwrap();
            assert_eq!((envelope.audience, envelope.seat_of, envelope.is_of_muster), (audience, None, false));
            assert_eq!(Event::decode(envelope.event).unwrap(), shot());
        }
    }

    #[test]
    fn who_took_or_lost_a_seat_is_told() {
        let seat = Seat { player_id: PLAYER.to_string(), ..Seat::default() };
        let joined = Payload::PlayerJoined(PlayerJoined { seat: Some(seat), session_version: 2 });
        let left = Payload::PlayerLeft(PlayerLeft { player_id: PLAYER.to_string(), ..PlayerLeft::default() });
        for payload in [joined, left] {
            let audience = Audience::Team("red".to_owned());
            let envelope = Envelope::parse(&encode(&audience, &event(payload.clone()))).unwrap();
            assert_eq!((envelope.audience, envelope.seat_of, envelope.is_of_muster), (audience, Some(PLAYER), true));
            assert_eq!(Event::decode(envelope.event).unwrap(), event(payload));
        }
    }

    #[test]
    fn what_is_cut_short_is_malformed() {
        for bytes in [&[][..], &[TO_TEAM], &[TO_TEAM, 3, b'a'], &[TO_PLAYER, 1, 2], &[HAS_SEAT, 1], &[77]] {
            assert_eq!(Envelope::parse(&Bytes::copy_from_slice(bytes)), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Envelope::parse(&bytes.into());
        }
    }
}

//! How a ticket is written into Redis: as a message of its own, which is half as large as JSON.

use pkg_api::game::v1 as api;
use pkg_db::{from_millis, to_millis};
use pkg_definition::{Attributes, Key, Region};
use prost::Message;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

use super::{NewTicket, QueueId, StoreError};
use crate::rating::Rating;
use crate::ticket::{Latencies, Player, Ticket};

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    game: Vec<u8>,
    #[prost(string, tag = "3")]
    queue: String,
    #[prost(message, repeated, tag = "4")]
    players: Vec<PlayerBody>,
    #[prost(enumeration = "api::Region", repeated, tag = "5")]
    regions: Vec<i32>,
    #[prost(int64, tag = "6")]
    created_ms: i64,
    #[prost(int64, tag = "7")]
    expires_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct PlayerBody {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(double, tag = "2")]
    skill: f64,
    #[prost(double, tag = "3")]
    uncertainty: f64,
    #[prost(message, repeated, tag = "4")]
    latencies: Vec<LatencyBody>,
    #[prost(map = "string, message", tag = "5")]
    properties: HashMap<String, api::AttributeValue>,
}

#[derive(Clone, PartialEq, Message)]
struct LatencyBody {
    #[prost(enumeration = "api::Region", tag = "1")]
    region: i32,
    #[prost(uint32, tag = "2")]
    millis: u32,
}

pub(super) fn encode(new: &NewTicket) -> Vec<u8> {
    let NewTicket { ticket, queue, expires } = new;
    let body = Body {
        id: bytes(ticket.id),
        game: bytes(queue.game),
        queue: queue.key.as_str().to_owned(),
        players: ticket.players.iter().map(PlayerBody::from).collect(),
        regions: ticket.regions.iter().map(number).collect(),
        created_ms: to_millis(ticket.created),
        expires_ms: to_millis(*expires),
    };
    body.encode_to_vec()
}

pub(super) fn decode(body: &[u8]) -> Result<NewTicket, StoreError> {
    let body = Body::decode(body).map_err(StoreError::broken)?;
    read(body).ok_or_else(|| StoreError::broken("a ticket is damaged"))
}

fn read(body: Body) -> Option<NewTicket> {
    // A worker keeps what is read here: no more room than the players take.
    let players: Option<Box<[Player]>> = body.players.into_iter().map(read_player).collect();
    let ticket = Ticket {
        id: Uuid::from_slice(&body.id).ok()?,
        players: players?.into_vec(),
        regions: body.regions.into_iter().map(region).collect::<Option<_>>()?,
        created: from_millis(body.created_ms),
    };
    let queue = QueueId { game: Uuid::from_slice(&body.game).ok()?, key: Key::parse(&body.queue)? };
    Some(NewTicket { ticket, queue, expires: from_millis(body.expires_ms) })
}

fn read_player(body: PlayerBody) -> Option<Player> {
    let latency = |it: LatencyBody| Some((region(it.region)?, Duration::from_millis(it.millis.into())));
    Some(Player {
        id: Uuid::from_slice(&body.id).ok()?,
        rating: Rating::new(body.skill, body.uncertainty)?,
        latencies: body.latencies.into_iter().map(latency).collect::<Option<Latencies>>()?,
        properties: Attributes::parse("properties", &body.properties).ok()?,
    })
}

impl From<&Player> for PlayerBody {
    fn from(player: &Player) -> Self {
        let latency = |region| {
            let millis = player.latencies.get(region)?.as_millis();
            Some(LatencyBody { region: number(region), millis: u32::try_from(millis).unwrap_or(u32::MAX) })
        };
        Self {
            id: bytes(player.id),
            skill: player.rating.skill(),
            uncertainty: player.rating.uncertainty(),
            latencies: Region::ALL.into_iter().filter_map(latency).collect(),
            properties: player.properties.to_api(),
        }
    }
}

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn number(region: Region) -> i32 {
    api::Region::from(region).into()
}

fn region(number: i32) -> Option<Region> {
    Region::from_api(api::Region::try_from(number).ok()?)
}

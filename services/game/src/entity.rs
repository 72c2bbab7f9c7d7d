//! Entities: things in a session, and who may change them. Plain functions.

mod changing;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use pkg_definition::Attributes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

pub use changing::{
    EntityChange, EntityOutcome, EntityRefusal, EntityRefused, NewOwner, Operation, Touched, Update, apply,
};

use crate::session::serial;

/// A thing in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    pub id: Uuid,
    pub session: Uuid,
    pub game: Uuid,
    pub name: String,
    pub kind: String,
    pub controller: Controller,
    pub owner: Option<Uuid>,
    #[serde(with = "crate::attributes::serial")]
    pub attributes: Attributes,
    #[serde(with = "serial::bytes")]
    pub data: Bytes,
    pub version: i64,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub updated_at: OffsetDateTime,
    /// A digest of what was asked for, to know a repeated creation by.
    #[serde(with = "serial::bytes")]
    pub request: Bytes,
}

/// Who may change an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller {
    /// Game servers.
    Server,
    /// This player.
    Player(Uuid),
}

/// An entity to create, with its id.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntity {
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    /// As the caller is, without.
    pub controller: Option<Controller>,
    pub owner: Option<Uuid>,
    pub attributes: Attributes,
    pub data: Bytes,
    pub request: Bytes,
}

//! What happens in a session.

use bytes::Bytes;
use uuid::Uuid;

use super::{EndReason, LeaveReason, Results, Seat, State, Visibility};
use crate::attributes::AttributeDifference;

/// Something that happened in a session, with the version of the session after it.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// A player took a seat.
    Joined { seat: Seat, version: i64 },
    /// A seat is free again.
    Left { player: Uuid, reason: LeaveReason, kick_reason: String, version: i64 },
    /// A player's connection was lost or came back.
    ConnectionChanged { seat: Seat, version: i64 },
    /// It does something else. A new session did nothing before.
    StateChanged { old: Option<State>, new: State, version: i64 },
    /// Somebody else owns it.
    OwnerChanged { old: Option<Uuid>, new: Option<Uuid>, version: i64 },
    /// Attributes, name, data or visibility changed.
    AttributesChanged {
        attributes: AttributeDifference,
        data: Option<Bytes>,
        name: Option<String>,
        visibility: Option<Visibility>,
        attributes_version: i64,
        version: i64,
    },
    /// It has ended: the last event.
    Ended { reason: EndReason, results: Option<Results>, version: i64 },
}

impl SessionEvent {
    /// The version of the session after it.
    #[cfg(test)]
    pub(super) fn version(&self) -> i64 {
        match self {
            Self::Joined { version, .. }
            | Self::Left { version, .. }
            | Self::ConnectionChanged { version, .. }
            | Self::StateChanged { version, .. }
            | Self::OwnerChanged { version, .. }
            | Self::AttributesChanged { version, .. }
            | Self::Ended { version, .. } => *version,
        }
    }

    /// Whether nothing can follow it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}

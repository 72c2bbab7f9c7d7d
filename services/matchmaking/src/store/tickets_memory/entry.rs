//! A ticket as it lies in memory.

use std::sync::Arc;

use bytes::Bytes;
use pkg_db::from_millis;
use uuid::Uuid;

use super::super::QueueId;
use super::super::tickets::{EndReason, Stored, TicketStatus};
use crate::ticket::Ticket;

/// A ticket. Times are milliseconds.
#[derive(Debug)]
pub(super) struct Entry {
    /// The worker of its queue has the same one.
    pub(super) ticket: Arc<Ticket>,
    pub(super) queue: Arc<QueueId>,
    pub(super) expires: i64,
    /// When its players gave the last sign of life.
    pub(super) seen: i64,
    pub(super) life: Life,
}

/// What has become of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Life {
    /// It waits, as the arrival of its queue with this number.
    Queued(u64),
    /// It is claimed for this match.
    Matching(Uuid),
    /// It is in this match, since then.
    Matched(Uuid, i64),
    /// It ended for this reason, and when.
    Ended(EndReason, i64),
}

impl Entry {
    pub(super) fn status(&self) -> TicketStatus {
        match self.life {
            Life::Queued(_) => TicketStatus::Queued,
            Life::Matching(of) => TicketStatus::Matching(of),
            Life::Matched(of, _) => TicketStatus::Matched(of),
            Life::Ended(reason, _) => TicketStatus::Ended(reason),
        }
    }

    /// The ticket with why it is not matched yet.
    pub(super) fn stored(&self, why: Option<Bytes>) -> Stored {
        let ended_at = match self.life {
            Life::Queued(_) | Life::Matching(_) => None,
            Life::Matched(_, at) | Life::Ended(_, at) => Some(from_millis(at)),
        };
        Stored {
            ticket: Ticket::clone(&self.ticket),
            queue: QueueId::clone(&self.queue),
            expires: from_millis(self.expires),
            status: self.status(),
            ended_at,
            why,
        }
    }
}

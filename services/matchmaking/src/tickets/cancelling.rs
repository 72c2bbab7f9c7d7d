//! Cancelling tickets.

use uuid::Uuid;

use super::{Actor, TicketError, Tickets, View};
use crate::player_news;
use crate::store::{EndOutcome, EndReason, StoreError, Stored, TicketStatus};

impl Tickets {
    /// Takes a waiting ticket out of its queue. After an `Ok` no match follows from it.
    pub async fn cancel(&self, id: Uuid, by: Actor) -> Result<View, TicketError> {
        self.inner.limits.change(by).map_err(|retry_after| TicketError::Limited { retry_after })?;
        let seen = self.seen(id, by).await?;
        let ports = &self.inner.ports;
        let outcomes = ports.tickets.end(&[id], EndReason::Cancelled, ports.ambient.now()).await?;
        let outcome = outcomes.first().ok_or_else(|| StoreError::broken("a ticket ended without an outcome"))?;
        match outcome {
            EndOutcome::Ended => {
                self.inner.counters.cancelled.increment(1);
                let view = self.cancelled(id).await?;
                self.report(&view.stored, false);
                // Best effort: whoever cancels has the answer, and the others see it in their streams.
                player_news::tell(&ports.bus, super::losing::news(&view)).await;
                Ok(view)
            }
            EndOutcome::AlreadyEnded(EndReason::Cancelled) => self.cancelled(id).await,
            EndOutcome::AlreadyEnded(_) => Err(TicketError::Ended),
            EndOutcome::Matching | EndOutcome::Matched => Err(TicketError::Matched),
            // The store has lost it, the record of its match has not.
            EndOutcome::NotFound if is_in_match(&seen) => Err(TicketError::Matched),
            EndOutcome::NotFound => Err(TicketError::NotFound),
        }
    }

    async fn cancelled(&self, id: Uuid) -> Result<View, TicketError> {
        let stored = self.inner.loads.call(id).await.map_err(StoreError::from)??;
        Ok(self.view(stored.ok_or(TicketError::NotFound)?).await?)
    }
}

fn is_in_match(stored: &Stored) -> bool {
    matches!(stored.status, TicketStatus::Matching(_) | TicketStatus::Matched(_))
}

//! Reading tickets.

use uuid::Uuid;

use super::{Actor, TicketError, Tickets, View};
use crate::store::TicketStatus;

impl Tickets {
    /// A ticket as it is now. A sign of life of its players.
    pub async fn get(&self, id: Uuid, by: Actor) -> Result<View, TicketError> {
        self.inner.limits.read(by).map_err(|retry_after| TicketError::Limited { retry_after })?;
        let stored = self.seen(id, by).await?;
        if stored.status == TicketStatus::Queued {
            self.sign(id, by, true).await?;
            self.report(&stored, true);
        }
        Ok(self.view(stored).await?)
    }
}

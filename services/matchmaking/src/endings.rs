//! Tickets that end without anybody's call, and what their players are told of it.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::events::v1::TicketChanged;
use pkg_api::events::v1::event::Payload;
use pkg_bus::Bus;
use uuid::Uuid;

use crate::counters::Counters;
use crate::player_news::{self, News};
use crate::queued_reports::QueuedReports;
use crate::store::{EndOutcome, EndReason, StoreError, Stored, TicketStatus, TicketStore};
use crate::ticket_message;

/// Who ends tickets. Cloning shares it.
#[derive(Clone)]
pub struct Endings {
    pub(crate) tickets: Arc<dyn TicketStore>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) reports: QueuedReports,
    pub(crate) ambient: Ambient,
}

impl Endings {
    /// Ends those of these tickets that wait, and tells their players. Answers in their order.
    pub async fn end(&self, ids: &[Uuid], reason: EndReason) -> Result<Vec<EndOutcome>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.tickets.end(ids, reason, self.ambient.now()).await?;
        let ended = ids.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == EndOutcome::Ended);
        let ended: Vec<Uuid> = ended.map(|(id, _)| *id).collect();
        self.tell(&ended, reason).await;
        Ok(outcomes)
    }

    /// Tells the players of tickets that have ended. They also see it in their streams, so nothing is repeated.
    pub async fn tell(&self, ended: &[Uuid], reason: EndReason) {
        if ended.is_empty() {
            return;
        }
        Counters::ended(reason).increment(ended.len() as u64);
        let stored = match self.tickets.load(ended).await {
            Ok(stored) => stored,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "players are not told of the ends of their tickets");
                return;
            }
        };
        let stored: Vec<Stored> = stored.into_iter().flatten().collect();
        for stored in &stored {
            for player in &stored.ticket.players {
                self.reports.report(player.id, stored.queue.game, false);
            }
        }
        player_news::tell(&self.bus, stored.iter().flat_map(news).collect()).await;
    }
}

/// What the players of a ticket are told when it has ended; nothing if it has not.
fn news(stored: &Stored) -> Vec<News> {
    let TicketStatus::Ended(_) = stored.status else { return Vec::new() };
    let (status, _reason) = ticket_message::status(stored.status);
    let id = ticket_message::end_news_id(stored.ticket.id, status);
    let payload = Payload::TicketChanged(TicketChanged { ticket: Some(ticket_message::ticket(stored)) });
    let players = stored.ticket.players.iter();
    players.map(|player| News { player: player.id, id, payload: payload.clone() }).collect()
}

//! Tickets that their store has lost: in a match by the database's record, or lost by name.

use pkg_api::events::v1::TicketChanged;
use pkg_api::events::v1::event::Payload;
use pkg_api::matchmaking::v1 as api;
use pkg_definition::Attributes;
use time::OffsetDateTime;
use uuid::Uuid;

use super::creating::unrated;
use super::{Tickets, View};
use crate::player_news::News;
use crate::store::{MatchState, RecordedMatch, StoreError, Stored, TicketStatus};
use crate::ticket::{Latencies, Player, Regions, Ticket};
use crate::ticket_message;

impl Tickets {
    /// Those of these tickets that are in a match, as far as its record tells of them.
    pub(super) async fn recovered(&self, ids: &[Uuid]) -> Result<Vec<(Stored, RecordedMatch)>, StoreError> {
        let Self { inner } = self;
        let found = inner.ports.matches.matches_of_tickets(ids).await?;
        let recovered = found.into_iter().map(|it| (self.of_record(it.ticket, &it.found), it.found));
        Ok(recovered.collect())
    }

    fn of_record(&self, ticket: Uuid, found: &RecordedMatch) -> Stored {
        let made = &found.made;
        let players = || made.players().filter(|player| player.ticket == ticket);
        let waited = players().map(|player| player.wait).max().unwrap_or_default();
        let (queue, created) = (made.queue.clone(), made.created - waited);
        let lifetime = self.inner.ports.queues.known(queue.game, &queue.key).map(|queue| queue.rules.ticket_lifetime);
        let player =
            |id| Player { id, rating: unrated(), latencies: Latencies::UNKNOWN, properties: Attributes::default() };
        let players = players().map(|it| player(it.player)).collect();
        Stored {
            ticket: Ticket { id: ticket, players, regions: Regions::NONE, created },
            queue,
            expires: created + lifetime.unwrap_or(waited),
            status: status_by(found),
            ended_at: (found.state == MatchState::Dispatched).then_some(made.created),
            why: None,
        }
    }
}

/// What the record of its match says of a ticket.
pub(super) fn status_by(found: &RecordedMatch) -> TicketStatus {
    match found.state {
        MatchState::Made => TicketStatus::Matching(found.made.id),
        MatchState::Dispatched | MatchState::Aborted => TicketStatus::Matched(found.made.id),
    }
}

/// A ticket that its store has lost, and that no match came of.
pub(super) fn lost(mut view: View, now: OffsetDateTime) -> View {
    view.lost = Some(now);
    view
}

/// What the players of a ticket are told when it has ended. Whoever tells it, they are told once.
pub(super) fn news(ended: &View) -> Vec<News> {
    let message = ended.message();
    let status = api::TicketStatus::try_from(message.status).unwrap_or_default();
    let id = ticket_message::end_news_id(ended.stored.ticket.id, status);
    let payload = Payload::TicketChanged(TicketChanged { ticket: Some(message) });
    let players = ended.stored.ticket.players.iter();
    players.map(|player| News { player: player.id, id, payload: payload.clone() }).collect()
}

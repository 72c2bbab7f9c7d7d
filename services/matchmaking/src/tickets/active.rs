//! What a player waits for or plays, found again.

use uuid::Uuid;

use super::{Actor, AskError, Tickets, View};
use crate::store::{MatchState, RecordedMatch, StoreError, TicketStatus};

/// What a player waits for or plays in a game.
#[derive(Debug)]
pub enum Active {
    Ticket(Box<View>),
    Match(Box<RecordedMatch>),
}

impl Tickets {
    /// What a player waits for or plays in a game; `None`: neither. A sign of life. Found by the seat in the database, also
    /// when the tickets are lost.
    pub async fn active(&self, game: Uuid, player: Option<Uuid>, by: Actor) -> Result<Option<Active>, AskError> {
        self.inner.limits.read(by).map_err(|retry_after| AskError::Limited { retry_after })?;
        let player = match (by, player) {
            (Actor::Player(own), Some(other)) if other != own => return Err(AskError::PlayersNotAllowed),
            (Actor::Server(_), None) => return Err(AskError::PlayerMissing),
            (_, player) => player.unwrap_or(by.id()),
        };
        self.inner.ports.queues.check_game(game).await?;
        // The ticket first: one that is matched in between has its seat by then.
        let waiting = self.waiting(game, player, by).await?;
        let found = self.playing(game, player).await?;
        Ok(match (waiting, found) {
            // The session of a match that is only recorded may not be there yet.
            (Some(ticket), Some(found)) if found.state != MatchState::Dispatched => {
                Some(Active::Ticket(Box::new(ticket)))
            }
            (_, Some(found)) => Some(Active::Match(Box::new(found))),
            (Some(ticket), None) => Some(Active::Ticket(Box::new(ticket))),
            (None, None) => None,
        })
    }

    async fn waiting(&self, game: Uuid, player: Uuid, by: Actor) -> Result<Option<View>, StoreError> {
        let found = self.inner.ports.tickets.tickets_of(game, &[player]).await?;
        let Some(id) = found.into_iter().next().flatten() else { return Ok(None) };
        self.sign(id, by, true).await?;
        let Some(stored) = self.inner.loads.call(id).await?? else { return Ok(None) };
        if !matches!(stored.status, TicketStatus::Queued | TicketStatus::Matching(_)) {
            return Ok(None);
        }
        self.report(&stored, true);
        self.view(stored).await.map(Some)
    }

    async fn playing(&self, game: Uuid, player: Uuid) -> Result<Option<RecordedMatch>, StoreError> {
        let matches = &self.inner.ports.matches;
        let seats = matches.open_seats(game, &[player]).await?;
        let Some(seat) = seats.first() else { return Ok(None) };
        Ok(matches.matches(&[seat.match_id]).await?.into_iter().next().flatten())
    }
}

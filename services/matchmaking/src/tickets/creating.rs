//! Creating tickets.

use std::collections::HashMap;
use std::sync::Arc;

use pkg_definition::Attributes;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Actor, CreateError, Tickets, View, Wish, WishedPlayer};
use crate::queues::{QueueError, QueueRules, QueueState};
use crate::rating::Rating;
use crate::store::{Created, NewTicket, OpenSeat, QueueId, StoreError, Stored, TicketStatus};
use crate::ticket::{Latencies, Player, Regions, Ticket, Unfit};

impl Tickets {
    /// Puts a wish into its queue. One that was made before, with the same id, answers with the ticket as it is.
    pub async fn create(&self, wish: Wish, by: Actor) -> Result<View, CreateError> {
        self.inner.limits.change(by).map_err(|retry_after| CreateError::Limited { retry_after })?;
        let id = wish.id;
        let wish = named(wish, by)?;
        // The semaphore is never closed.
        let _turn = self.inner.creating.acquire().await;
        match self.try_create(&wish).await {
            // What has become of it since, or of its queue, does not change the answer to the same call.
            Err(error) if error.may_be_its_own_doing() => match self.repeated(id, &wish).await? {
                Some(view) => Ok(view),
                None => Err(error),
            },
            outcome => outcome,
        }
    }

    async fn try_create(&self, wish: &NamedWish) -> Result<View, CreateError> {
        let ports = &self.inner.ports;
        let queue = ports.queues.find(wish.queue.game, &wish.queue.key).await?;
        match queue.state {
            QueueState::Open => {}
            QueueState::Archived => return Err(CreateError::GameArchived),
            QueueState::Removed => return Err(QueueError::QueueNotFound.into()),
        }
        let created = to_milliseconds(ports.ambient.now());
        let id = wish.id.unwrap_or_else(|| ports.ambient.id());
        let mut ticket = Ticket { id, players: wish.players.clone(), regions: wish.regions, created };
        ticket.check(&queue.rules).map_err(|unfit| refused(&unfit, &ticket, &queue))?;
        self.rate(&mut ticket, &queue).await?;

        let new = NewTicket { ticket, queue: wish.queue.clone(), expires: created + queue.rules.ticket_lifetime };
        match ports.tickets.create(&new).await? {
            Created::Done => {
                self.inner.counters.created.increment(1);
                let view = self.view(waiting(new)).await?;
                self.report(&view.stored, true);
                Ok(view)
            }
            Created::Exists(stored) => Ok(self.view(*stored).await?),
            Created::IdTaken => Err(CreateError::IdTaken),
            Created::AlreadyQueued { ticket, player } => Err(CreateError::AlreadyQueued { ticket, player }),
        }
    }

    /// Gives the players their ratings, unless one of them is in a match.
    async fn rate(&self, ticket: &mut Ticket, queue: &Arc<QueueRules>) -> Result<(), CreateError> {
        let ports = &self.inner.ports;
        let ids: Vec<Uuid> = ticket.players.iter().map(|player| player.id).collect();
        let id = QueueId { game: queue.game, key: queue.key.clone() };
        let seats = ports.matches.open_seats(queue.game, &ids);
        let Some(rule) = &queue.rules.rating else {
            return free(&seats.await?);
        };
        let (seats, ratings) = tokio::try_join!(seats, ports.ratings.ratings(&id, &ids))?;
        free(&seats)?;
        let ratings: HashMap<Uuid, Rating> = ratings.into_iter().map(|stored| (stored.player, stored.rating)).collect();
        for player in &mut ticket.players {
            player.rating = ratings.get(&player.id).copied().unwrap_or_else(|| Rating::initial(rule));
        }
        Ok(())
    }

    /// The ticket that an earlier call with the same id and content has made.
    async fn repeated(&self, id: Option<Uuid>, wish: &NamedWish) -> Result<Option<View>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        let stored = self.inner.loads.call(id).await??.filter(|stored| wish.is(stored));
        match stored {
            Some(stored) => self.view(stored).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A wish that says who waits.
struct NamedWish {
    id: Option<Uuid>,
    queue: QueueId,
    players: Vec<Player>,
    regions: Regions,
}

impl NamedWish {
    /// Whether the ticket was made for the same.
    fn is(&self, stored: &Stored) -> bool {
        let same = |(one, other): (&Player, &Player)| {
            one.id == other.id && one.latencies == other.latencies && one.properties == other.properties
        };
        let players = &stored.ticket.players;
        self.queue == stored.queue
            && self.regions == stored.ticket.regions
            && self.players.len() == players.len()
            && self.players.iter().zip(players).all(same)
    }
}

/// Says who waits, as far as the caller may.
fn named(wish: Wish, by: Actor) -> Result<NamedWish, CreateError> {
    let queue = QueueId { game: wish.game, key: wish.queue };
    let (id, regions) = (wish.id, wish.regions);
    let players = match by {
        Actor::Player(own) | Actor::Admin(own) => {
            let others = wish.players.iter().any(|player| player.player.is_some_and(|player| player != own));
            if others || wish.players.len() > 1 {
                return Err(CreateError::PlayersNotAllowed);
            }
            let said = wish.players.into_iter().next();
            vec![said.map_or_else(|| silent(own), |said| player(own, said))]
        }
        Actor::Server(_) => of_server(wish.players)?,
    };
    Ok(NamedWish { id, queue, players, regions })
}

fn of_server(wished: Vec<WishedPlayer>) -> Result<Vec<Player>, CreateError> {
    let field = |path: String, problem: &str| CreateError::Field { path, problem: problem.to_owned() };
    if wished.is_empty() {
        return Err(field("players".to_owned(), "is empty: a game server says who waits"));
    }
    let mut players: Vec<Player> = Vec::with_capacity(wished.len());
    for (place, said) in wished.into_iter().enumerate() {
        let path = || format!("players[{place}].player_id");
        let id = said.player.ok_or_else(|| field(path(), "is missing: a game server says who waits"))?;
        if players.iter().any(|player| player.id == id) {
            return Err(field(path(), "stands there twice"));
        }
        players.push(player(id, said));
    }
    Ok(players)
}

fn player(id: Uuid, said: WishedPlayer) -> Player {
    Player { id, rating: unrated(), latencies: said.latencies, properties: said.properties }
}

fn silent(id: Uuid) -> Player {
    let (latencies, properties) = (Latencies::UNKNOWN, Attributes::default());
    Player { id, rating: unrated(), latencies, properties }
}

/// Stands where ratings do not matter.
pub(super) fn unrated() -> Rating {
    Rating::new(0.0, 1.0).expect("both are finite")
}

fn free(seats: &[OpenSeat]) -> Result<(), CreateError> {
    match seats.first() {
        Some(seat) => Err(CreateError::AlreadyInMatch { session: seat.session, player: seat.player }),
        None => Ok(()),
    }
}

/// A ticket that can never be matched is refused, with the field that is why.
fn refused(unfit: &Unfit, ticket: &Ticket, queue: &QueueRules) -> CreateError {
    let players = || ticket.players.iter().enumerate();
    let path = match unfit {
        Unfit::NoPlayers | Unfit::TooManyPlayers { .. } => "players".to_owned(),
        Unfit::NoRegion => "regions".to_owned(),
        Unfit::OutOfReach => {
            let offered: Regions = queue.rules.region.regions.iter().copied().collect();
            let ceiling = queue.rules.latency.as_ref().map(|latency| latency.ceiling);
            let reaches = |player: &Player, region| {
                player.latencies.get(region).is_some_and(|latency| ceiling.is_none_or(|ceiling| latency <= ceiling))
            };
            let asked = if ticket.regions.is_empty() { offered } else { offered.and(ticket.regions) };
            let alone = players().find(|(_, player)| !asked.iter().any(|region| reaches(player, region)));
            alone.map_or_else(|| "players".to_owned(), |(place, _)| format!("players[{place}].latencies"))
        }
        Unfit::Property { property } => {
            let missing = players().find(|(_, player)| player.properties.get(property).is_none());
            let place = missing.map_or(0, |(place, _)| place);
            format!("players[{place}].properties[{property}]")
        }
    };
    CreateError::Field { path, problem: format!("does not do for this queue: {unfit}") }
}

/// A ticket that was created just now.
fn waiting(new: NewTicket) -> Stored {
    let NewTicket { ticket, queue, expires } = new;
    Stored { ticket, queue, expires, status: TicketStatus::Queued, ended_at: None, why: None }
}

/// As exactly as it is stored.
fn to_milliseconds(time: OffsetDateTime) -> OffsetDateTime {
    pkg_db::from_millis(pkg_db::to_millis(time))
}

impl CreateError {
    /// Whether an earlier call that made the ticket may be why this one fails.
    fn may_be_its_own_doing(&self) -> bool {
        match self {
            Self::AlreadyInMatch { .. }
            | Self::GameArchived
            | Self::Field { .. }
            | Self::Queue(QueueError::GameNotFound | QueueError::QueueNotFound) => true,
            Self::Queue(QueueError::Unavailable(_) | QueueError::Broken(_))
            | Self::PlayersNotAllowed
            | Self::AlreadyQueued { .. }
            | Self::IdTaken
            | Self::Limited { .. }
            | Self::Store(_) => false,
        }
    }
}

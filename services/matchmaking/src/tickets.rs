//! Tickets as their players see them: created, read, watched, cancelled; and what else a player asks of matchmaking.

mod active;
mod cancelling;
mod creating;
mod estimates;
mod hub;
mod limits;
mod losing;
mod ratings;
mod reading;
mod stats;
mod watching;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use pkg_ambient::Ambient;
use pkg_api::matchmaking::v1 as api;
use pkg_batching::Batcher;
use pkg_bus::Bus;
use pkg_definition::{Attributes, Key};
use pkg_middleware::Actor;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::estimates::Summaries;
use self::hub::Hub;
use self::limits::Limits;
use crate::queued_reports::QueuedReports;
use crate::queues::{QueueError, Queues};
use crate::store::{
    MatchStore, RatingStore, RecordedMatch, Sign, Signed, StoreError, Stored, TicketStatus, TicketStore,
};
use crate::ticket::{Latencies, Regions};
use crate::ticket_message;

/// How many tickets are created at once. Further ones wait in the order in which they came: in a rush, those that were first
/// have their match before the last ones are in the queue.
const CREATED_AT_ONCE: usize = 128;

pub use self::active::Active;
pub use self::ratings::{RatingPage, RatingShown, Seed};
pub use self::stats::QueueStats;
pub use self::watching::{TicketWatch, Watchers};

/// What tickets are made of. Cloning shares them.
#[derive(Clone)]
pub struct Tickets {
    inner: Arc<Inner>,
}

struct Inner {
    ports: Ports,
    limits: Limits,
    creating: Semaphore,
    loads: Batcher<Uuid, Result<Option<Stored>, StoreError>>,
    signs: Batcher<Sign, Result<Option<Signed>, StoreError>>,
    summaries: Summaries,
    hub: Arc<Hub>,
    counters: Counters,
}

/// What tickets work with.
pub struct Ports {
    pub tickets: Arc<dyn TicketStore>,
    pub matches: Arc<dyn MatchStore>,
    pub ratings: Arc<dyn RatingStore>,
    pub queues: Queues,
    pub bus: Arc<dyn Bus>,
    pub reports: QueuedReports,
    pub ambient: Ambient,
}

struct Counters {
    created: Counter,
    cancelled: Counter,
    lost: Counter,
}

/// What somebody wants to wait for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The ticket's id, if the client made one.
    pub id: Option<Uuid>,
    pub game: Uuid,
    pub queue: Key,
    /// Who; empty means the caller.
    pub players: Vec<WishedPlayer>,
    /// Empty means all on offer.
    pub regions: Regions,
}

/// A player of a [`Wish`].
#[derive(Debug, Clone, PartialEq)]
pub struct WishedPlayer {
    /// Who; `None` means the caller.
    pub player: Option<Uuid>,
    pub latencies: Latencies,
    pub properties: Attributes,
}

/// A ticket as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub stored: Stored,
    /// When it was found out that the store has lost it, and no match came of it: it has ended then, whatever its status.
    pub lost: Option<OffsetDateTime>,
    /// Its match, once that has a session.
    pub found: Option<RecordedMatch>,
    /// How much longer it will wait.
    pub estimate: Option<Duration>,
    /// The revision of the rules that it waits under.
    pub revision: i64,
}

/// A ticket was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("the game is archived")]
    GameArchived,
    #[error("a player waits for themselves only; game servers may name others")]
    PlayersNotAllowed,
    #[error("the field {path} {problem}")]
    Field { path: String, problem: String },
    #[error("a player has a ticket in this game")]
    AlreadyQueued { ticket: Uuid, player: Uuid },
    #[error("a player is in a match of this game")]
    AlreadyInMatch { session: Uuid, player: Uuid },
    #[error("another ticket has this id")]
    IdTaken,
    #[error("too many tickets")]
    Limited { retry_after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A ticket is not read, watched or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// There is none, or it is nobody's business.
    #[error("there is no such ticket")]
    NotFound,
    #[error("a match is being made or was made with the ticket")]
    Matched,
    #[error("the ticket has ended")]
    Ended,
    #[error("too many calls")]
    Limited { retry_after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Something about a player or a queue is not told, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("only game servers and admins ask for others")]
    PlayersNotAllowed,
    #[error("a game server says whose")]
    PlayerMissing,
    #[error("the queue keeps no ratings")]
    NotRated,
    #[error("the player has played: matches count already")]
    RatingInUse,
    #[error("too many calls")]
    Limited { retry_after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tickets {
    /// Tickets, and what keeps those going who watch them.
    pub fn new(ports: Ports) -> (Self, Watchers) {
        let (hub, subscriptions) = Hub::new();
        let (store, ambient) = (ports.tickets.clone(), ports.ambient.clone());
        let signs = Batcher::spawn(move |signs: Vec<Sign>| {
            let (store, now) = (store.clone(), ambient.now());
            async move { each(signs.len(), store.sign(&signs, now).await) }
        });
        let store = ports.tickets.clone();
        let loads = Batcher::spawn(move |ids: Vec<Uuid>| {
            let store = store.clone();
            async move { each(ids.len(), store.load(&ids).await) }
        });
        let ended = |why: &'static str| metrics::counter!("muster_matchmaking_tickets_ended_total", "why" => why);
        metrics::describe_counter!("muster_matchmaking_tickets_created_total", "Tickets created through this process.");
        let counters = Counters {
            created: metrics::counter!("muster_matchmaking_tickets_created_total"),
            cancelled: ended("cancelled"),
            lost: ended("lost"),
        };
        let summaries = Summaries::new(ports.tickets.clone());
        let (limits, creating) = (Limits::new(), Semaphore::new(CREATED_AT_ONCE));
        let tickets =
            Self { inner: Arc::new(Inner { ports, limits, creating, loads, signs, summaries, hub, counters }) };
        (tickets.clone(), Watchers::new(tickets, subscriptions))
    }

    /// A ticket that the caller may see.
    async fn seen(&self, id: Uuid, by: Actor) -> Result<Stored, TicketError> {
        let stored = match self.inner.loads.call(id).await.map_err(StoreError::from)?? {
            Some(stored) => Some(stored),
            None => self.recovered(&[id]).await?.pop().map(|(stored, _)| stored),
        };
        stored.filter(|stored| may_see(by, stored)).ok_or(TicketError::NotFound)
    }

    /// A sign of life of a ticket, if it comes from those who play.
    async fn sign(&self, id: Uuid, by: Actor, asks: bool) -> Result<Option<Signed>, StoreError> {
        match by {
            Actor::Admin(_) => Ok(None),
            Actor::Player(_) | Actor::Server(_) => self.inner.signs.call(Sign { ticket: id, asks }).await?,
        }
    }

    /// Tickets with all that is shown of them.
    async fn views(&self, stored: Vec<Stored>) -> Result<Vec<View>, StoreError> {
        let Ports { matches, queues, ambient, .. } = &self.inner.ports;
        let in_match = |stored: &Stored| match stored.status {
            TicketStatus::Matched(id) => Some(id),
            TicketStatus::Queued | TicketStatus::Matching(_) | TicketStatus::Ended(_) => None,
        };
        // Tickets of one match are often asked for together.
        let ids: HashSet<Uuid> = stored.iter().filter_map(in_match).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = if ids.is_empty() { Vec::new() } else { matches.matches(&ids).await? };
        let found: HashMap<Uuid, RecordedMatch> =
            found.into_iter().flatten().map(|found| (found.made.id, found)).collect();
        let mut estimates = self.inner.summaries.estimates(ambient.now());
        let mut views = Vec::with_capacity(stored.len());
        for stored in stored {
            let found = in_match(&stored).and_then(|id| found.get(&id)).cloned();
            let estimate = estimates.of(&stored).await;
            let known = queues.known(stored.queue.game, &stored.queue.key).map(|queue| queue.revision);
            let made_under = found.as_ref().map(|found| found.made.definition_revision);
            let revision = made_under.or(known).unwrap_or_default();
            views.push(View { stored, lost: None, found, estimate, revision });
        }
        Ok(views)
    }

    async fn view(&self, stored: Stored) -> Result<View, StoreError> {
        let view = self.views(vec![stored]).await?.pop();
        view.ok_or_else(|| StoreError::broken("a ticket without its view"))
    }

    /// Tells presence what the players of a ticket do.
    fn report(&self, stored: &Stored, queued: bool) {
        for player in &stored.ticket.players {
            self.inner.ports.reports.report(player.id, stored.queue.game, queued);
        }
    }
}

impl View {
    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        let ended = matches!(self.stored.status, TicketStatus::Matched(_) | TicketStatus::Ended(_));
        ended || self.lost.is_some()
    }

    /// The ticket as the API tells of it.
    #[must_use]
    pub fn message(&self) -> api::Ticket {
        let mut ticket = ticket_message::ticket(&self.stored);
        ticket.definition_revision = self.revision;
        ticket.r#match = self.found.as_ref().map(ticket_message::match_found);
        if let Some(lost) = self.lost {
            ticket.status = api::TicketStatus::Lost.into();
            ticket.end_reason = api::TicketEndReason::QueueLost.into();
            ticket.end_time = Some(ticket_message::timestamp(lost));
        } else if self.stored.status == TicketStatus::Queued {
            ticket.estimated_wait = self.estimate.map(ticket_message::duration);
            ticket.unmet_rules = self.stored.why.as_ref().map(ticket_message::read_unmet).unwrap_or_default();
        }
        ticket
    }
}

/// The answers to the calls of a batch; the same failure for all of them.
fn each<T>(calls: usize, answers: Result<Vec<T>, StoreError>) -> Vec<Result<T, StoreError>> {
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => (0..calls).map(|_| Err(error.clone())).collect(),
    }
}

fn may_see(by: Actor, stored: &Stored) -> bool {
    match by {
        Actor::Player(id) => stored.ticket.players.iter().any(|player| player.id == id),
        Actor::Server(_) | Actor::Admin(_) => true,
    }
}

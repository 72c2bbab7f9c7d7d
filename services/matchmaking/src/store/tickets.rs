//! The port of tickets and claims.
//!
//! A ticket is `QUEUED` → `MATCHING` (claimed for a match) → `MATCHED` (the match is recorded and its session is there), or
//! back to `QUEUED`, or from there ended for a reason. While it is `QUEUED` or `MATCHING` it holds its players: each of
//! them is in at most one such ticket of a game.
//!
//! Every call may be repeated when its outcome is unknown, and then answers as the first one would have. What the store
//! loses as a whole (a Redis that was emptied) is simply not there any more: nobody is held by it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pkg_definition::Key;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{QueueId, StoreError};
use crate::ticket::{Player, Ticket};

/// How long a ticket can be read after it was matched or has ended.
pub const KEPT_AFTER_END: Duration = Duration::from_hours(1);

/// A ticket that nobody ended so long after its time, since its queue has no worker, is forgotten as a whole.
pub const FORGOTTEN_AFTER_EXPIRY: Duration = Duration::from_hours(1);

/// The place of a ticket among the arrivals of its queue. It rises with every arrival, also after the store was emptied;
/// a ticket that is given back arrives again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArrivalNumber(pub u64);

/// A ticket to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTicket {
    pub ticket: Ticket,
    pub queue: QueueId,
    /// When it expires at the latest.
    pub expires: OffsetDateTime,
}

impl NewTicket {
    /// What creating it comes to if there is a ticket with its id.
    pub(super) fn repeated(&self, stored: Stored) -> Created {
        let (new, old) = (&self.ticket, &stored.ticket);
        let same_player = |(new, old): (&Player, &Player)| {
            (new.id, &new.latencies, &new.properties) == (old.id, &old.latencies, &old.properties)
        };
        let same_players =
            new.players.len() == old.players.len() && new.players.iter().zip(&old.players).all(same_player);
        if self.queue == stored.queue && new.regions == old.regions && same_players {
            Created::Exists(Box::new(stored))
        } else {
            Created::IdTaken
        }
    }
}

/// A ticket as it is stored. Times are to the millisecond.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub ticket: Ticket,
    pub queue: QueueId,
    /// When it expires at the latest.
    pub expires: OffsetDateTime,
    pub status: TicketStatus,
    /// When it was matched or ended.
    pub ended_at: Option<OffsetDateTime>,
    /// Why it is not matched yet, as its worker wrote it ([`TicketStore::explain`]).
    pub why: Option<Bytes>,
}

/// What has become of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketStatus {
    /// It waits.
    Queued,
    /// It is claimed for this match, which is being recorded and dispatched.
    Matching(Uuid),
    /// It is in this match.
    Matched(Uuid),
    /// It ended without a match.
    Ended(EndReason),
}

/// Why a ticket ended without a match. (One that was lost is not in the store, so nothing here says so.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    Cancelled,
    WaitedTooLong,
    PlayerGone,
    AlreadyInMatch,
    QueueClosed,
    RulesChanged,
    AccountGone,
}

impl EndReason {
    pub(super) const ALL: [Self; 7] = [
        Self::Cancelled,
        Self::WaitedTooLong,
        Self::PlayerGone,
        Self::AlreadyInMatch,
        Self::QueueClosed,
        Self::RulesChanged,
        Self::AccountGone,
    ];
}

/// What came of [`TicketStore::create`].
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It waits, and its queue's worker is told.
    Done,
    /// It was created before, with the same wish: this is it now. (Ratings and times are not part of the wish.)
    Exists(Box<Stored>),
    /// Another ticket has its id, or was refused with it lately in another queue.
    IdTaken,
    /// A player of it is in another ticket of the game.
    AlreadyQueued { ticket: Uuid, player: Uuid },
}

/// A ticket that waits, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    pub number: ArrivalNumber,
    /// Shared with a store that lies in the memory of this process.
    pub ticket: Arc<Ticket>,
    /// When it expires at the latest.
    pub expires: OffsetDateTime,
}

/// Tickets to be taken out of the queue for a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub match_id: Uuid,
    /// One or more, each once; of no other claim of the call.
    pub tickets: Vec<Uuid>,
    /// From then on the claim is overdue, and the sweeper decides.
    pub deadline: OffsetDateTime,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// All of its tickets are `MATCHING`.
    Done,
    /// Nothing changed, since these do not wait: they ended, are claimed for another match, or are not there.
    NotWaiting(Vec<Uuid>),
}

/// The queue has an owner with a higher epoch: stop working on it. A part of what the call asked for may have been done
/// before that owner came; the owner sweeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced {
    /// The highest epoch that has worked on the queue.
    pub epoch: i64,
}

/// A claim that was made and is neither acknowledged nor given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeClaim {
    pub match_id: Uuid,
    pub tickets: Vec<Uuid>,
    pub deadline: OffsetDateTime,
}

/// A match that is recorded and dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    pub match_id: Uuid,
    /// All of its tickets: the claim may have been lost.
    pub tickets: Vec<Uuid>,
}

/// A claim whose match came to nothing, and never will: it is aborted, or was not recorded because of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveBack {
    pub match_id: Uuid,
    /// Those of its tickets that end; the others wait again.
    pub end: Vec<(Uuid, EndReason)>,
}

/// What came of [`TicketStore::end`] for a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOutcome {
    /// It waited and has ended: no match follows from it.
    Ended,
    /// It had ended before, for this reason.
    AlreadyEnded(EndReason),
    /// It is claimed for a match: nothing changed.
    Matching,
    /// It is in a match: nothing changed.
    Matched,
    /// The store has no such ticket.
    NotFound,
}

/// A sign of life of the players of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    pub ticket: Uuid,
    /// Whether somebody wants to know why it is not matched yet: then it is among [`TicketStore::asked`] for a while.
    pub asks: bool,
}

/// A ticket as the sign of life found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub status: TicketStatus,
    /// As in [`Stored`].
    pub why: Option<Bytes>,
}

/// Why a ticket is not matched yet, for those who watch it: in a form that is up to the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub ticket: Uuid,
    pub why: Bytes,
}

/// What happens to the tickets of a game. News may be lost; who follows them looks from time to time anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The status of these tickets has changed, and may have changed again.
    Changed(Vec<Uuid>),
    /// A match is being made with these tickets: soon there is more to tell of them.
    Claimed(Vec<Uuid>),
    /// Tickets have arrived in this queue, new ones or such that were given back.
    Arrived(Key),
    /// Some news are missing: look at everything.
    Missed,
}

/// Tickets and claims: Redis (one hash slot for each game) or memory.
///
/// Lists that a call takes may be of any length: adapters cut them into steps that do not hold up others. A call that
/// fails may have done some of the steps.
#[async_trait]
pub trait TicketStore: Send + Sync {
    /// Puts a ticket into its queue and takes a claim on each of its players. Calls that come at the same time are made
    /// together. A player whose earlier ticket was matched, has ended or is gone is free.
    async fn create(&self, new: &NewTicket) -> Result<Created, StoreError>;

    /// One for each id, in their order. Tickets that ended are there for `KEPT_AFTER_END`.
    async fn load(&self, ids: &[Uuid]) -> Result<Vec<Option<Stored>>, StoreError>;

    /// In which ticket that waits or is being matched each of these players is, in their order.
    async fn tickets_of(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<Option<Uuid>>, StoreError>;

    /// The queues of a game that may have tickets which wait or are being matched, also such as the definition does not
    /// know any more.
    async fn queues(&self, game: Uuid) -> Result<Vec<Key>, StoreError>;

    /// The tickets that wait and arrived after that, in the order of their arrivals; `max` at most. Fewer than `max`, with
    /// none missing, means that these are all.
    async fn arrivals(&self, queue: &QueueId, after: ArrivalNumber, max: usize) -> Result<Vec<Arrival>, StoreError>;

    /// Whether each of these tickets waits in the queue, in their order: a worker compares what it has in memory.
    async fn still_waiting(&self, queue: &QueueId, tickets: &[Uuid]) -> Result<Vec<bool>, StoreError>;

    /// How many tickets wait.
    async fn waiting_count(&self, queue: &QueueId) -> Result<u64, StoreError>;

    /// Takes the tickets of each claim out of the queue: all of a claim or none. The epoch is that of the caller's lease.
    /// Answers in the order of the claims.
    async fn claim(
        &self,
        queue: &QueueId,
        epoch: i64,
        claims: &[Claim],
    ) -> Result<Result<Vec<Claimed>, Fenced>, StoreError>;

    /// Claims whose deadline has come, the oldest first, `max` at most.
    async fn overdue_claims(
        &self,
        queue: &QueueId,
        now: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<MadeClaim>, StoreError>;

    /// The tickets of these matches are `MATCHED`, unless they have ended, and their players are free for other tickets (the
    /// seat holds them). Also if the claim was lost: the recorded match is the truth. Needs no epoch for that reason.
    async fn acknowledge(
        &self,
        queue: &QueueId,
        matches: &[Acknowledgement],
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Ends claims without a match: their tickets wait again, with new arrival numbers and their old age, or end. A claim
    /// that is not there is skipped.
    async fn give_back(
        &self,
        queue: &QueueId,
        epoch: i64,
        claims: &[GiveBack],
        now: OffsetDateTime,
    ) -> Result<Result<(), Fenced>, StoreError>;

    /// Ends tickets that wait, and says of each what came of it, in their order. A cancellation is an end, too.
    async fn end(&self, ids: &[Uuid], reason: EndReason, now: OffsetDateTime) -> Result<Vec<EndOutcome>, StoreError>;

    /// Notes signs of life. Answers in their order; `None`: the store has no such ticket (any more).
    async fn sign(&self, signs: &[Sign], now: OffsetDateTime) -> Result<Vec<Option<Signed>>, StoreError>;

    /// Tickets that wait and whose last sign of life (their creation is the first) is older than that, `max` at most.
    async fn gone(&self, queue: &QueueId, before: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError>;

    /// Tickets that wait and whose time is over, the oldest first, `max` at most.
    async fn expired(&self, queue: &QueueId, now: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError>;

    /// Tickets that wait and of which somebody has asked since then why, the last ones first, `max` at most. Older
    /// questions are forgotten.
    async fn asked(&self, queue: &QueueId, since: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError>;

    /// Writes why tickets are not matched yet. Those that do not wait are skipped.
    async fn explain(&self, queue: &QueueId, explanations: &[Explanation]) -> Result<(), StoreError>;

    /// Keeps what the worker tells of its queue for everyone, for so long.
    async fn put_summary(&self, queue: &QueueId, summary: Bytes, lifetime: Duration) -> Result<(), StoreError>;

    /// What the worker told last; `None` if its lifetime is over.
    async fn summary(&self, queue: &QueueId) -> Result<Option<Bytes>, StoreError>;

    /// What happens to the tickets of a game from now on. A receiver that is too slow misses some and is told by its
    /// channel; with the last receiver the subscription ends.
    async fn news(&self, game: Uuid) -> Result<broadcast::Receiver<News>, StoreError>;
}

//! The port of matches and seats.

use std::time::Duration;

use async_trait::async_trait;
use pkg_definition::{Region, TeamName};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{QueueId, StoreError};

/// A match: who plays whom, and where. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// A `UUIDv7`.
    pub id: Uuid,
    pub queue: QueueId,
    /// The session that it is played in, which is created with this id.
    pub session: Uuid,
    pub region: Region,
    /// In their order; one for each player if everyone plays for themselves.
    pub teams: Vec<MatchTeam>,
    /// The revision of the definition whose rules it was made under.
    pub definition_revision: i64,
    /// To the millisecond.
    pub created: OffsetDateTime,
}

/// A team of a match.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchTeam {
    /// `None` if everyone plays for themselves.
    pub name: Option<TeamName>,
    pub players: Vec<MatchPlayer>,
    /// The predicted probability that it wins, 0–1; `None` in queues without ratings.
    pub win_probability: Option<f64>,
}

/// A player of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchPlayer {
    pub player: Uuid,
    /// The ticket that they came with.
    pub ticket: Uuid,
    /// How long it waited, to the millisecond.
    pub wait: Duration,
}

impl Match {
    /// Everyone who plays, team by team.
    pub fn players(&self) -> impl Iterator<Item = &MatchPlayer> {
        self.teams.iter().flat_map(|team| &team.players)
    }

    /// The tickets, each once, in the order of their first players.
    #[must_use]
    pub fn tickets(&self) -> Vec<Uuid> {
        let mut tickets = Vec::new();
        for player in self.players() {
            if !tickets.contains(&player.ticket) {
                tickets.push(player.ticket);
            }
        }
        tickets
    }
}

/// How far a match has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchState {
    /// It is recorded and its seats are taken; its session may not be there yet.
    Made,
    /// Its session was created.
    Dispatched,
    /// It is not, and never will be.
    Aborted,
}

/// A match as it is stored; not one that was aborted before it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedMatch {
    pub made: Match,
    pub state: MatchState,
    /// The cursor of the session's topic from its beginning, once it is dispatched.
    pub session_cursor: Option<String>,
}

/// What came of recording a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It is recorded, and all its seats are taken.
    Done,
    /// There was a match with this id, and it stays as it is. `Made` or `Dispatched`: an earlier call did it. `Aborted`:
    /// the tickets were given back; drop it.
    Known(MatchState),
    /// Nothing of it was recorded, since these players have open seats in other matches. Empty if those were released just
    /// now: then all its tickets can be given back.
    Conflict(Vec<SeatHolder>),
}

/// A player with an open seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeatHolder {
    pub player: Uuid,
    /// The session that they have it in.
    pub session: Uuid,
}

/// What came of aborting a match.
#[derive(Debug, Clone, PartialEq)]
pub enum Aborted {
    /// No match with this id is recorded, or ever will be: its claim can be given back.
    Done,
    /// It was recorded before: dispatch it again, and acknowledge it.
    Recorded(Box<RecordedMatch>),
}

/// A match whose session was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatched {
    pub match_id: Uuid,
    /// The cursor of the session's topic from its beginning.
    pub session_cursor: String,
}

/// A seat that holds its player: no other match of the game can be recorded with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSeat {
    pub player: Uuid,
    pub match_id: Uuid,
    pub session: Uuid,
    pub ticket: Uuid,
}

/// Seats that are free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatRelease {
    pub session: Uuid,
    /// Whose; `None`: all of the session.
    pub player: Option<Uuid>,
}

/// The match that a ticket is in.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketMatch {
    pub ticket: Uuid,
    pub found: RecordedMatch,
}

/// How long those waited who were matched lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentWaits {
    /// How many matches there were.
    pub matches: u64,
    /// When a match was made and how long a player of it had waited, the newest first.
    pub waits: Vec<(OffsetDateTime, Duration)>,
}

/// Matches and seats: Postgres or SQLite.
///
/// A player has at most one open seat in a game, whoever records what and when: a unique index says so. Every call may be
/// repeated when its outcome is unknown.
#[async_trait]
pub trait MatchStore: Send + Sync {
    /// Records matches with their seats, each as a whole or not at all. Answers in their order. Of matches of the call that
    /// share a player, the first one that can be recorded is.
    async fn record(&self, matches: &[Match], now: OffsetDateTime) -> Result<Vec<Recorded>, StoreError>;

    /// Makes sure that matches which are not recorded will never be. Answers in the order of the ids.
    async fn abort(&self, queue: &QueueId, ids: &[Uuid], now: OffsetDateTime) -> Result<Vec<Aborted>, StoreError>;

    /// Notes that sessions were created; says of each, in their order, whether it counts. `false`: the match was cancelled
    /// meanwhile, nobody has a seat in it, and its session is to be ended.
    async fn dispatched(&self, matches: &[Dispatched]) -> Result<Vec<bool>, StoreError>;

    /// Matches of a queue that were made before that and are not dispatched, the oldest first, `max` at most.
    async fn undispatched(
        &self,
        queue: &QueueId,
        before: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<RecordedMatch>, StoreError>;

    /// Aborts a match whose session was refused for good, and releases its seats. `false`: it was dispatched, or there is
    /// none with this id. Repeated: `true`.
    async fn cancel_match(&self, id: Uuid, now: OffsetDateTime) -> Result<bool, StoreError>;

    /// Matches by their ids, in their order; without such as were aborted before they were recorded. Calls that come at the
    /// same time are made together.
    async fn matches(&self, ids: &[Uuid]) -> Result<Vec<Option<RecordedMatch>>, StoreError>;

    /// The match that each of these tickets is in, in any order; without aborted ones. For tickets that their store has
    /// lost.
    async fn matches_of_tickets(&self, tickets: &[Uuid]) -> Result<Vec<TicketMatch>, StoreError>;

    /// The open seats that these players have in a game, in any order. Calls that come at the same time are made together.
    async fn open_seats(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<OpenSeat>, StoreError>;

    /// Releases seats; those that are released or unknown are skipped. How many were released.
    async fn release(&self, seats: &[SeatRelease], now: OffsetDateTime) -> Result<u64, StoreError>;

    /// Sessions of dispatched matches with open seats that nobody has looked at since then (their record counts as a look),
    /// those first that have waited longest; `max` at most.
    async fn stale_seats(&self, before: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError>;

    /// Notes that these sessions were looked at: they still run.
    async fn checked(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), StoreError>;

    /// Forgets matches whose ids were made before then and which hold nobody, with their seats; `max` at most. How many.
    async fn forget(&self, before: OffsetDateTime, max: usize) -> Result<u64, StoreError>;

    /// How long those waited whose matches were made since then, of the newest `max` players.
    async fn recent_waits(&self, queue: &QueueId, since: OffsetDateTime, max: usize)
    -> Result<RecentWaits, StoreError>;
}

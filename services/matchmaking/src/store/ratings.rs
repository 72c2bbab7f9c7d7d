//! The port of ratings.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{QueueId, SeatRelease, StoreError};
use crate::rating::Rating;

/// A player's rating in a queue as it is stored. Times are to the millisecond.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRating {
    pub player: Uuid,
    pub queue: QueueId,
    pub rating: Rating,
    /// How many matches have counted; 0 if it was seeded only.
    pub match_count: i64,
    pub updated_at: OffsetDateTime,
    /// The session that changed it last.
    pub last_session: Option<Uuid>,
    /// By how much that session changed the skill; 0 if none did.
    pub last_skill_change: f64,
    /// Rises with every change; the first is 1.
    pub version: i64,
}

/// A rating that results have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct RatingChange {
    pub player: Uuid,
    pub queue: QueueId,
    /// The version that it was worked out from; 0 if nothing was stored.
    pub from_version: i64,
    pub rating: Rating,
    /// How many matches have counted now.
    pub match_count: i64,
    /// The session that changed it last.
    pub session: Uuid,
    /// By how much that session changed the skill.
    pub skill_change: f64,
    /// When: the time of the record.
    pub at: OffsetDateTime,
}

/// What follows from records of the log of matches, from one offset to another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    pub partition: i32,
    /// The offset of the first record; `None` if nothing of the partition was ever applied before.
    pub expected: Option<i64>,
    /// The offset after the last one.
    pub next_offset: i64,
    /// One for each player of a queue: how it is after all of them. Several records may change it: only the last is given.
    pub changes: Vec<RatingChange>,
    /// The sessions whose results these changes are, each once: none of them counts again, if its record is repeated.
    pub counted: Vec<Uuid>,
    pub releases: Vec<SeatRelease>,
}

/// What came of applying results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// All of it.
    Done,
    /// Nothing: somebody else has moved the position. Read it again and go on from there.
    Elsewhere,
    /// Nothing: a rating is not of the version that its change came from, or a session was counted before. Read both again.
    Changed,
}

/// What came of seeding a rating.
#[derive(Debug, Clone, PartialEq)]
pub enum Seeded {
    /// This is the rating now.
    Done(StoredRating),
    /// Matches have counted: nothing changed.
    InUse,
}

/// A place in the list of a player's ratings: those that were changed last first, then by game and queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatingPlace {
    /// Milliseconds since 1970.
    pub updated_ms: i64,
    pub queue: QueueId,
}

impl RatingPlace {
    /// Where a rating stands.
    #[must_use]
    pub fn of(rating: &StoredRating) -> Self {
        Self { updated_ms: pkg_db::to_millis(rating.updated_at), queue: rating.queue.clone() }
    }
}

/// Ratings, with the positions in the log of matches that they follow from: Postgres or SQLite, in the database of the
/// seats.
#[async_trait]
pub trait RatingStore: Send + Sync {
    /// The ratings of these players that are stored, in any order. Calls that come at the same time are made together.
    async fn ratings(&self, queue: &QueueId, players: &[Uuid]) -> Result<Vec<StoredRating>, StoreError>;

    /// A player's ratings, in a game or all, those that were changed last first, after a place.
    async fn list(
        &self,
        player: Uuid,
        game: Option<Uuid>,
        after: Option<&RatingPlace>,
        limit: usize,
    ) -> Result<Vec<StoredRating>, StoreError>;

    /// Sets a rating, as long as no match has counted.
    async fn seed(
        &self,
        queue: &QueueId,
        player: Uuid,
        rating: Rating,
        now: OffsetDateTime,
    ) -> Result<Seeded, StoreError>;

    /// Where to go on in a partition of the log of matches; `None` before the first record.
    async fn position(&self, partition: i32) -> Result<Option<i64>, StoreError>;

    /// Those of these sessions whose results have been counted.
    async fn counted(&self, sessions: &[Uuid]) -> Result<Vec<Uuid>, StoreError>;

    /// Applies results in one transaction with the position: all of it, or nothing. So each record counts exactly once,
    /// whoever applies it and however often: repeated when its outcome is unknown, it answers `Elsewhere`.
    async fn apply(&self, results: &Results, now: OffsetDateTime) -> Result<Applied, StoreError>;

    /// Forgets that sessions have counted whose ids were made before then, `max` of them at most. How many.
    async fn forget_counted(&self, before: OffsetDateTime, max: usize) -> Result<u64, StoreError>;

    /// Erases what is stored of a player.
    async fn erase(&self, player: Uuid) -> Result<(), StoreError>;
}

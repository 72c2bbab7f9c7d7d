//! The port of matches and of what players have played.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pkg_definition::Key;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// How a match ended for a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOutcome {
    /// First, and somebody else is not.
    Won,
    /// Not first.
    Lost,
    /// First, as everyone.
    Drawn,
}

/// A session that has ended. Times are to the millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedMatch {
    /// The session.
    pub session: Uuid,
    /// The game.
    pub game: Uuid,
    /// The queue; `None` for sessions made by hand.
    pub queue: Option<Key>,
    /// When it ended.
    pub ended: OffsetDateTime,
    /// How long it was played, pauses not counted.
    pub play_time: Duration,
    /// What is shown of it and not asked for here, as the caller has encoded it: nothing that names a player.
    pub body: Bytes,
    /// In the order in which they were given.
    pub results: Vec<MatchResult>,
}

/// How a session ended for a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchResult {
    /// Who.
    pub player: Uuid,
    /// The place: 1 is the best.
    pub placement: i32,
    /// What that means.
    pub outcome: MatchOutcome,
    /// Whether they left before the end.
    pub left_early: bool,
    /// What is shown of it and not asked for here, as the caller has encoded it: nothing that names the player.
    pub body: Bytes,
}

/// What follows from records of the log of matches, from one offset to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchesStep {
    /// Which partition.
    pub partition: i32,
    /// The offset to go on from before; `None` if nothing of the partition was ever applied.
    pub expected: Option<i64>,
    /// The offset to go on from afterwards.
    pub next_offset: i64,
    /// The sessions that have ended.
    pub matches: Vec<FinishedMatch>,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchesApplied {
    /// All of it is counted. Of a session that was there before nothing was counted again.
    Done,
    /// Nothing: somebody else has moved the position. Read it again and go on from there.
    Elsewhere,
}

/// A match without its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMatch {
    /// The session.
    pub session: Uuid,
    /// The game.
    pub game: Uuid,
    /// The queue; `None` for sessions made by hand.
    pub queue: Option<Key>,
    /// When it ended.
    pub ended: OffsetDateTime,
    /// As it was given.
    pub body: Bytes,
    /// How many results it has.
    pub player_count: u32,
}

/// A result, as the player sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerMatch {
    /// The match.
    pub found: StoredMatch,
    /// The player's result.
    pub result: SessionResult,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionResult {
    /// Its number in the session, from 0, in the order in which they were given.
    pub number: u32,
    /// Whose; `None` if the account was deleted.
    pub player: Option<Uuid>,
    /// The place: 1 is the best.
    pub placement: i32,
    /// What that means.
    pub outcome: MatchOutcome,
    /// Whether they left before the end.
    pub left_early: bool,
    /// As it was given.
    pub body: Bytes,
}

/// A place among the matches of a player: those that ended last first, then by session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayerMatchPlace {
    /// When it ended, milliseconds since 1970.
    pub ended_ms: i64,
    /// The session.
    pub session: Uuid,
}

/// A place among the results of a session: the best first, then as they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultPlace {
    /// The place in the session.
    pub placement: i32,
    /// See [`SessionResult::number`].
    pub number: u32,
}

/// What a player has played in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStats {
    /// `None` for sessions made by hand.
    pub queue: Option<Key>,
    /// How many games have a result of theirs.
    pub games: i64,
    /// How many they won.
    pub wins: i64,
    /// How many they lost.
    pub losses: i64,
    /// How many were drawn.
    pub draws: i64,
    /// How many they left before the end.
    pub left_early: i64,
    /// How long they played in all, to the millisecond.
    pub play_time: Duration,
    /// When the last one ended.
    pub last_ended: OffsetDateTime,
}

/// Matches, their results and the stats of players: Postgres or `SQLite`.
#[async_trait]
pub trait MatchStore: Send + Sync {
    /// Where to go on in a partition of the log of matches; `None` before the first record.
    async fn position(&self, partition: i32) -> Result<Option<i64>, StoreError>;

    /// Counts matches in one transaction with the position: all of it, or nothing. So each counts exactly once, whoever does
    /// it and however often: repeated when its outcome is unknown, it answers `Elsewhere`. Results of players whose accounts
    /// were deleted stay without a name.
    async fn apply(&self, step: &MatchesStep) -> Result<MatchesApplied, StoreError>;

    /// A match.
    async fn found(&self, session: Uuid) -> Result<Option<StoredMatch>, StoreError>;

    /// The results of a session after a place, the best first.
    async fn results(
        &self,
        session: Uuid,
        after: Option<ResultPlace>,
        max: usize,
    ) -> Result<Vec<SessionResult>, StoreError>;

    /// The matches of a player after a place, the newest first: all, those of a game, or those of one of its queues.
    async fn of_player(
        &self,
        player: Uuid,
        game: Option<Uuid>,
        queue: Option<&Key>,
        after: Option<PlayerMatchPlace>,
        max: usize,
    ) -> Result<Vec<PlayerMatch>, StoreError>;

    /// What a player has played in a game, queue by queue in the order of their keys, those made by hand first.
    async fn stats(&self, player: Uuid, game: Uuid) -> Result<Vec<QueueStats>, StoreError>;
}

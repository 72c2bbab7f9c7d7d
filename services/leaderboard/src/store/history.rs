//! The port of the history of scores.

use async_trait::async_trait;
use bytes::Bytes;
use pkg_definition::Period;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Mark, StoreError};
use crate::board::{BoardId, PeriodId, PeriodSpan, Refusal, Standings};

/// How far the history of a board has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The offset of the last record, and how many players were erased.
    pub mark: Mark,
    /// The time of the last record as it counts ([`ScoreRow::time`]).
    pub time: OffsetDateTime,
}

/// A score as it is kept. It never changes, and is gone only with its player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRow {
    /// The offset of its record.
    pub offset: i64,
    /// Whose.
    pub player: Uuid,
    /// The client's id, unique for the board and the player.
    pub submission: Uuid,
    /// The value.
    pub value: i64,
    /// The session in which it was reached.
    pub session: Option<Uuid>,
    /// The facts about it, as the caller has encoded them.
    pub attributes: Bytes,
    /// To tell a repetition from another score with the same id.
    pub content_hash: [u8; 32],
    /// The log's time, to the millisecond, but never before that of the board's record before: so the periods of a board end
    /// in the order of its scores, even if the log's clock went back.
    pub time: OffsetDateTime,
    /// Why it counts nowhere; `None` if it was accepted.
    pub refusal: Option<Refusal>,
    /// Where the player stands after it, also if it was refused.
    pub standings: Standings,
}

/// What follows for the history of a board from records of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryStep {
    /// Which board.
    pub board: BoardId,
    /// The head before; `None` if these are the first records of the board.
    pub from: Option<Head>,
    /// The offset of the last record, whether it has a row or not.
    pub to: i64,
    /// The time of the last record as it counts.
    pub time: OffsetDateTime,
    /// The records that are not repetitions, in their order.
    pub rows: Vec<ScoreRow>,
    /// Every period that has its first accepted score here, or may have. One that is known already changes nothing.
    pub periods: Vec<BeginningPeriod>,
}

/// A period that begins to have scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeginningPeriod {
    /// From when to when.
    pub span: PeriodSpan,
    /// The offset of its first accepted score.
    pub first_offset: i64,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// All of it is there, and the head has moved.
    Done,
    /// Nothing of it: the head is not what the step says, a submission is recorded already, or a score of a player whose
    /// account was deleted is not refused for that. Read heads and look everything up again.
    Stale,
}

/// A submission to be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// On which board.
    pub board: BoardId,
    /// Whose.
    pub player: Uuid,
    /// Which.
    pub submission: Uuid,
}

/// What is known of a submission and its player.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The submission, if it is recorded. On another offset than a record: the record is a repetition, or another score with
    /// the same id.
    pub recorded: Option<ScoreRow>,
    /// Where the player stands after their last score on the board; `None` if they have none.
    pub standings: Option<Standings>,
    /// Whether the player's account was deleted.
    pub gone: bool,
}

/// A period that has scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedPeriod {
    /// From when to when.
    pub span: PeriodSpan,
    /// The offset of its first accepted score.
    pub first_offset: i64,
    /// The offset of the first accepted score of the next period of the kind, if there is one: all scores of this one come
    /// before it.
    pub end_offset: Option<i64>,
}

/// A score to make boards of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The offset of its record.
    pub offset: i64,
    /// Whose.
    pub player: Uuid,
    /// As it counts.
    pub time: OffsetDateTime,
    /// The facts about it.
    pub attributes: Bytes,
    /// Where the player stands after it.
    pub standings: Standings,
}

/// The history of scores: Postgres or `SQLite`.
#[async_trait]
pub trait HistoryStore: Send + Sync {
    /// How far the history of each of these boards has come, in their order; `None` for those without records.
    async fn heads(&self, boards: &[BoardId]) -> Result<Vec<Option<Head>>, StoreError>;

    /// All boards that have records, by game and key, those after one; `max` at most.
    async fn boards(&self, after: Option<&BoardId>, max: usize) -> Result<Vec<(BoardId, Head)>, StoreError>;

    /// What is known of submissions and their players, in their order.
    async fn look_up(&self, wanted: &[Wanted]) -> Result<Vec<Known>, StoreError>;

    /// Writes steps, of one board each: each of them as a whole or not at all. Answers in their order.
    ///
    /// May be repeated when its outcome is unknown: what was done then answers `Stale`.
    async fn append(&self, steps: &[HistoryStep]) -> Result<Vec<Appended>, StoreError>;

    /// A submission, if it is recorded.
    async fn submission(&self, wanted: &Wanted) -> Result<Option<ScoreRow>, StoreError>;

    /// The scores of a player on a board, the newest first, those before an offset. Refused ones only if `refused`.
    async fn player_scores(
        &self,
        board: &BoardId,
        player: Uuid,
        refused: bool,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<ScoreRow>, StoreError>;

    /// The scores of a board with offsets from `from` to `to`, inclusive, in their order: the accepted ones; `max` at most.
    async fn replay(&self, board: &BoardId, from: i64, to: i64, max: usize) -> Result<Vec<Replayed>, StoreError>;

    /// The periods of a kind that have scores, the newest first, those that began before `before_ms`.
    async fn periods(
        &self,
        board: &BoardId,
        kind: Period,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<Vec<PeriodSpan>, StoreError>;

    /// A period, if it has scores.
    async fn period(&self, board: &BoardId, id: PeriodId) -> Result<Option<RecordedPeriod>, StoreError>;

    /// The players who were erased from a board after so many others, in their order.
    async fn erasures(&self, board: &BoardId, after: i64) -> Result<Vec<Uuid>, StoreError>;
}

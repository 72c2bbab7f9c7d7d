//! Scores as they are submitted, and what has become of them.

use std::time::Duration;

use pkg_definition::Attributes;
pub use pkg_middleware::Actor;
use uuid::Uuid;

use crate::board::BoardId;
use crate::catalog::BoardError;
use crate::store::{ScoreRow, StoreError};

/// A score to submit.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScore {
    /// On which board.
    pub board: BoardId,
    /// Whose; `None` means the caller's.
    pub player: Option<Uuid>,
    /// The client's id.
    pub submission: Uuid,
    /// The value.
    pub value: i64,
    /// The session in which it was reached.
    pub session: Option<Uuid>,
    /// The facts about it.
    pub attributes: Attributes,
}

/// A submission, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The board.
    pub board: BoardId,
    /// What has become of it.
    pub state: State,
}

/// What has become of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It is in the log and will be applied: it has no outcome yet.
    Pending(Pending),
    /// It was applied: accepted, or refused.
    Applied {
        /// As it is kept.
        row: ScoreRow,
        /// The player's rank now, for each of the row's standings in their order; `None` where it is not known, or for a
        /// period that has ended. Empty means none is known.
        ranks: Vec<Option<u64>>,
    },
    /// Another submission with the same id and another content came first.
    Differs(Pending),
}

/// A submission without an outcome of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// As it was submitted; the player is set.
    pub score: NewScore,
    /// The offset of its record in the log.
    pub offset: i64,
    /// The log's time of it.
    pub time: time::OffsetDateTime,
}

/// Why a score is not submitted. Nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error("the game is archived: it takes no scores")]
    GameArchived,
    /// Who may write where, and for whom.
    #[error("{0}")]
    NotAllowed(&'static str),
    #[error("the player has no seat in a running session, which the leaderboard demands")]
    SeatRequired,
    #[error("the value is not between {min} and {max}")]
    OutOfBounds { min: i64, max: i64 },
    /// A field is not valid in this place: its path within the score, and what is wrong.
    #[error("{path} {problem}")]
    Field { path: &'static str, problem: String },
    #[error("too many scores of this player")]
    Limited { retry_after: Duration },
    /// It may or may not be recorded: the same call again says so.
    #[error("it is not known whether the score was recorded: repeat the call")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log or the game service does not answer.
    #[error("scores cannot be recorded now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An error of one of many scores: which one, and why. Nothing was recorded, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
#[error("score {index}: {error}")]
pub struct BatchError {
    /// From 0.
    pub index: usize,
    /// Why.
    #[source]
    pub error: SubmitError,
}

/// Why a submission is not shown.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error("there is no such submission")]
    NotFound,
    #[error("only its player, game servers and admins see a submission")]
    NotAllowed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

//! The one place where errors of the domain become what callers see.

use std::time::Duration;

use pkg_middleware::{Problem, chain};
use tonic::{Code, Status};

use super::page_token;
use crate::catalog::BoardError;
use crate::reading::ReadError;
use crate::store::StoreError;
use crate::submission::{BatchError, LookError, SubmitError};
use crate::watching::WatchError;

pub fn store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(error)),
        StoreError::Broken(_) => Problem::internal(chain(error)),
    }
}

fn board(error: &BoardError) -> Problem {
    match error {
        BoardError::GameNotFound => Problem::new(Code::NotFound, "GAME_NOT_FOUND", error.to_string()),
        BoardError::BoardNotFound => Problem::new(Code::NotFound, "LEADERBOARD_NOT_FOUND", error.to_string()),
        // To who calls, where the catalogue is kept makes no difference.
        BoardError::Unavailable(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(error)),
        BoardError::Broken(_) => Problem::internal(chain(error)),
    }
}

fn limited(retry_after: Duration) -> Problem {
    Problem::new(Code::ResourceExhausted, "RATE_LIMITED", "too many calls: wait and try again").retry_after(retry_after)
}

fn read(error: &ReadError) -> Problem {
    let problem = |code, reason| Problem::new(code, reason, error.to_string());
    match error {
        ReadError::Board(error) => board(error),
        ReadError::PeriodNotFound => problem(Code::NotFound, "PERIOD_NOT_FOUND"),
        ReadError::OtherPeriod => page_token::invalid(),
        ReadError::NotRanked => problem(Code::NotFound, "NOT_RANKED"),
        ReadError::Store(error) => store(error),
    }
}

/// What is wrong with a score that stands in this field.
fn submit(error: &SubmitError, path: &str) -> Problem {
    let problem = |code, reason| Problem::new(code, reason, error.to_string());
    match error {
        SubmitError::Board(error) => board(error),
        SubmitError::GameArchived => problem(Code::FailedPrecondition, "GAME_ARCHIVED"),
        SubmitError::NotAllowed(_) => problem(Code::PermissionDenied, "SCORE_NOT_ALLOWED"),
        SubmitError::SeatRequired => problem(Code::FailedPrecondition, "SEAT_REQUIRED"),
        SubmitError::OutOfBounds { min, max } => problem(Code::InvalidArgument, "SCORE_OUT_OF_BOUNDS")
            .field(format!("{path}.value"), format!("is {min} to {max}"))
            .metadata("min_value", min.to_string())
            .metadata("max_value", max.to_string()),
        SubmitError::Field { path: field, problem } => Problem::invalid_field(format!("{path}.{field}"), problem),
        SubmitError::Limited { retry_after } => limited(*retry_after),
        // To who calls, where scores are kept makes no difference. The same call again is right in both cases.
        SubmitError::Unknown(_) | SubmitError::Unavailable(_) => {
            Problem::unavailable("STORE_UNAVAILABLE", chain(error))
        }
        SubmitError::Store(error) => store(error),
    }
}

impl From<SubmitError> for Status {
    fn from(error: SubmitError) -> Self {
        submit(&error, "score").into()
    }
}

impl From<BatchError> for Status {
    fn from(BatchError { index, error }: BatchError) -> Self {
        submit(&error, &format!("scores[{index}]")).metadata("index", index.to_string()).into()
    }
}

impl From<LookError> for Status {
    fn from(error: LookError) -> Self {
        match &error {
            LookError::Board(error) => board(error),
            LookError::NotFound => Problem::new(Code::NotFound, "SUBMISSION_NOT_FOUND", error.to_string()),
            LookError::NotAllowed => Problem::new(Code::PermissionDenied, "SCORE_NOT_ALLOWED", error.to_string()),
            LookError::Store(error) => store(error),
        }
        .into()
    }
}

impl From<ReadError> for Status {
    fn from(error: ReadError) -> Self {
        read(&error).into()
    }
}

impl From<WatchError> for Status {
    fn from(error: WatchError) -> Self {
        match &error {
            WatchError::Read(error) => read(error),
            WatchError::TooMany => Problem::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", error.to_string()),
            WatchError::Ended => Problem::unavailable("STORE_UNAVAILABLE", error),
        }
        .into()
    }
}

/// A submission whose id stands for another one.
pub fn submission_differs() -> Problem {
    let what = "the id was used before, for a submission with another content";
    Problem::new(Code::AlreadyExists, "SUBMISSION_DIFFERS", what)
        .field("score.submission_id", "make a new one for each score")
}

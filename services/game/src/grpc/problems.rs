//! The one place where errors of the domain become what callers see.

use pkg_definition::Violation;
use pkg_middleware::{Problem, chain};
use tonic::{Code, Status};

use crate::catalog::CatalogError;
use crate::store::StoreError;

/// How many violations one answer tells: they travel in the trailers, whose size clients limit.
const VIOLATIONS_TOLD: usize = 40;

pub(super) fn store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(error)),
        StoreError::Broken(_) => Problem::internal(chain(error)),
    }
}

/// Everything that is wrong with a request, place by place.
pub(super) fn invalid(violations: Vec<Violation>) -> Problem {
    let problem = Problem::new(Code::InvalidArgument, "INVALID_FIELD", "fields of the request are not valid");
    tell(problem, violations)
}

fn tell(problem: Problem, violations: Vec<Violation>) -> Problem {
    let untold = violations.len().saturating_sub(VIOLATIONS_TOLD);
    let told = violations.into_iter().take(VIOLATIONS_TOLD);
    let problem = told.fold(problem, |problem, violation| problem.field(violation.path, violation.problem));
    if untold == 0 { problem } else { problem.metadata("more_violations", untold.to_string()) }
}

impl From<CatalogError> for Status {
    fn from(error: CatalogError) -> Self {
        let problem = |code, reason| Problem::new(code, reason, error.to_string());
        match &error {
            CatalogError::GameNotFound => problem(Code::NotFound, "GAME_NOT_FOUND"),
            CatalogError::RevisionNotFound => problem(Code::NotFound, "REVISION_NOT_FOUND"),
            CatalogError::KeyTaken => {
                problem(Code::AlreadyExists, "GAME_KEY_TAKEN").field("game.key", "choose another")
            }
            CatalogError::IdTaken => {
                problem(Code::AlreadyExists, "GAME_ID_TAKEN").field("game_id", "make a new one for each game")
            }
            CatalogError::Changed => problem(Code::Aborted, "GAME_CHANGED"),
            CatalogError::Archived => problem(Code::FailedPrecondition, "GAME_ARCHIVED"),
            CatalogError::LeaderboardHasScores(violations) => {
                tell(problem(Code::FailedPrecondition, "LEADERBOARD_HAS_SCORES"), violations.clone())
            }
            CatalogError::ScoresUnknown(_) => Problem::unavailable("SCORES_UNKNOWN", chain(&error)),
            CatalogError::PageForgotten => {
                Problem::invalid_field("page_token", "is too old: begin with the first page")
            }
            CatalogError::Store(error) => store(error),
        }
        .into()
    }
}

//! The one place where errors of the domain become what callers see.

use std::time::Duration;

use pkg_middleware::{Problem, chain};
use tonic::{Code, Status};

use crate::queues::QueueError;
use crate::store::StoreError;
use crate::tickets::{AskError, CreateError, TicketError};

fn store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(error)),
        StoreError::Broken(_) => Problem::internal(chain(error)),
    }
}

fn queue(error: &QueueError) -> Problem {
    match error {
        QueueError::GameNotFound => Problem::new(Code::NotFound, "GAME_NOT_FOUND", error.to_string()),
        QueueError::QueueNotFound => Problem::new(Code::NotFound, "QUEUE_NOT_FOUND", error.to_string()),
        // To who calls, where the catalogue is kept makes no difference.
        QueueError::Unavailable(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(error)),
        QueueError::Broken(_) => Problem::internal(chain(error)),
    }
}

fn limited(retry_after: Duration) -> Problem {
    Problem::new(Code::ResourceExhausted, "RATE_LIMITED", "too many calls: wait and try again").retry_after(retry_after)
}

fn players_not_allowed(error: &dyn std::error::Error) -> Problem {
    Problem::new(Code::PermissionDenied, "PLAYERS_NOT_ALLOWED", error.to_string())
}

impl From<CreateError> for Status {
    fn from(error: CreateError) -> Self {
        let problem = |code, reason| Problem::new(code, reason, error.to_string());
        match &error {
            CreateError::Queue(error) => queue(error),
            CreateError::GameArchived => problem(Code::FailedPrecondition, "GAME_ARCHIVED"),
            CreateError::PlayersNotAllowed => players_not_allowed(&error),
            CreateError::Field { path, problem } => Problem::invalid_field(path, problem),
            CreateError::AlreadyQueued { ticket, player } => problem(Code::FailedPrecondition, "ALREADY_QUEUED")
                .metadata("ticket_id", ticket.to_string())
                .metadata("player_id", player.to_string()),
            CreateError::AlreadyInMatch { session, player } => problem(Code::FailedPrecondition, "ALREADY_IN_MATCH")
                .metadata("session_id", session.to_string())
                .metadata("player_id", player.to_string()),
            CreateError::IdTaken => {
                problem(Code::AlreadyExists, "TICKET_ID_TAKEN").field("ticket_id", "make a new one for each ticket")
            }
            CreateError::Limited { retry_after } => limited(*retry_after),
            CreateError::Store(error) => store(error),
        }
        .into()
    }
}

impl From<TicketError> for Status {
    fn from(error: TicketError) -> Self {
        let problem = |code, reason| Problem::new(code, reason, error.to_string());
        match &error {
            TicketError::NotFound => problem(Code::NotFound, "TICKET_NOT_FOUND"),
            TicketError::Matched => problem(Code::FailedPrecondition, "TICKET_MATCHED"),
            TicketError::Ended => problem(Code::FailedPrecondition, "TICKET_ENDED"),
            TicketError::Limited { retry_after } => limited(*retry_after),
            TicketError::Store(error) => store(error),
        }
        .into()
    }
}

impl From<AskError> for Status {
    fn from(error: AskError) -> Self {
        let problem = |code, reason| Problem::new(code, reason, error.to_string());
        match &error {
            AskError::Queue(error) => queue(error),
            AskError::PlayersNotAllowed => players_not_allowed(&error),
            AskError::PlayerMissing => Problem::invalid_field("player_id", "is missing: a game server says whose"),
            AskError::NotRated => problem(Code::FailedPrecondition, "QUEUE_NOT_RATED"),
            AskError::RatingInUse => problem(Code::FailedPrecondition, "RATING_IN_USE"),
            AskError::Limited { retry_after } => limited(*retry_after),
            AskError::Store(error) => store(error),
        }
        .into()
    }
}

//! The one place where errors of sessions and entities become what callers see.

use pkg_middleware::Problem;
use tonic::{Code, Status};

use super::problems;
use crate::entities::EntityError;
use crate::entity::{EntityRefusal, EntityRefused};
use crate::session::Refused;
use crate::session_message;
use crate::sessions::SessionError;

pub(super) fn session(error: &SessionError) -> Problem {
    let text = || error.to_string();
    match error {
        SessionError::NotFound => not_found(),
        SessionError::GameNotFound => Problem::new(Code::NotFound, "GAME_NOT_FOUND", text()),
        SessionError::GameArchived => Problem::new(Code::FailedPrecondition, "GAME_ARCHIVED", text()),
        SessionError::RevisionNotFound => Problem::new(Code::NotFound, "REVISION_NOT_FOUND", text()),
        SessionError::QueueNotFound => Problem::new(Code::NotFound, "QUEUE_NOT_FOUND", text()),
        SessionError::CreationNotAllowed => Problem::new(Code::PermissionDenied, "CREATION_NOT_ALLOWED", text()),
        SessionError::TooManySessions => Problem::new(Code::ResourceExhausted, "TOO_MANY_SESSIONS", text()),
        SessionError::IdTaken => Problem::new(Code::AlreadyExists, "SESSION_ID_TAKEN", text())
            .field("session_id", "make a new one for each session"),
        SessionError::MatchDiffers => Problem::new(Code::FailedPrecondition, "MATCH_DIFFERS", text()),
        SessionError::CodeNotFound => Problem::new(Code::NotFound, "JOIN_CODE_NOT_FOUND", text()),
        SessionError::Limited { retry_after } => {
            Problem::new(Code::ResourceExhausted, "RATE_LIMITED", "too many tries: wait and try again")
                .retry_after(*retry_after)
        }
        SessionError::Contended => {
            Problem::new(Code::Aborted, "TOO_MANY_CHANGES", "too many changes of one session at once: try again")
        }
        SessionError::InvalidField { field, problem } => Problem::invalid_field(*field, problem),
        SessionError::Refused(refused) => self::refused(refused),
        SessionError::Store(error) => problems::store(error),
    }
}

fn refused(refused: &Refused) -> Problem {
    let new = |code, reason| Problem::new(code, reason, refused.to_string());
    match refused {
        Refused::State { state, attempt } => {
            let state = session_message::state(*state).as_str_name();
            let text = format!("a session in this state does not take {}", attempt.name());
            Problem::new(Code::FailedPrecondition, "SESSION_STATE", text)
                .metadata("state", state)
                .metadata("move", attempt.name())
        }
        Refused::NotInSession => new(Code::PermissionDenied, "NOT_IN_SESSION"),
        Refused::NotOwner => new(Code::PermissionDenied, "NOT_SESSION_OWNER"),
        Refused::Hidden => not_found(),
        Refused::SessionFull => new(Code::ResourceExhausted, "SESSION_FULL"),
        Refused::TeamFull => new(Code::ResourceExhausted, "TEAM_FULL"),
        Refused::NoSuchTeam => new(Code::NotFound, "TEAM_NOT_FOUND"),
        Refused::Kicked => new(Code::PermissionDenied, "KICKED"),
        Refused::OwnerKicked => Problem::invalid_field("player_id", refused.to_string()),
        Refused::NoSuchSeat => new(Code::NotFound, "SEAT_NOT_FOUND"),
        Refused::Changed { attributes_version } => {
            new(Code::Aborted, "SESSION_CHANGED").metadata("attributes_version", attributes_version.to_string())
        }
        Refused::Attributes(error) => Problem::invalid_field("set_attributes", error.to_string()),
        Refused::FinishNotAllowed => new(Code::PermissionDenied, "FINISH_NOT_ALLOWED"),
        Refused::ResultsDiffer => new(Code::FailedPrecondition, "RESULTS_DIFFER"),
        Refused::Result { index, problem } => {
            Problem::invalid_field(format!("results.players[{index}]"), problem.to_string())
        }
        Refused::Backlogged => Problem::unavailable("STORE_UNAVAILABLE", refused),
    }
}

fn entity(error: &EntityError, in_batch: bool) -> Problem {
    match error {
        EntityError::NotFound => entity_not_found(),
        EntityError::TooMany => Problem::new(Code::ResourceExhausted, "TOO_MANY_ENTITIES", error.to_string()),
        EntityError::Limited { retry_after } => {
            Problem::new(Code::ResourceExhausted, "RATE_LIMITED", "too many changes: wait and try again")
                .retry_after(*retry_after)
        }
        EntityError::Refused(EntityRefused { index, refusal }) => {
            let problem = entity_refusal(refusal, in_batch.then_some(*index));
            if in_batch { problem.metadata("index", index.to_string()) } else { problem }
        }
        EntityError::Session(error) => session(error),
    }
}

fn entity_refusal(refusal: &EntityRefusal, index: Option<usize>) -> Problem {
    let new = |code, reason| Problem::new(code, reason, refusal.to_string());
    let field = |name: &str| index.map_or_else(|| name.to_owned(), |index| format!("operations[{index}].{name}"));
    match refusal {
        EntityRefusal::NotFound => entity_not_found(),
        EntityRefusal::NotController | EntityRefusal::ServersOnly => {
            new(Code::PermissionDenied, "NOT_ENTITY_CONTROLLER")
        }
        EntityRefusal::IdTaken => {
            new(Code::AlreadyExists, "ENTITY_ID_TAKEN").field(field("entity_id"), "make a new one for each entity")
        }
        EntityRefusal::Changed { version } => {
            new(Code::Aborted, "ENTITY_CHANGED").metadata("version", version.to_string())
        }
        EntityRefusal::Attributes(error) => Problem::invalid_field(field("set_attributes"), error.to_string()),
    }
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound, "SESSION_NOT_FOUND", "there is no such session")
}

fn entity_not_found() -> Problem {
    Problem::new(Code::NotFound, "ENTITY_NOT_FOUND", "there is no such entity")
}

/// An error of one change among several.
pub(super) fn in_batch(error: &EntityError) -> Status {
    entity(error, true).into()
}

impl From<SessionError> for Status {
    fn from(error: SessionError) -> Self {
        session(&error).into()
    }
}

impl From<EntityError> for Status {
    fn from(error: EntityError) -> Self {
        entity(&error, false).into()
    }
}

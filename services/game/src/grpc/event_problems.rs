//! The one place where errors of events, announcements and presence become what callers see.

use std::time::Duration;

use pkg_bus::PublishError;
use pkg_middleware::{Problem, chain};
use tonic::{Code, Status};

use super::problems::store;
use crate::announcement::AnnouncementError;
use crate::presence::PresenceError;
use crate::publishing::PublicationError;
use crate::subscription::SubscribeError;

/// A publication that was refused for its rate is not worth another try sooner.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

fn unavailable(error: &dyn std::error::Error) -> Problem {
    Problem::unavailable("STORE_UNAVAILABLE", chain(error))
}

fn bus(error: &PublishError) -> Problem {
    match error {
        PublishError::Unavailable(_) => unavailable(error),
        // The callers have dealt with the others.
        PublishError::Broken(_) | PublishError::Ended | PublishError::TooLarge => Problem::internal(chain(error)),
    }
}

impl From<SubscribeError> for Status {
    fn from(error: SubscribeError) -> Self {
        match &error {
            SubscribeError::NotAllowed { topic } => {
                let message = "you may not follow this topic";
                Problem::new(Code::PermissionDenied, "TOPIC_NOT_ALLOWED", message).metadata("topic", topic)
            }
            SubscribeError::NotFound { topic } => {
                Problem::new(Code::NotFound, "TOPIC_NOT_FOUND", "there is no such topic").metadata("topic", topic)
            }
            SubscribeError::TooManyTopics => {
                let reason = format!("a stream follows {} topics at most", pkg_bus::MAX_FOLLOWED);
                Problem::invalid_field("subscriptions", reason)
            }
            SubscribeError::Unavailable(_) => unavailable(&error),
            SubscribeError::Broken(_) => Problem::internal(chain(&error)),
        }
        .into()
    }
}

impl From<PublicationError> for Status {
    fn from(error: PublicationError) -> Self {
        let too_large = |message: String| Problem::new(Code::InvalidArgument, "EVENT_TOO_LARGE", message);
        match error {
            PublicationError::Session(error) => return error.into(),
            PublicationError::TooLarge { place, limit } => too_large("an event is too large".to_owned())
                .field(format!("events[{place}].event"), format!("has {limit} bytes of attributes and data at most"))
                .metadata("limit_bytes", limit.to_string()),
            PublicationError::TogetherTooLarge => too_large("the events are too large together".to_owned())
                .metadata("limit_bytes", pkg_bus::MAX_PUBLICATION_BYTES.to_string()),
            PublicationError::TeamNotFound => {
                Problem::new(Code::NotFound, "TEAM_NOT_FOUND", "the session has no such team")
            }
            PublicationError::Limited { retry_after } => {
                Problem::new(Code::ResourceExhausted, "RATE_LIMITED", "too many events: wait and try again")
                    .retry_after(retry_after.max(SHORTEST_WAIT))
            }
            PublicationError::Ended => Problem::new(Code::FailedPrecondition, "SESSION_STATE", "the session has ended")
                .metadata("move", "Publish"),
            PublicationError::Bus(error) => bus(&error),
        }
        .into()
    }
}

impl From<AnnouncementError> for Status {
    fn from(error: AnnouncementError) -> Self {
        match &error {
            AnnouncementError::GameNotFound => Problem::new(Code::NotFound, "GAME_NOT_FOUND", "there is no such game"),
            AnnouncementError::IdTaken => {
                let message = "another announcement has this id";
                Problem::new(Code::AlreadyExists, "ANNOUNCEMENT_ID_TAKEN", message)
                    .field("announcement_id", "make a new one for each announcement")
            }
            AnnouncementError::Store(error) => store(error),
            AnnouncementError::Publish(error) => bus(error),
        }
        .into()
    }
}

impl From<PresenceError> for Status {
    fn from(error: PresenceError) -> Self {
        match error {
            PresenceError::Store(error) => store(&error).into(),
            PresenceError::Sessions(error) => error.into(),
        }
    }
}

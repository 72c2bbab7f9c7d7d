//! What may go wrong, by what the caller can do about it.

use fred::error::{Error, ErrorKind};

/// The first connection failed. No text in here contains a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one of a Redis server.
    #[error("not a Redis URL")]
    Address(#[source] Error),
    /// The server is not there or does not take us.
    #[error("cannot connect to Redis at {servers}")]
    Refused {
        /// Host and port of each server.
        servers: String,
        /// Why.
        #[source]
        source: Error,
    },
}

/// A command failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedisError {
    /// Redis cannot serve now; a later attempt may succeed. The command may or may not have taken effect.
    #[error("Redis is unavailable")]
    Unavailable(#[source] Error),
    /// Repeating the command will not help: a defect here or damaged data.
    #[error("Redis refused a command")]
    Broken(#[source] Error),
}

impl RedisError {
    /// Whether a later attempt may succeed.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A script that runs for many calls answered to too few of them.
    pub(crate) fn unanswered() -> Self {
        Self::Broken(Error::new(ErrorKind::Parse, "a script did not answer to each call"))
    }

    pub(crate) fn disconnected() -> Self {
        Self::Unavailable(Error::new(ErrorKind::IO, "no connection"))
    }
}

/// The first words of Redis' own errors that mean "not now": starting, failing over, a script that runs too long, out of
/// memory, not able to persist, a replica without its master, a slot that is moving.
const NOT_NOW: [&str; 9] =
    ["LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "OOM", "MISCONF"];
/// What fred itself says, as an unknown error, about a connection that just broke.
const CONNECTION_LOST: [&str; 2] = ["Failed to route command.", "Too many failed write attempts."];

impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        let unavailable = match error.kind() {
            ErrorKind::IO
            | ErrorKind::Tls
            | ErrorKind::Timeout
            | ErrorKind::Canceled
            | ErrorKind::Backpressure
            | ErrorKind::Routing
            | ErrorKind::Cluster
            | ErrorKind::Sentinel => true,
            ErrorKind::Unknown => {
                let first = error.details().split(' ').next().unwrap_or_default();
                NOT_NOW.contains(&first) || CONNECTION_LOST.contains(&error.details())
            }
            _ => false,
        };
        if unavailable { Self::Unavailable(error) } else { Self::Broken(error) }
    }
}

//! A game's definition: what its sessions may use, who meets whom, which leaderboards it has.
//!
//! [`Definition::parse`] makes it of a message: every default is filled in, and nothing past it can be out of bounds. The
//! comments of the protos say what the bounds are. [`Attributes`] are those of games, sessions, entities, tickets and
//! events. [`GameFile`] is a whole game as one TOML file, and [`definition_changes`] is how two definitions differ.

mod attributes;
mod change;
mod file;
mod key;
mod leaderboard;
mod queue;
mod reading;
mod region;
mod session;
#[cfg(test)]
mod testing;
mod time_zone;

use pkg_api::game::v1 as api;
use prost::Message;

pub use attributes::{
    ATTRIBUTE_TEXT_BYTES, ATTRIBUTES_BYTES, ATTRIBUTES_MAX, AttributeFilter, AttributeKey, AttributeText,
    AttributeValue, Attributes, AttributesTooLarge, Finite,
};
pub use change::{definition_changes, game_changes};
pub use file::{FileProblem, GameFile, Position};
pub use key::Key;
pub use leaderboard::{Leaderboard, Operator, Order, Period, SubmissionRate, Writers};
pub use queue::{
    Counted, Format, LatencyRule, PropertyCheck, PropertyRule, Queue, RatingRule, RegionRule, RelaxingLimit,
    SessionTemplate, StartWithFewer, TeamName,
};
pub use reading::Violation;
pub use region::Region;
pub use session::{EventLimits, SessionCreators, SessionRules};
pub use time_zone::TimeZone;

use crate::reading::Reading;

/// How many queues a game has at most.
pub const QUEUES_MAX: usize = 64;
/// How many leaderboards a game has at most.
pub const LEADERBOARDS_MAX: usize = 256;
/// How large an encoded definition is at most: it travels as one message, and so does what changed in it.
pub const DEFINITION_BYTES: usize = 256 * 1024;

/// The rules of a game.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// How its sessions run.
    pub sessions: SessionRules,
    /// Its queues, with keys that differ.
    pub queues: Vec<Queue>,
    /// Its leaderboards, with keys that differ.
    pub leaderboards: Vec<Leaderboard>,
}

impl Definition {
    /// Checks a definition and fills in its defaults. The error says everything that is wrong; places begin at the
    /// definition itself, such as `queues[0].rating_window.distance.ceiling`.
    pub fn parse(message: &api::GameDefinition) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading::new();
        if message.encoded_len() > DEFINITION_BYTES {
            reading.refuse_here(format!("has {DEFINITION_BYTES} bytes at most when encoded"));
        }
        let sessions =
            reading.within("session_rules", |at| SessionRules::read(&message.session_rules.unwrap_or_default(), at));
        let queues = reading.keyed("queues", &message.queues, QUEUES_MAX, |queue, at| {
            (Queue::read(queue, sessions.max_players, at), queue.key.as_str())
        });
        let leaderboards = reading.keyed("leaderboards", &message.leaderboards, LEADERBOARDS_MAX, |board, at| {
            (Leaderboard::read(board, at), board.key.as_str())
        });
        reading.finish(Self { sessions, queues, leaderboards })
    }

    /// The queue with this key.
    #[must_use]
    pub fn queue(&self, key: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.key.as_str() == key)
    }

    /// The leaderboard with this key.
    #[must_use]
    pub fn leaderboard(&self, key: &str) -> Option<&Leaderboard> {
        self.leaderboards.iter().find(|board| board.key.as_str() == key)
    }
}

#[cfg(test)]
mod tests;

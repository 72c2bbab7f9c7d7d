//! What a leaderboard is: places, periods, and what a score changes. Plain values, nothing is read or written.

mod counting;
mod period;
mod place;

use std::fmt;

use pkg_definition::Key;
use uuid::Uuid;

pub use counting::{BoardRules, Refusal, Standing, Standings};
pub use period::{Calendar, KEPT_AFTER_END, PeriodId, PeriodSpan};
pub use place::{Entry, PlaceKey};

/// A leaderboard of a game. Its text, `{game}/{key}`, is its key in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardId {
    /// The game.
    pub game: Uuid,
    /// Its name within the game.
    pub key: Key,
}

impl fmt::Display for BoardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.game, self.key)
    }
}

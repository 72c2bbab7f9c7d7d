//! Opening, changing and finding sessions: the rules of [`crate::session`], applied to the store.
//!
//! A change is loaded, made by plain functions, and committed together with its events if nobody else was first. What has
//! to be known elsewhere of it is written down in the session and done afterwards, here at once or by the sweeper.

mod changing;
mod connections;
mod creating;
mod errands;
mod finding;
mod joining;
mod permission;
mod rates;
mod running;
mod sweeper;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_bus::{Bus, Cursor, Topic};
use pkg_log::Log;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use connections::standing;
pub use connections::{Admission, RENEW_EVERY, Standing};
pub use creating::{Creation, MatchCreation, MatchTeam};
pub use finding::{OpenFilter, Page, SeatQuery, Whereabouts};
pub use permission::Publishing;

use self::errands::Errands;
use self::joining::JoinLimits;
use self::permission::Permissions;
use self::rates::Rates;
use self::turns::Turns;
use crate::rules::Games;
use crate::session::{Refused, Session};
pub use crate::store::Lease;
use crate::store::{EntityStore, Loaded, SessionIndex, SessionStore, StoreError};

/// What sessions work with.
pub struct Parts {
    pub store: Arc<dyn SessionStore>,
    pub index: Arc<dyn SessionIndex>,
    pub entities: Arc<dyn EntityStore>,
    pub games: Arc<dyn Games>,
    pub bus: Arc<dyn Bus>,
    pub log: Arc<dyn Log>,
    pub ambient: Ambient,
}

/// The sessions of all games. Cloning shares them.
#[derive(Clone)]
pub struct Sessions {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) index: Arc<dyn SessionIndex>,
    pub(crate) entities: Arc<dyn EntityStore>,
    pub(crate) games: Arc<dyn Games>,
    pub(crate) ambient: Ambient,
    errands: Arc<Errands>,
    turns: Arc<Turns>,
    permissions: Arc<Permissions>,
    join_limits: Arc<JoinLimits>,
    rates: Arc<Rates>,
}

/// A session as somebody sees it, and where its topic is.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub session: Session,
    /// Everything after it is not in this state, and nothing before it is missing.
    pub cursor: Cursor,
    /// Where the topic was at the beginning.
    pub begin: Option<Cursor>,
}

impl From<Loaded> for View {
    fn from(loaded: Loaded) -> Self {
        Self { session: loaded.session, cursor: loaded.cursor, begin: loaded.begin }
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("there is no such session")]
    NotFound,
    #[error("there is no such game")]
    GameNotFound,
    #[error("the game is archived")]
    GameArchived,
    #[error("the game has no such revision")]
    RevisionNotFound,
    #[error("the game has no such queue")]
    QueueNotFound,
    #[error("only game servers may create sessions of this game")]
    CreationNotAllowed,
    #[error("the game has as many sessions as it may")]
    TooManySessions,
    #[error("another session has this id")]
    IdTaken,
    #[error("the match was dispatched with other seats")]
    MatchDiffers,
    #[error("no session has this join code")]
    CodeNotFound,
    #[error("too many tries")]
    Limited { retry_after: Duration },
    #[error("too many changes of one session at once")]
    Contended,
    #[error("{field} {problem}")]
    InvalidField { field: &'static str, problem: String },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    /// To be made once per process.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            store: parts.store,
            index: parts.index,
            entities: parts.entities,
            games: parts.games,
            errands: Arc::new(Errands::new(parts.bus, parts.log, parts.ambient.clone())),
            ambient: parts.ambient,
            turns: Arc::new(Turns::new()),
            permissions: Arc::new(Permissions::new()),
            join_limits: Arc::new(JoinLimits::new()),
            rates: Arc::new(Rates::new(Instant::now())),
        }
    }

    /// The time as stores keep it, to the millisecond.
    pub(crate) fn now(&self) -> OffsetDateTime {
        pkg_db::from_millis(pkg_db::to_millis(self.ambient.now()))
    }
}

/// Where a session's events are told.
///
/// # Panics
/// Never: ids are visible ASCII.
#[must_use]
pub fn topic(session: Uuid) -> Topic {
    Topic::new(&format!("session/{session}")).expect("an id is a part of a topic")
}

/// Where a player is told what concerns them.
///
/// # Panics
/// Never: ids are visible ASCII.
#[must_use]
pub fn player_topic(player: Uuid) -> Topic {
    Topic::new(&format!("player/{player}")).expect("an id is a part of a topic")
}

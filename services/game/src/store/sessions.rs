//! The ports of sessions: the aggregates themselves, and the indexes that lead to them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pkg_bus::{Cursor, NewEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::session::{JoinCode, Session};

/// How many sessions of one player an index remembers.
pub const SESSIONS_OF_PLAYER: usize = 1_000;

/// A session as it was loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub session: Session,
    /// Rises with every commit, and when somebody connects or goes.
    pub revision: i64,
    /// Where its topic is: everything after it is not in this state, and nothing before it is missing.
    pub cursor: Cursor,
    /// Where its topic was after the first event of the session.
    pub begin: Option<Cursor>,
}

/// A session to be saved, with what happened in it: one step.
#[derive(Debug, Clone)]
pub struct Commit {
    pub session: Session,
    /// The one that was loaded; 0 for a session that is new.
    pub revision: i64,
    pub events: Vec<NewEvent>,
    /// Whether nothing more happens on its topic.
    pub ends_topic: bool,
    /// Whether its entities go.
    pub drops_content: bool,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    Done {
        /// The place on the topic after the first new event, if there is one.
        first: Option<Cursor>,
        /// Where the topic is with the session as it was saved.
        cursor: Cursor,
    },
    /// Somebody else was first: load it again.
    Conflict,
}

/// An open stream on a session's topic, of a player in it or of a game server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub session: Uuid,
    pub user: Uuid,
    pub stream: Uuid,
}

/// Who is connected to a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connected {
    pub users: BTreeSet<Uuid>,
    /// When the first lease runs out.
    pub next_end: Option<OffsetDateTime>,
}

/// Sessions and their events: Redis or memory.
#[async_trait]
pub trait SessionStore: Send + Sync {
    async fn load(&self, id: Uuid) -> Result<Option<Loaded>, StoreError>;

    /// One for each id, in their order.
    async fn load_many(&self, ids: &[Uuid]) -> Result<Vec<Option<Loaded>>, StoreError>;

    /// Saves a session and publishes its events, unless somebody else has saved it since it was loaded. It may be
    /// forgotten after [`Session::keep_until`].
    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError>;

    /// Holds a lease until then. What was loaded before cannot be committed any more. `false` without the session.
    async fn connect(&self, lease: &Lease, until: OffsetDateTime) -> Result<bool, StoreError>;

    /// Lets a lease go. What was loaded before cannot be committed any more.
    async fn disconnect(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Holds leases for longer, and says of each whether it was held; another one stays away.
    async fn renew(&self, leases: &[Lease], until: OffsetDateTime) -> Result<Vec<bool>, StoreError>;

    /// Who is connected. To be asked after the session was loaded: then a commit of that revision knows of all of them.
    async fn connected(&self, session: Uuid, now: OffsetDateTime) -> Result<Connected, StoreError>;
}

/// A place in an index: by the time of creation, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionPlace {
    /// Milliseconds since 1970.
    pub created_ms: i64,
    pub session: Uuid,
}

impl SessionPlace {
    /// Where a session stands.
    pub fn of(session: &Session) -> Self {
        Self { created_ms: pkg_db::to_millis(session.created_at), session: session.id }
    }
}

/// A session that something is due with, claimed by whoever has this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub session: Uuid,
    pub place: SessionPlace,
    pub game: Uuid,
    pub claimed_until: OffsetDateTime,
}

/// What leads to sessions: Redis or memory. Entries are hints, written before what they lead to: who follows one looks at
/// the session.
#[async_trait]
pub trait SessionIndex: Send + Sync {
    /// Counts a session among those of its game that are not over, unless there are `most` already: then `false`.
    async fn reserve(&self, game: Uuid, place: SessionPlace, most: usize) -> Result<bool, StoreError>;

    /// Notes of a session that is counted that it was there, so that it is known as lost if it is not.
    async fn note_saved(&self, game: Uuid, place: SessionPlace) -> Result<(), StoreError>;

    /// Whether that was noted of a session that is counted.
    async fn was_saved(&self, game: Uuid, place: SessionPlace) -> Result<bool, StoreError>;

    /// Counts it no longer.
    async fn release(&self, game: Uuid, place: SessionPlace) -> Result<(), StoreError>;

    /// Lists a session among those that can be joined, or no longer.
    async fn list(&self, game: Uuid, place: SessionPlace, open: bool) -> Result<(), StoreError>;

    /// Those that can be joined: the newest first, after a place.
    async fn open_sessions(
        &self,
        game: Uuid,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError>;

    /// Notes that a player may have a seat. The oldest ones of very many are forgotten.
    async fn note_player(&self, player: Uuid, place: SessionPlace) -> Result<(), StoreError>;

    /// Notes that a player has none.
    async fn forget_player(&self, player: Uuid, place: SessionPlace) -> Result<(), StoreError>;

    /// Where a player may have a seat: the newest first, after a place.
    async fn sessions_of(
        &self,
        player: Uuid,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError>;

    /// Takes a join code, which is the session's until then; `false` if another one has it.
    async fn claim_code(
        &self,
        game: Uuid,
        code: &JoinCode,
        session: Uuid,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Gives a code back.
    async fn release_code(&self, game: Uuid, code: &JoinCode, session: Uuid) -> Result<(), StoreError>;

    async fn session_by_code(&self, game: Uuid, code: &JoinCode) -> Result<Option<Uuid>, StoreError>;

    /// Makes sure that the session is looked at then or before.
    async fn schedule(&self, game: Uuid, place: SessionPlace, at: OffsetDateTime) -> Result<(), StoreError>;

    /// Sessions that something is due with, for the caller alone until a time; unless it says what comes next, others get
    /// them then.
    async fn claim_due(&self, now: OffsetDateTime, until: OffsetDateTime, limit: usize)
    -> Result<Vec<Due>, StoreError>;

    /// Says when a claimed session is to be looked at again; never without a time. Changes nothing if the claim was lost
    /// or the session was scheduled meanwhile.
    async fn reschedule(&self, due: &Due, at: Option<OffsetDateTime>) -> Result<(), StoreError>;
}

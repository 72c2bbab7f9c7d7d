//! The port of entities: they lie beside their session, and change in one step with its topic.

use async_trait::async_trait;
use pkg_bus::{Cursor, NewEvent, Retention};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::entity::Entity;

/// The most bytes of a page of entities, after which no further one is in it.
pub const PAGE_BYTES: usize = 1 << 20;
/// How long it is remembered that a batch was done.
pub const BATCH_MEMORY: std::time::Duration = std::time::Duration::from_mins(10);

/// Entities to be written, with what is told of it: one step.
#[derive(Debug, Clone)]
pub struct EntityCommit {
    pub session: Uuid,
    /// The versions of all that is touched, as they were loaded; 0 for what is not there.
    pub expected: Vec<(Uuid, i64)>,
    pub put: Vec<Entity>,
    pub delete: Vec<Uuid>,
    /// How many there may be afterwards, if there are more than before.
    pub most: usize,
    pub event: NewEvent,
    /// How long events of the session are kept.
    pub kept: Retention,
    /// The batch that this is, and the entities that it answers with.
    pub batch: Option<(Uuid, Vec<Uuid>)>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityCommitted {
    Done,
    /// Something was changed meanwhile, or the batch was done: load again.
    Conflict,
    /// The session is over, or gone.
    SessionOver,
    TooMany,
}

/// Some entities of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityPage {
    /// By their ids.
    pub entities: Vec<Entity>,
    /// Whether others follow.
    pub more: bool,
    /// Where the session's topic is: what happens after it is not in these entities. Nothing if there is no session.
    pub position: Option<Cursor>,
}

/// Entities: Redis or memory.
#[async_trait]
pub trait EntityStore: Send + Sync {
    /// One for each id, in their order.
    async fn entities(&self, session: Uuid, ids: &[Uuid]) -> Result<Vec<Option<Entity>>, StoreError>;

    /// Those after an id, in the order of their ids: `limit` at most, and about [`PAGE_BYTES`].
    async fn entity_page(&self, session: Uuid, after: Option<Uuid>, limit: usize) -> Result<EntityPage, StoreError>;

    /// Writes and publishes, unless something speaks against it.
    async fn commit_entities(&self, commit: &EntityCommit, now: OffsetDateTime) -> Result<EntityCommitted, StoreError>;

    /// The entities that a batch answered with, if it was done in the last [`BATCH_MEMORY`].
    async fn batch(&self, session: Uuid, batch: Uuid, now: OffsetDateTime) -> Result<Option<Vec<Uuid>>, StoreError>;
}

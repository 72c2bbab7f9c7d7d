//! Reading and changing the entities of sessions: the rules of [`crate::entity`], applied to the store.

use std::time::Duration;

use pkg_bus::{Cursor, NewEvent};
use pkg_envelope::Audience;
use pkg_middleware::Actor;
use uuid::Uuid;

use crate::entity::{self, Entity, EntityOutcome, EntityRefused, Operation, Touched};
use crate::session::{Attempt, Refused, Rules};
use crate::session_message;
use crate::sessions::{SessionError, Sessions};
use crate::store::{EntityCommit, EntityCommitted, StoreError};

/// How often a change is tried because somebody else was first.
const ATTEMPTS: usize = 64;
/// How many entities are read in one step while those of a type are looked for…
const STEP: usize = 500;
/// …and how often in one call: a page may be short, and the next one goes on.
const STEPS: usize = 20;

/// The entities of all sessions.
pub struct Entities {
    sessions: Sessions,
}

/// A part of the entities of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityList {
    pub entities: Vec<Entity>,
    /// After which one the next page begins; nothing on the last page.
    pub next: Option<Uuid>,
    /// Where the session's topic was when the first of them were read.
    pub cursor: Option<Cursor>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum EntityError {
    #[error("there is no such entity")]
    NotFound,
    #[error("the session has as many entities as it may")]
    TooMany,
    #[error("too many changes")]
    Limited { retry_after: Duration },
    #[error(transparent)]
    Refused(#[from] EntityRefused),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Entities {
    /// The entities of these sessions.
    #[must_use]
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }

    /// One entity.
    pub async fn get(&self, session: Uuid, id: Uuid, by: Actor) -> Result<Entity, EntityError> {
        self.sessions.admit(by, session).await?;
        let found = self.sessions.entities.entities(session, &[id]).await?;
        found.into_iter().flatten().next().ok_or(EntityError::NotFound)
    }

    /// Entities after an id in the order of their ids, those of a type or all.
    pub async fn list(
        &self,
        session: Uuid,
        kind: Option<&str>,
        after: Option<Uuid>,
        size: usize,
        by: Actor,
    ) -> Result<EntityList, EntityError> {
        self.sessions.admit(by, session).await?;
        let store = &self.sessions.entities;
        let (mut entities, mut next, mut cursor) = (Vec::new(), after, None);
        let step = if kind.is_some() { STEP } else { size };
        for _ in 0..STEPS {
            let page = store.entity_page(session, next, step).await?;
            cursor = cursor.or(page.position);
            for entity in page.entities {
                next = Some(entity.id);
                if kind.is_none_or(|kind| entity.kind == kind) {
                    entities.push(entity);
                    if entities.len() == size {
                        return Ok(EntityList { entities, next, cursor });
                    }
                }
            }
            if !page.more {
                return Ok(EntityList { entities, next: None, cursor });
            }
            if kind.is_none() {
                break;
            }
        }
        Ok(EntityList { entities, next, cursor })
    }

    /// Makes changes in their order: all of them as one event, or none. Answers with the entities that were created and
    /// changed; a batch that was done answers with them as they are now.
    pub async fn change(
        &self,
        session: Uuid,
        operations: &[Operation],
        batch: Option<Uuid>,
        by: Actor,
    ) -> Result<Vec<Entity>, EntityError> {
        let store = &self.sessions.entities;
        let (game, rules) = self.check(session, operations.len(), by).await?;
        let ids: std::collections::BTreeSet<Uuid> = operations.iter().map(Operation::id).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        for _ in 0..ATTEMPTS {
            let now = self.sessions.now();
            if let Some(batch) = batch
                && let Some(done) = store.batch(session, batch, now).await?
            {
                return Ok(store.entities(session, &done).await?.into_iter().flatten().collect());
            }
            let loaded = store.entities(session, &ids).await?;
            let mut touched = Touched::new(ids.iter().copied().zip(loaded));
            let EntityOutcome { changes, answers } = entity::apply(&mut touched, operations, (session, game), by, now)?;
            let answered: Vec<Entity> = answers.iter().filter_map(|id| touched.get(*id).cloned()).collect();
            if changes.is_empty() {
                return Ok(answered);
            }
            let event_id = batch.unwrap_or_else(|| self.sessions.ambient.id());
            let message = session_message::entities_changed(&changes, event_id, by.person());
            let commit = EntityCommit {
                session,
                expected: touched.expected(),
                put: touched.put(),
                delete: touched.delete(),
                most: rules.max_entities,
                kept: rules.events.kept(),
                event: NewEvent { id: None, payload: pkg_envelope::encode(&Audience::Everyone, &message) },
                batch: batch.map(|batch| (batch, answers)),
            };
            match store.commit_entities(&commit, now).await? {
                EntityCommitted::Done => return Ok(answered),
                EntityCommitted::Conflict => {}
                EntityCommitted::SessionOver => return Err(self.over(session).await?),
                EntityCommitted::TooMany => return Err(EntityError::TooMany),
            }
        }
        Err(SessionError::Contended.into())
    }

    /// Whether the caller may change entities at all, and so often. Answers with the game and the session's rules.
    async fn check(&self, session: Uuid, changes: usize, by: Actor) -> Result<(Uuid, Rules), EntityError> {
        let loaded = self.sessions.store.load(session).await?.ok_or(SessionError::NotFound)?.session;
        let standing = crate::sessions::standing(&loaded, by)?;
        if loaded.is_over() {
            let refused = Refused::State { state: loaded.state, attempt: Attempt::ChangeEntities };
            return Err(SessionError::Refused(refused).into());
        }
        let counted = self.sessions.spend(by, session, &standing, &loaded.rules.events, changes);
        counted.map_err(|retry_after| EntityError::Limited { retry_after })?;
        Ok((loaded.game, loaded.rules))
    }

    async fn over(&self, session: Uuid) -> Result<EntityError, StoreError> {
        let Some(loaded) = self.sessions.store.load(session).await? else {
            return Ok(SessionError::NotFound.into());
        };
        let refused = Refused::State { state: loaded.session.state, attempt: Attempt::ChangeEntities };
        Ok(SessionError::Refused(refused).into())
    }
}

impl From<StoreError> for EntityError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

//! Changing entities: one after the other, all or none.

use std::collections::BTreeMap;

use bytes::Bytes;
use pkg_middleware::Actor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Controller, Entity, NewEntity};
use crate::attributes::{AttributeChange, AttributeDifference};

/// One step of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    Create(NewEntity),
    Update(Update),
    Delete {
        id: Uuid,
        /// The version that it rests on; 0 for any.
        version: i64,
    },
}

/// A change of an entity. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    pub id: Uuid,
    /// The version that it rests on; 0 for any.
    pub version: i64,
    pub attributes: AttributeChange,
    pub name: Option<String>,
    pub data: Option<Bytes>,
    pub controller: Option<Controller>,
    pub owner: Option<NewOwner>,
}

/// Whom an entity belongs to from now on: nobody, or a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOwner(pub Option<Uuid>);

/// What was done to an entity, as it is told.
#[derive(Debug, Clone, PartialEq)]
pub enum EntityChange {
    Created(Entity),
    Updated {
        id: Uuid,
        version: i64,
        attributes: AttributeDifference,
        name: Option<String>,
        data: Option<Bytes>,
        controller: Option<Controller>,
        owner: Option<NewOwner>,
    },
    Deleted {
        id: Uuid,
        version: i64,
    },
}

/// The entities that a change touches, as they were loaded and as they become.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    before: BTreeMap<Uuid, Option<Entity>>,
    now: BTreeMap<Uuid, Option<Entity>>,
}

/// What a change comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityOutcome {
    /// What is told of it; nothing if nothing changes.
    pub changes: Vec<EntityChange>,
    /// The entities that were created and changed, in the order of the operations.
    pub answers: Vec<Uuid>,
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntityRefusal {
    #[error("there is no such entity")]
    NotFound,
    #[error("you do not control the entity")]
    NotController,
    #[error("only a game server may say who controls or owns the entity")]
    ServersOnly,
    #[error("another entity has this id")]
    IdTaken,
    #[error("the entity was changed meanwhile")]
    Changed { version: i64 },
    #[error("the attributes would be too many or too large")]
    Attributes(#[from] pkg_definition::AttributesTooLarge),
}

/// The step at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct EntityRefused {
    pub index: usize,
    pub refusal: EntityRefusal,
}

impl Operation {
    /// The entity that it is about.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::Create(new) => new.id,
            Self::Update(update) => update.id,
            Self::Delete { id, .. } => *id,
        }
    }
}

impl Touched {
    /// Entities as they were loaded.
    #[must_use]
    pub fn new(loaded: impl IntoIterator<Item = (Uuid, Option<Entity>)>) -> Self {
        let before: BTreeMap<_, _> = loaded.into_iter().collect();
        Self { now: before.clone(), before }
    }

    /// One as it is by now.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Entity> {
        self.now.get(&id)?.as_ref()
    }

    /// The versions that were loaded; 0 of what was not there.
    #[must_use]
    pub fn expected(&self) -> Vec<(Uuid, i64)> {
        self.before.iter().map(|(id, entity)| (*id, entity.as_ref().map_or(0, |entity| entity.version))).collect()
    }

    /// What is to be written.
    #[must_use]
    pub fn put(&self) -> Vec<Entity> {
        let changed = self.now.iter().filter(|(id, entity)| self.before.get(id) != Some(entity));
        changed.filter_map(|(_, entity)| entity.clone()).collect()
    }

    /// What is to be deleted.
    #[must_use]
    pub fn delete(&self) -> Vec<Uuid> {
        let gone = self.now.iter().filter(|(id, entity)| entity.is_none() && self.before.get(id) != Some(entity));
        gone.map(|(id, _)| *id).collect()
    }
}

/// Makes all steps in their order, or none: the error says which one is at fault.
pub fn apply(
    touched: &mut Touched,
    operations: &[Operation],
    (session, game): (Uuid, Uuid),
    by: Actor,
    now: OffsetDateTime,
) -> Result<EntityOutcome, EntityRefused> {
    let mut outcome = EntityOutcome::default();
    for (index, operation) in operations.iter().enumerate() {
        let step = match operation {
            Operation::Create(new) => create(touched, new, (session, game), by, now),
            Operation::Update(update) => change(touched, update, by, now),
            Operation::Delete { id, version } => delete(touched, *id, *version, by).map(Some),
        };
        let done = step.map_err(|refusal| EntityRefused { index, refusal })?;
        if !matches!(operation, Operation::Delete { .. }) {
            outcome.answers.push(operation.id());
        }
        outcome.changes.extend(done);
    }
    Ok(outcome)
}

fn create(
    touched: &mut Touched,
    new: &NewEntity,
    (session, game): (Uuid, Uuid),
    by: Actor,
    now: OffsetDateTime,
) -> Result<Option<EntityChange>, EntityRefusal> {
    if let Some(existing) = touched.get(new.id) {
        return if existing.request == new.request { Ok(None) } else { Err(EntityRefusal::IdTaken) };
    }
    let own = by.person().map_or(Controller::Server, Controller::Player);
    let controller = new.controller.unwrap_or(own);
    let others = controller != own || new.owner.is_some_and(|owner| Some(owner) != by.person());
    if others && !by.is_server() {
        return Err(EntityRefusal::ServersOnly);
    }
    let entity = Entity {
        id: new.id,
        session,
        game,
        name: new.name.clone(),
        kind: new.kind.clone(),
        controller,
        owner: new.owner,
        attributes: new.attributes.clone(),
        data: new.data.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
        request: new.request.clone(),
    };
    touched.now.insert(new.id, Some(entity.clone()));
    Ok(Some(EntityChange::Created(entity)))
}

fn change(
    touched: &mut Touched,
    update: &Update,
    by: Actor,
    now: OffsetDateTime,
) -> Result<Option<EntityChange>, EntityRefusal> {
    let entity = controlled(touched, update.id, update.version, by)?;
    if (update.controller.is_some() || update.owner.is_some()) && !by.is_server() {
        return Err(EntityRefusal::ServersOnly);
    }
    let (attributes, difference) = update.attributes.apply(&entity.attributes)?;
    let mut changed = Entity { attributes, ..entity.clone() };
    let name = update.name.clone().filter(|name| *name != entity.name);
    let data = update.data.clone().filter(|data| *data != entity.data);
    let controller = update.controller.filter(|controller| *controller != entity.controller);
    let owner = update.owner.filter(|NewOwner(owner)| *owner != entity.owner);
    if difference.is_empty() && name.is_none() && data.is_none() && controller.is_none() && owner.is_none() {
        return Ok(None);
    }
    changed.name = name.clone().unwrap_or(changed.name);
    changed.data = data.clone().unwrap_or(changed.data);
    changed.controller = controller.unwrap_or(changed.controller);
    changed.owner = owner.map_or(changed.owner, |NewOwner(owner)| owner);
    changed.version += 1;
    changed.updated_at = now;
    let (id, version) = (changed.id, changed.version);
    touched.now.insert(id, Some(changed));
    Ok(Some(EntityChange::Updated { id, version, attributes: difference, name, data, controller, owner }))
}

fn delete(touched: &mut Touched, id: Uuid, version: i64, by: Actor) -> Result<EntityChange, EntityRefusal> {
    let version = controlled(touched, id, version, by)?.version;
    touched.now.insert(id, None);
    Ok(EntityChange::Deleted { id, version })
}

/// An entity that the caller may change, if nobody did since.
fn controlled(touched: &Touched, id: Uuid, version: i64, by: Actor) -> Result<&Entity, EntityRefusal> {
    let entity = touched.get(id).ok_or(EntityRefusal::NotFound)?;
    let may = match entity.controller {
        Controller::Server => by.is_server(),
        Controller::Player(player) => by.is_server() || by.person() == Some(player),
    };
    if !may {
        return Err(EntityRefusal::NotController);
    }
    if version != 0 && version != entity.version {
        return Err(EntityRefusal::Changed { version: entity.version });
    }
    Ok(entity)
}

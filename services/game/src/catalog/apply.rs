//! Bringing a game to a state that is given as a whole.

use pkg_api::game::v1::DefinitionChange;
use pkg_definition::{definition_changes, game_changes};
use uuid::Uuid;

use super::{ATTEMPTS, Catalog, CatalogError, Draft, Game, GameState, Rules, Shown};
use crate::store::{CreateError, Revision, Save, StoreError};

/// What is to be done.
pub struct Apply {
    /// The state to bring the game to. Its key says which game.
    pub draft: Draft,
    /// The version that the caller has seen; `None`: any, or none.
    pub expected_version: Option<i64>,
    /// Whether to compare only.
    pub validate_only: bool,
}

/// What was done, or would be.
pub struct Applied {
    /// The game as it is now, or would be. A new one that was not made has no id.
    pub game: Game,
    pub created: bool,
    pub changes: Vec<DefinitionChange>,
}

impl Catalog {
    /// Brings the game with this key to this state; creates it if there is none.
    pub async fn apply(&self, apply: &Apply, author: Uuid) -> Result<Applied, CatalogError> {
        for _ in 0..ATTEMPTS {
            let applied = match self.store.game_by_key(&apply.draft.key).await? {
                Some(old) => self.change(apply, old, author).await?,
                None => self.make(apply, author).await?,
            };
            if let Some(applied) = applied {
                return Ok(applied);
            }
        }
        Err(CatalogError::Changed)
    }

    /// `None` if somebody else made one meanwhile.
    async fn make(&self, apply: &Apply, author: Uuid) -> Result<Option<Applied>, CatalogError> {
        if apply.expected_version.is_some() {
            return Err(CatalogError::Changed);
        }
        let id = if apply.validate_only { Uuid::nil() } else { self.ambient.id() };
        let new = self.new_game(id, apply.draft.clone(), author);
        let mut changes = game_changes(&Shown::default().to_api(), &apply.draft.shown.to_api());
        changes.extend(definition_changes(Rules::default().document(), apply.draft.rules.document()));
        if !apply.validate_only {
            match self.store.create(&new).await {
                Ok(()) => {}
                Err(CreateError::KeyTaken | CreateError::IdTaken) => return Ok(None),
                Err(CreateError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(Some(Applied { game: new.game, created: true, changes }))
    }

    /// `None` if somebody else changed it meanwhile.
    async fn change(&self, apply: &Apply, old: Game, author: Uuid) -> Result<Option<Applied>, CatalogError> {
        if apply.expected_version.is_some_and(|expected| expected != old.version) {
            return Err(CatalogError::Changed);
        }
        if old.state == GameState::Archived {
            return Err(CatalogError::Archived);
        }
        let newest = self.store.revision(old.id, Some(old.definition_revision)).await?;
        let newest = newest.ok_or_else(|| StoreError::broken("a game without its definition"))?;
        let mut changes = game_changes(&old.shown.to_api(), &apply.draft.shown.to_api());
        let of_definition = definition_changes(newest.rules.document(), apply.draft.rules.document());
        let redefined = !of_definition.is_empty();
        changes.extend(of_definition);
        if changes.is_empty() {
            return Ok(Some(Applied { game: old, created: false, changes }));
        }
        if redefined {
            self.check_scores(&newest, &apply.draft.rules).await?;
        }

        let definition_revision = old.definition_revision + i64::from(redefined);
        let new = self.next(Game { shown: apply.draft.shown.clone(), definition_revision, ..old });
        let save = if redefined {
            Save::Definition(Box::new(Revision {
                game: new.id,
                number: definition_revision,
                rules: apply.draft.rules.clone(),
                author,
                created_at: new.updated_at,
            }))
        } else {
            Save::Shown
        };
        let done = apply.validate_only || self.store.save(&new, &save).await?;
        Ok(done.then_some(Applied { game: new, created: false, changes }))
    }
}

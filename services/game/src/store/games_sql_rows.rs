//! Rows of games and definitions, and what they say.

use pkg_api::game::v1 as api;
use pkg_db::from_millis;
use prost::Message;
use sqlx::FromRow;
use uuid::Uuid;

use super::{DefinitionState, Revision, RevisionSummary, StoreError};
use crate::catalog::{Game, GameKey, GameState, Rules, Shown};

/// The columns of a [`GameRow`], with something in the place of `data`.
macro_rules! columns {
    ($data:literal) => {
        concat!(
            "id, key, name, short_description, long_description, image_url, attributes, ",
            $data,
            " AS data, state, definition_revision, version, created_ms, updated_ms"
        )
    };
}
pub(super) use columns;

#[derive(FromRow)]
pub(super) struct GameRow {
    id: Uuid,
    key: String,
    name: String,
    short_description: String,
    long_description: String,
    image_url: Option<String>,
    attributes: Vec<u8>,
    data: Vec<u8>,
    state: String,
    definition_revision: i64,
    version: i64,
    created_ms: i64,
    updated_ms: i64,
}

/// What is shown, as the columns have it.
pub(super) struct ShownColumns {
    pub(super) name: String,
    pub(super) short_description: String,
    pub(super) long_description: String,
    pub(super) image_url: Option<String>,
    pub(super) attributes: Vec<u8>,
    pub(super) data: Vec<u8>,
}

impl From<&Shown> for ShownColumns {
    fn from(shown: &Shown) -> Self {
        let shown = shown.to_api();
        let attributes = api::Game { attributes: shown.attributes, ..api::Game::default() };
        Self {
            name: shown.name,
            short_description: shown.short_description,
            long_description: shown.long_description,
            image_url: Some(shown.image_url).filter(|url| !url.is_empty()),
            attributes: attributes.encode_to_vec(),
            data: shown.data,
        }
    }
}

impl TryFrom<GameRow> for Game {
    type Error = StoreError;

    fn try_from(row: GameRow) -> Result<Self, StoreError> {
        let attributes = api::Game::decode(row.attributes.as_slice()).map_err(StoreError::broken)?.attributes;
        let shown = api::Game {
            name: row.name,
            short_description: row.short_description,
            long_description: row.long_description,
            image_url: row.image_url.unwrap_or_default(),
            attributes,
            data: row.data,
            ..api::Game::default()
        };
        Ok(Self {
            id: row.id,
            key: GameKey::from_store(row.key),
            shown: stored_shown(&shown)?,
            state: stored_state(&row.state)?,
            definition_revision: row.definition_revision,
            version: row.version,
            created_at: from_millis(row.created_ms),
            updated_at: from_millis(row.updated_ms),
        })
    }
}

/// What was parsed before it was stored.
pub(super) fn stored_shown(shown: &api::Game) -> Result<Shown, StoreError> {
    Shown::parse(shown).map_err(|violations| StoreError::broken(format!("a game with {violations:?}")))
}

fn stored_state(text: &str) -> Result<GameState, StoreError> {
    match text {
        "active" => Ok(GameState::Active),
        "archived" => Ok(GameState::Archived),
        other => Err(StoreError::broken(format!("the state {other:?}"))),
    }
}

pub(super) fn state_text(state: GameState) -> &'static str {
    match state {
        GameState::Active => "active",
        GameState::Archived => "archived",
    }
}

#[derive(FromRow)]
pub(super) struct RevisionRow {
    game_id: Uuid,
    revision: i64,
    definition: Vec<u8>,
    author_id: Uuid,
    created_ms: i64,
}

impl TryFrom<RevisionRow> for Revision {
    type Error = StoreError;

    fn try_from(row: RevisionRow) -> Result<Self, StoreError> {
        let document = api::GameDefinition::decode(row.definition.as_slice()).map_err(StoreError::broken)?;
        Ok(Self {
            game: row.game_id,
            number: row.revision,
            rules: Rules::from_store(document),
            author: row.author_id,
            created_at: from_millis(row.created_ms),
        })
    }
}

#[derive(FromRow)]
pub(super) struct SummaryRow {
    game_id: Uuid,
    revision: i64,
    author_id: Uuid,
    created_ms: i64,
}

impl From<SummaryRow> for RevisionSummary {
    fn from(row: SummaryRow) -> Self {
        Self { game: row.game_id, number: row.revision, author: row.author_id, created_at: from_millis(row.created_ms) }
    }
}

#[derive(FromRow)]
pub(super) struct StateRow {
    key: String,
    state: String,
    changed: i64,
    #[sqlx(flatten)]
    revision: RevisionRow,
}

impl TryFrom<StateRow> for DefinitionState {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, StoreError> {
        Ok(Self {
            revision: row.revision.try_into()?,
            key: GameKey::from_store(row.key),
            state: stored_state(&row.state)?,
            changed: row.changed,
        })
    }
}

//! Scores as the log has them.

use std::collections::HashMap;

use pkg_api::game::v1::AttributeValue;
use pkg_api::log::v1::{Record, record};
use pkg_definition::Key;
use uuid::Uuid;

use crate::board::BoardId;

/// A score of the log.
#[derive(Debug, PartialEq)]
pub struct ScoreRecord<'a> {
    /// The id of its record; nil if that is none.
    pub id: Uuid,
    /// On which board.
    pub board: BoardId,
    /// Whose.
    pub player: Uuid,
    /// The client's id.
    pub submission: Uuid,
    /// The value.
    pub value: i64,
    /// The session in which it was reached.
    pub session: Option<Uuid>,
    /// The facts about it.
    pub attributes: &'a HashMap<String, AttributeValue>,
    /// The revision of the definition that it was checked under.
    pub revision: i64,
    /// Of its content.
    pub content_hash: [u8; 32],
}

impl<'a> ScoreRecord<'a> {
    /// `None` if it is of another kind, or malformed.
    #[must_use]
    pub fn parse(record: &'a Record) -> Option<Self> {
        let record::Event::ScoreRecorded(score) = record.event.as_ref()? else { return None };
        let id = |text: &str| Uuid::try_parse(text).ok();
        let session = match score.session_id.as_str() {
            "" => None,
            session => Some(id(session)?),
        };
        Some(Self {
            id: id(&record.record_id).unwrap_or_default(),
            board: BoardId { game: id(&score.game_id)?, key: Key::parse(&score.board_key)? },
            player: id(&score.player_id)?,
            submission: id(&score.submission_id)?,
            value: score.value,
            session,
            attributes: &score.attributes,
            revision: score.definition_revision,
            content_hash: score.content_hash.as_slice().try_into().ok()?,
        })
    }
}

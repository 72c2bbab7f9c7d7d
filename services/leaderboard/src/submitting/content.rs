//! The record of a score, and what tells it from another with the same id.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use pkg_api::log::v1::{Record, ScoreRecorded, record};
use pkg_definition::AttributeValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Checked;
use crate::submission::{Actor, NewScore};

/// SHA-256 of what makes a score another one: its value, its session and its attributes. The board, the player and the id
/// are where it is looked for.
///
/// The value in eight bytes, the highest first; the session after a 1, or a 0; then each attribute, by their keys: how long
/// the key is in one byte, the key, the kind of value in one, and the value: a number in eight bytes, 0 or 1 in one, or how
/// long the text is in two and the text.
pub(super) fn content_hash(score: &NewScore) -> [u8; 32] {
    let mut content = Vec::with_capacity(32);
    content.extend(score.value.to_be_bytes());
    match &score.session {
        Some(session) => {
            content.push(1);
            content.extend(session.as_bytes());
        }
        None => content.push(0),
    }
    for (key, value) in score.attributes.iter() {
        content.push(u8::try_from(key.as_str().len()).unwrap_or(u8::MAX));
        content.extend(key.as_str().as_bytes());
        match value {
            AttributeValue::Text(text) => {
                content.push(0);
                content.extend(u16::try_from(text.as_str().len()).unwrap_or(u16::MAX).to_be_bytes());
                content.extend(text.as_str().as_bytes());
            }
            AttributeValue::Int(number) => {
                content.push(1);
                content.extend(number.to_be_bytes());
            }
            AttributeValue::Float(number) => {
                content.push(2);
                content.extend(number.get().to_be_bytes());
            }
            AttributeValue::Bool(value) => content.extend([3, u8::from(*value)]),
        }
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &content).as_ref());
    hash
}

/// The record of a score.
pub(super) fn record(id: Uuid, checked: &Checked, actor: Actor, now: OffsetDateTime) -> Record {
    let Checked { score, player, board, hash } = checked;
    let event = ScoreRecorded {
        game_id: score.board.game.to_string(),
        board_key: score.board.key.to_string(),
        player_id: player.to_string(),
        submission_id: score.submission.to_string(),
        value: score.value,
        session_id: score.session.map(|session| session.to_string()).unwrap_or_default(),
        attributes: score.attributes.to_api(),
        submitter_id: actor.id().to_string(),
        definition_revision: board.revision,
        content_hash: hash.to_vec(),
    };
    Record {
        record_id: id.to_string(),
        time: Some(timestamp(now)),
        key: score.board.to_string(),
        request_id: String::new(),
        event: Some(record::Event::ScoreRecorded(event)),
    }
}

fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    let since = Duration::try_from(time - OffsetDateTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pkg_definition::{AttributeKey, Attributes, Key};

    use super::*;
    use crate::board::BoardId;

    fn score() -> NewScore {
        NewScore {
            board: BoardId { game: Uuid::from_u128(1), key: Key::parse("a").unwrap() },
            player: None,
            submission: Uuid::from_u128(2),
            value: 7,
            session: None,
            attributes: Attributes::default(),
        }
    }

    fn attributes(given: &[(&str, AttributeValue)]) -> Attributes {
        let given = given.iter().map(|(key, value)| (AttributeKey::parse(key).unwrap(), value.clone()));
        Attributes::new(given.collect::<BTreeMap<_, _>>()).unwrap()
    }

    #[test]
    fn every_part_of_the_content_counts_and_nothing_else() {
        let text = |text| AttributeValue::text(text).unwrap();
        let others = [
            score(),
            NewScore { value: -7, ..score() },
            NewScore { session: Some(Uuid::nil()), ..score() },
            NewScore { attributes: attributes(&[("a", AttributeValue::Int(0))]), ..score() },
            NewScore { attributes: attributes(&[("a", AttributeValue::Bool(false))]), ..score() },
            NewScore { attributes: attributes(&[("a", text(""))]), ..score() },
            NewScore { attributes: attributes(&[("a", text("b")), ("c", text("d"))]), ..score() },
            NewScore { attributes: attributes(&[("a", text("b\u{1}c")), ("d", text(""))]), ..score() },
        ];
        for (place, one) in others.iter().enumerate() {
            for other in &others[..place] {
                assert_ne!(content_hash(one), content_hash(other));
            }
        }
        let same = NewScore { player: Some(Uuid::nil()), submission: Uuid::nil(), ..score() };
        assert_eq!(content_hash(&same), content_hash(&score()));
    }
}

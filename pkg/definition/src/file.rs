//! A whole game as one TOML file.
//!
//! The file has the fields of `muster.game.v1.Game` that a studio writes and those of `muster.game.v1.GameDefinition`,
//! side by side and by their names in the protos. Spans of time are texts (`"30s"`), the values of enumerations have their
//! short names (`"high_wins"`), attributes are plain values, and bytes are base64.

mod convert;

use std::collections::BTreeMap;
use std::fmt;

use pkg_api::game::v1::{Game, GameDefinition};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage};
use toml::de::DeTable;

use convert::Conversion;

/// The fields of a game that are written in a file; the others are the server's.
const GAME_FIELDS: [&str; 7] =
    ["key", "name", "short_description", "long_description", "image_url", "attributes", "data"];

/// A game, read from a file.
#[derive(Debug, Clone)]
pub struct GameFile {
    /// What is shown of it.
    pub game: Game,
    /// Its rules, not yet checked for their bounds.
    pub definition: GameDefinition,
    /// Where each place of the file is.
    positions: BTreeMap<String, Position>,
}

/// A place in a text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Something in a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileProblem {
    /// Where it is.
    pub position: Position,
    /// The key, such as `queues[0].tick`; empty if the text is no TOML there.
    pub place: String,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl GameFile {
    /// Reads a file. The error says everything that is wrong, in the order of the file. Whether the values are within
    /// their bounds is not looked at.
    ///
    /// # Panics
    /// Never: the API has the messages.
    pub fn parse(text: &str) -> Result<Self, Vec<FileProblem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| FileProblem {
                position: Position::of(text, error.span().unwrap_or_default().start),
                place: String::new(),
                problem: error.message().to_owned(),
            };
            return Err(errors.iter().map(problem).collect());
        }
        let message = |name| pkg_api::descriptors().get_message_by_name(name).expect("the API has the message");
        let (game, definition) = (message("muster.game.v1.Game"), message("muster.game.v1.GameDefinition"));
        let shown: Vec<FieldDescriptor> = game.fields().filter(|field| GAME_FIELDS.contains(&field.name())).collect();
        let fields: Vec<FieldDescriptor> = shown.into_iter().chain(definition.fields()).collect();

        let (mut game, mut definition) = (DynamicMessage::new(game), DynamicMessage::new(definition));
        let mut conversion = Conversion::new(text);
        conversion.table(table.get_ref(), &fields, |field, value| {
            let owner = if field.parent_message() == &game.descriptor() { &mut game } else { &mut definition };
            owner.set_field(field, value);
        });
        let positions = conversion.finish()?;
        let fits = "the fields were set by their own descriptors";
        Ok(Self {
            game: game.transcode_to().expect(fits),
            definition: definition.transcode_to().expect(fits),
            positions,
        })
    }

    /// Where a place of an `ApplyGameRequest` (`definition.queues[0].tick`) is in the file; if it is not there, what it
    /// would belong to.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<Position> {
        let (_, mut place) = path.split_once('.')?;
        loop {
            if let Some(position) = self.positions.get(place) {
                return Some(*position);
            }
            // The place around: without its last field or element.
            place = &place[..place.rfind(['.', '['])?];
        }
    }
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests;

//! A game, and what may be said of it.

use std::collections::BTreeSet;

use pkg_api::game::v1 as api;
use pkg_definition::{Attributes, Definition, Violation};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

const KEY_BYTES: usize = 64;
const NAME_CHARS: usize = 100;
const SHORT_DESCRIPTION_CHARS: usize = 200;
const LONG_DESCRIPTION_CHARS: usize = 10_000;
const IMAGE_URL_BYTES: usize = 512;
const DATA_BYTES: usize = 64 * 1024;

/// A game as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Game {
    pub id: Uuid,
    pub key: GameKey,
    pub shown: Shown,
    pub state: GameState,
    /// The newest revision of the definition.
    pub definition_revision: i64,
    /// Rises with every change.
    pub version: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Whether a game is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GameState {
    /// It takes sessions, tickets and scores.
    Active,
    /// It takes nothing new.
    Archived,
}

/// What a client wants a game to be.
#[derive(Debug, Clone)]
pub struct Draft {
    pub key: GameKey,
    pub shown: Shown,
    pub rules: Rules,
}

/// A readable name for files and addresses: 1–64 lower-case letters, digits or "-".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GameKey(Box<str>);

/// What is shown of a game. The default is that of a game which is not there yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    name: String,
    short_description: String,
    long_description: String,
    image_url: Option<ImageUrl>,
    attributes: Attributes,
    data: Vec<u8>,
}

/// An https address of a picture, in its parsed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUrl(String);

/// A definition whose bounds were checked, word for word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules(api::GameDefinition);

/// A part of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShownField {
    Name,
    ShortDescription,
    LongDescription,
    ImageUrl,
    Attributes,
    Data,
}

/// What is to be shown from now on, in these fields only.
#[derive(Debug, Clone)]
pub struct ShownChange {
    fields: BTreeSet<ShownField>,
    values: Shown,
    /// The version that the change was made for; `None`: any.
    pub expected_version: Option<i64>,
}

impl GameKey {
    /// A key that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text.into())
    }

    pub fn parse(text: &str) -> Result<Self, Violation> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=KEY_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(violation("key", format!("has 1 to {KEY_BYTES} lower-case letters, digits or \"-\"")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn violation(field: &str, problem: impl Into<String>) -> Violation {
    Violation { path: field.to_owned(), problem: problem.into() }
}

impl Shown {
    /// What a message says; the error tells everything that is wrong.
    pub fn parse(given: &api::Game) -> Result<Self, Vec<Violation>> {
        let mut violations = Vec::new();
        let mut text = |field: &str, given: &str, most: usize, lines: bool| {
            let stray = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
            if given.chars().count() > most || given.chars().any(stray) {
                let problem = format!("has {most} characters at most, none of them a control character");
                violations.push(violation(field, problem));
            }
            given.to_owned()
        };
        let name = text("name", &given.name, NAME_CHARS, false);
        let short_description = text("short_description", &given.short_description, SHORT_DESCRIPTION_CHARS, false);
        let long_description = text("long_description", &given.long_description, LONG_DESCRIPTION_CHARS, true);
        if name.trim().is_empty() {
            violations.push(violation("name", format!("has 1 to {NAME_CHARS} characters, not only blanks")));
        }
        let image_url = ImageUrl::parse(&given.image_url).unwrap_or_else(|violation| {
            violations.push(violation);
            None
        });
        let attributes = Attributes::parse("attributes", &given.attributes).unwrap_or_else(|found| {
            violations.extend(found);
            Attributes::default()
        });
        if given.data.len() > DATA_BYTES {
            violations.push(violation("data", format!("has {DATA_BYTES} bytes at most")));
        }
        let shown = Self { name, short_description, long_description, image_url, attributes, data: given.data.clone() };
        if violations.is_empty() { Ok(shown) } else { Err(violations) }
    }

    /// As a message carries it; nothing else of the game is set.
    pub fn to_api(&self) -> api::Game {
        api::Game {
            name: self.name.clone(),
            short_description: self.short_description.clone(),
            long_description: self.long_description.clone(),
            image_url: self.image_url.as_ref().map(|url| url.0.clone()).unwrap_or_default(),
            attributes: self.attributes.to_api(),
            data: self.data.clone(),
            ..api::Game::default()
        }
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl ImageUrl {
    /// Empty means none.
    fn parse(text: &str) -> Result<Option<Self>, Violation> {
        if text.is_empty() {
            return Ok(None);
        }
        let anonymous = |url: &Url| url.username().is_empty() && url.password().is_none();
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && anonymous(url));
        // What is kept is the parsed form: nothing in it can break out of the markup that shows it.
        match url.map(String::from) {
            Some(url) if url.len() <= IMAGE_URL_BYTES => Ok(Some(Self(url))),
            _ => {
                Err(violation("image_url", format!("is an https address of {IMAGE_URL_BYTES} bytes at most, or empty")))
            }
        }
    }
}

impl Rules {
    /// Rules that were parsed before they were stored.
    pub(crate) fn from_store(document: api::GameDefinition) -> Self {
        Self(document)
    }

    /// The error tells everything that is wrong; places begin at the definition.
    pub fn parse(document: api::GameDefinition) -> Result<Self, Vec<Violation>> {
        Definition::parse(&document)?;
        Ok(Self(document))
    }

    /// The definition, as it was written.
    pub fn document(&self) -> &api::GameDefinition {
        &self.0
    }
}

impl ShownField {
    pub const ALL: [Self; 6] =
        [Self::Name, Self::ShortDescription, Self::LongDescription, Self::ImageUrl, Self::Attributes, Self::Data];

    /// As a field mask says it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::ShortDescription => "short_description",
            Self::LongDescription => "long_description",
            Self::ImageUrl => "image_url",
            Self::Attributes => "attributes",
            Self::Data => "data",
        }
    }
}

impl ShownChange {
    /// The values of these fields of a message; the others are not looked at.
    pub fn parse(
        fields: BTreeSet<ShownField>,
        given: &api::Game,
        expected_version: Option<i64>,
    ) -> Result<Self, Vec<Violation>> {
        // A name must be there; this one is used nowhere.
        let mut chosen = api::Game { name: "-".to_owned(), ..api::Game::default() };
        for field in &fields {
            match field {
                ShownField::Name => chosen.name.clone_from(&given.name),
                ShownField::ShortDescription => chosen.short_description.clone_from(&given.short_description),
                ShownField::LongDescription => chosen.long_description.clone_from(&given.long_description),
                ShownField::ImageUrl => chosen.image_url.clone_from(&given.image_url),
                ShownField::Attributes => chosen.attributes.clone_from(&given.attributes),
                ShownField::Data => chosen.data.clone_from(&given.data),
            }
        }
        Ok(Self { values: Shown::parse(&chosen)?, fields, expected_version })
    }

    /// What is shown after the change.
    pub fn apply(&self, old: &Shown) -> Shown {
        let (mut shown, new) = (old.clone(), &self.values);
        for field in &self.fields {
            match field {
                ShownField::Name => shown.name.clone_from(&new.name),
                ShownField::ShortDescription => shown.short_description.clone_from(&new.short_description),
                ShownField::LongDescription => shown.long_description.clone_from(&new.long_description),
                ShownField::ImageUrl => shown.image_url.clone_from(&new.image_url),
                ShownField::Attributes => shown.attributes.clone_from(&new.attributes),
                ShownField::Data => shown.data.clone_from(&new.data),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(game: &api::Game) -> Vec<String> {
        Shown::parse(game).err().unwrap_or_default().into_iter().map(|violation| violation.path).collect()
    }

    fn named() -> api::Game {
        api::Game { name: "Duel".to_owned(), ..Default::default() }
    }

    #[test]
    fn keys_are_plain() {
        for good in ["a", "duel-2", &"k".repeat(64)] {
            assert_eq!(GameKey::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "Duel", "a_b", "a.b", "é", &"k".repeat(65)] {
            assert!(GameKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_has_bounds() {
        let good = api::Game {
            name: "é".repeat(100),
            short_description: "é".repeat(200),
            long_description: "é\n".repeat(5_000),
            image_url: "https://example.com/duel.png".to_owned(),
            data: vec![7; DATA_BYTES],
            ..Default::default()
        };
        let shown = Shown::parse(&good).unwrap();
        assert_eq!(shown.to_api(), good);

        let bad = api::Game {
            name: "é".repeat(101),
            short_description: "a\nb".to_owned(),
            long_description: "\0".to_owned(),
            image_url: "http://example.com/duel.png".to_owned(),
            attributes: [(String::new(), api::AttributeValue::default())].into(),
            data: vec![7; DATA_BYTES + 1],
            ..Default::default()
        };
        let expected =
            ["name", "short_description", "long_description", "image_url", "attributes[]", "attributes[]", "data"];
        assert_eq!(refused(&bad), expected);
        for name in ["", "  "] {
            assert_eq!(refused(&api::Game { name: name.to_owned(), ..named() }), ["name"]);
        }
        assert_eq!(refused(&api::Game { short_description: "x".repeat(201), ..named() }), ["short_description"]);
        assert_eq!(refused(&api::Game { long_description: "x".repeat(10_001), ..named() }), ["long_description"]);
        let long = format!("https://example.com/{}", "x".repeat(500));
        assert_eq!(refused(&api::Game { image_url: long, ..named() }), ["image_url"]);
    }

    #[test]
    fn a_change_touches_its_fields_alone() {
        let old = Shown::parse(&api::Game { long_description: "old".to_owned(), ..named() }).unwrap();
        let given = api::Game { short_description: "new".to_owned(), name: String::new(), ..Default::default() };
        let change = ShownChange::parse([ShownField::ShortDescription].into(), &given, None).unwrap();
        let expected = api::Game { short_description: "new".to_owned(), long_description: "old".to_owned(), ..named() };
        assert_eq!(change.apply(&old).to_api(), expected);
    }
}

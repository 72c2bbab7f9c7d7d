//! Attributes: what games, sessions, entities, tickets and events carry for the game's own use.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::attribute_value::Kind;

use crate::reading::{Reading, Violation, echo};

/// How many attributes a map has at most.
pub const ATTRIBUTES_MAX: usize = 64;
/// How large a map is at most, counted by [`Attributes::size`].
pub const ATTRIBUTES_BYTES: usize = 16 * 1024;
/// How many bytes a text has at most.
pub const ATTRIBUTE_TEXT_BYTES: usize = 1_024;
const KEY_BYTES: usize = 64;

/// Attributes by their keys: 64 and 16 KiB at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<AttributeKey, AttributeValue>);

/// The key of an attribute: 1–64 letters, digits, "_", "-" or ".".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeKey(Box<str>);

/// The value of an attribute. Values of different kinds are never equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text of 1,024 bytes at most: [`AttributeValue::text`] makes one.
    Text(AttributeText),
    /// A whole number.
    Int(i64),
    /// Any number but NaN and the infinities.
    Float(Finite),
    /// True or false.
    Bool(bool),
}

/// A text of 1,024 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeText(Box<str>);

/// A number that is neither NaN nor infinite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Finite(f64);

/// A condition on one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFilter {
    /// Which one.
    pub key: AttributeKey,
    /// The value that it must have, of the same kind.
    pub value: AttributeValue,
}

/// More attributes than a map may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributesTooLarge;

impl fmt::Display for AttributesTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has {ATTRIBUTES_MAX} keys and {ATTRIBUTES_BYTES} bytes at most")
    }
}

impl std::error::Error for AttributesTooLarge {}

impl Attributes {
    /// Attributes that were made one by one.
    pub fn new(attributes: BTreeMap<AttributeKey, AttributeValue>) -> Result<Self, AttributesTooLarge> {
        let attributes = Self(attributes);
        let fits = attributes.0.len() <= ATTRIBUTES_MAX && attributes.size() <= ATTRIBUTES_BYTES;
        if fits { Ok(attributes) } else { Err(AttributesTooLarge) }
    }

    /// The attributes of a message, whose field has this name. The error says everything that is wrong.
    pub fn parse(field: &str, given: &HashMap<String, api::AttributeValue>) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading::new();
        let attributes = Self::read(field, given, &mut reading);
        reading.finish(attributes)
    }

    pub(crate) fn read(field: &str, given: &HashMap<String, api::AttributeValue>, at: &mut Reading) -> Self {
        if given.len() > ATTRIBUTES_MAX {
            at.refuse(field, AttributesTooLarge.to_string());
            return Self::default();
        }
        // In the order of their keys, so that the same mistakes are told in the same order.
        let given: BTreeMap<&String, &api::AttributeValue> = given.iter().collect();
        let mut attributes = BTreeMap::new();
        for (key, value) in given {
            at.within(format_args!("{field}[{}]", echo(key)), |at| {
                let (key, value) = (AttributeKey::read(key, at), AttributeValue::read(Some(value), at));
                if let (Some(key), Some(value)) = (key, value) {
                    attributes.insert(key, value);
                }
            });
        }
        Self::new(attributes).unwrap_or_else(|error| {
            at.refuse(field, error.to_string());
            Self::default()
        })
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        self.0.get(key)
    }

    /// All of them, by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeKey, &AttributeValue)> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How large they are: the bytes of keys and texts, 8 for a number, 1 for true or false.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(|(key, value)| key.as_str().len() + value.size()).sum()
    }

    /// The map, to be changed and given to [`Self::new`] again.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<AttributeKey, AttributeValue> {
        self.0
    }

    /// As a message carries them.
    #[must_use]
    pub fn to_api(&self) -> HashMap<String, api::AttributeValue> {
        self.0.iter().map(|(key, value)| (key.as_str().to_owned(), value.to_api())).collect()
    }
}

impl AttributeKey {
    /// `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        ((1..=KEY_BYTES).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    pub(crate) fn read(text: &str, at: &mut Reading) -> Option<Self> {
        let key = Self::parse(text);
        if key.is_none() {
            at.refuse_here(format!("a key has 1 to {KEY_BYTES} letters, digits, \"_\", \"-\" or \".\""));
        }
        key
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AttributeKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AttributeValue {
    /// A text; `None` if it is too long.
    #[must_use]
    pub fn text(text: &str) -> Option<Self> {
        (text.len() <= ATTRIBUTE_TEXT_BYTES).then(|| Self::Text(AttributeText(text.into())))
    }

    /// The value of a message that must have one.
    pub(crate) fn read(given: Option<&api::AttributeValue>, at: &mut Reading) -> Option<Self> {
        let (value, problem) = match given.and_then(|value| value.kind.as_ref()) {
            Some(Kind::StringValue(text)) => (Self::text(text), "a text has 1024 bytes at most"),
            Some(Kind::IntValue(number)) => (Some(Self::Int(*number)), ""),
            Some(Kind::FloatValue(number)) => (Finite::new(*number).map(Self::Float), "is a finite number"),
            Some(Kind::BoolValue(value)) => (Some(Self::Bool(*value)), ""),
            None => (None, "has a value: a text, a number, true or false"),
        };
        if value.is_none() {
            at.refuse_here(problem);
        }
        value
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.as_str().len(),
            Self::Int(_) | Self::Float(_) => 8,
            Self::Bool(_) => 1,
        }
    }

    /// As a message carries it.
    #[must_use]
    pub fn to_api(&self) -> api::AttributeValue {
        let kind = match self {
            Self::Text(text) => Kind::StringValue(text.as_str().to_owned()),
            Self::Int(number) => Kind::IntValue(*number),
            Self::Float(number) => Kind::FloatValue(number.get()),
            Self::Bool(value) => Kind::BoolValue(*value),
        };
        api::AttributeValue { kind: Some(kind) }
    }
}

impl AttributeText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Finite {
    /// One.
    pub const ONE: Self = Self(1.0);

    /// `None` for NaN and the infinities.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

// NaN is the only number that is not equal to itself.
impl Eq for Finite {}

impl AttributeFilter {
    /// The filter of a message. The error says everything that is wrong with it.
    pub fn parse(given: &api::AttributeFilter) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading::new();
        let key = reading.within("key", |at| AttributeKey::read(&given.key, at));
        let value = reading.within("value", |at| AttributeValue::read(given.value.as_ref(), at));
        let filter = key.zip(value).map(|(key, value)| Self { key, value });
        // Without a filter there is a violation.
        reading.finish(filter)?.ok_or_else(Vec::new)
    }

    /// Whether these attributes fulfil it.
    #[must_use]
    pub fn matches(&self, attributes: &Attributes) -> bool {
        attributes.get(self.key.as_str()) == Some(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind) -> api::AttributeValue {
        api::AttributeValue { kind: Some(kind) }
    }

    fn text(length: usize) -> api::AttributeValue {
        value(Kind::StringValue("x".repeat(length)))
    }

    fn parse(given: &[(&str, api::AttributeValue)]) -> Result<Attributes, Vec<String>> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let paths = |violations: Vec<Violation>| violations.into_iter().map(|violation| violation.path).collect();
        Attributes::parse("attributes", &given).map_err(paths)
    }

    #[test]
    fn values_keep_their_kinds() {
        let given = [
            ("level", value(Kind::IntValue(i64::MAX))),
            ("speed", value(Kind::FloatValue(1.5))),
            ("Mode.x_y-z", value(Kind::StringValue("ranked".to_owned()))),
            ("open", value(Kind::BoolValue(false))),
        ];
        let attributes = parse(&given).unwrap();
        let mut back: Vec<_> = attributes.to_api().into_iter().collect();
        back.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut expected: Vec<_> = given.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        expected.sort_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(back, expected);

        let one = AttributeValue::Int(1);
        assert_ne!(AttributeValue::Float(Finite::new(1.0).unwrap()), one);
    }

    #[test]
    fn the_limits_hold_at_both_ends() {
        let long = "k".repeat(64);
        assert!(parse(&[(&long, text(1_024))]).is_ok());
        assert_eq!(parse(&[("", text(1))]).unwrap_err(), ["attributes[]"]);
        let longer = "k".repeat(65);
        assert_eq!(parse(&[(&longer, text(1))]).unwrap_err(), [format!("attributes[{long}…]")]);
        for key in ["a b", "ä", "a/b", "a]"] {
            assert!(parse(&[(key, text(1))]).is_err(), "{key}");
        }
        assert_eq!(parse(&[("a", text(1_025))]).unwrap_err(), ["attributes[a]"]);
        assert_eq!(parse(&[("a", api::AttributeValue::default())]).unwrap_err(), ["attributes[a]"]);
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(parse(&[("a", value(Kind::FloatValue(number)))]).is_err());
        }

        let keys: Vec<String> = (0..65).map(|number| format!("{number:02}")).collect();
        let many: Vec<_> = keys.iter().map(|key| (key.as_str(), value(Kind::BoolValue(true)))).collect();
        assert_eq!(parse(&many[..64]).unwrap().len(), 64);
        assert_eq!(parse(&many).unwrap_err(), ["attributes"]);

        // 16 × (2 + 1022) bytes are 16 KiB.
        let mut full: Vec<_> = keys[..16].iter().map(|key| (key.as_str(), text(1_022))).collect();
        assert_eq!(parse(&full).unwrap().size(), ATTRIBUTES_BYTES);
        full[0].1 = text(1_023);
        assert_eq!(parse(&full).unwrap_err(), ["attributes"]);
    }

    #[test]
    fn a_filter_asks_for_the_same_value_of_the_same_kind() {
        let attributes = parse(&[("level", value(Kind::IntValue(5)))]).unwrap();
        let filter = |kind| {
            AttributeFilter::parse(&api::AttributeFilter { key: "level".to_owned(), value: Some(value(kind)) }).unwrap()
        };
        assert!(filter(Kind::IntValue(5)).matches(&attributes));
        assert!(!filter(Kind::IntValue(6)).matches(&attributes));
        assert!(!filter(Kind::FloatValue(5.0)).matches(&attributes));
        assert!(!filter(Kind::IntValue(5)).matches(&Attributes::default()));
        let empty = AttributeFilter::parse(&api::AttributeFilter::default()).unwrap_err();
        assert_eq!(empty.iter().map(|violation| violation.path.as_str()).collect::<Vec<_>>(), ["key", "value"]);
    }
}

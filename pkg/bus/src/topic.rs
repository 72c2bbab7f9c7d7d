//! The name of a topic.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest name, in bytes.
pub const MAX_TOPIC_BYTES: usize = 200;

/// The name of a topic: `session/0198…`. Cloning shares the text.
///
/// On a Redis Cluster it is the hash tag of its keys: what belongs to a topic can lie beside it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// The text is not the name of a topic: 1–200 visible ASCII characters without braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a topic")]
pub struct InvalidTopic;

impl Topic {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, InvalidTopic> {
        // Braces would end the hash tag.
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
        let valid = !name.is_empty() && name.len() <= MAX_TOPIC_BYTES && name.bytes().all(fits);
        if valid { Ok(Self(name.into())) } else { Err(InvalidTopic) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of topic it is: the name up to the first `/`.
    #[must_use]
    pub fn class(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(class, _)| class)
    }
}

impl TryFrom<&str> for Topic {
    type Error = InvalidTopic;

    fn try_from(name: &str) -> Result<Self, InvalidTopic> {
        Self::new(name)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["announcements", "session/0198-a", "board/g/weekly.kills_1"] {
            assert_eq!(Topic::new(name).unwrap().as_str(), name);
        }
        assert!(Topic::new(&"a".repeat(MAX_TOPIC_BYTES)).is_ok());
        for name in ["", "a b", "a{b", "a}b", "ä", "a\n", &"a".repeat(MAX_TOPIC_BYTES + 1)] {
            assert_eq!(Topic::new(name), Err(InvalidTopic));
        }
    }

    #[test]
    fn the_class_is_what_comes_first() {
        assert_eq!(Topic::new("board/game/key").unwrap().class(), "board");
        assert_eq!(Topic::new("announcements").unwrap().class(), "announcements");
    }
}

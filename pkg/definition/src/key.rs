//! Names of queues and leaderboards within a game.

use std::fmt;

const KEY_BYTES: usize = 64;

/// The name of a queue or a leaderboard within its game: 1–64 lower-case letters, digits, "-" or "_".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        ((1..=KEY_BYTES).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// Stands where a key was refused.
    pub(crate) fn placeholder() -> Self {
        Self("-".into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

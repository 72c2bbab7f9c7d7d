//! A place in a topic.

use std::fmt;
use std::str::FromStr;

/// The longest text that is read, in bytes; what is written is shorter.
pub const MAX_CURSOR_BYTES: usize = 64;

/// A place in a topic: between the event that it came with and the next one. Its text is opaque to clients.
///
/// The epoch is the incarnation of the topic's stream; the offset grows within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(crate) epoch: u64,
    /// Microseconds since 1970 at which the event before it was published, or a little more: offsets are unique. 0 is
    /// the beginning.
    pub(crate) offset: u64,
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.epoch, self.offset)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > MAX_CURSOR_BYTES {
            return Err(InvalidCursor);
        }
        let (epoch, offset) = text.split_once('-').ok_or(InvalidCursor)?;
        Ok(Self { epoch: hexadecimal(epoch)?, offset: hexadecimal(offset)? })
    }
}

pub(crate) fn hexadecimal(text: &str) -> Result<u64, InvalidCursor> {
    // The standard library would take a sign.
    if text.starts_with('+') {
        return Err(InvalidCursor);
    }
    u64::from_str_radix(text, 16).map_err(|_| InvalidCursor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_as_text(epoch: u64, offset: u64) {
            let cursor = Cursor { epoch, offset };
            prop_assert!(cursor.to_string().len() <= MAX_CURSOR_BYTES);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = text.parse::<Cursor>();
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("{}-1", "0".repeat(MAX_CURSOR_BYTES));
        for text in ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-1-1", "g-1", "1-11111111111111111", &long] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}

//! What a password must be (NIST SP 800-63B, 3.1.1.2): long enough, not a common one; no rules of composition.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::account::{Email, Username};

/// The fewest characters.
const MIN_CHARACTERS: usize = 8;
/// The most characters. NIST asks for 64 at least; the limit keeps the work of hashing bounded.
const MAX_CHARACTERS: usize = 128;
/// The most bytes as they arrive, before normalisation.
const MAX_BYTES: usize = 4 * MAX_CHARACTERS;

/// 8,359 of the most common passwords of 8 characters or more, lower-cased and sorted: those of the 20,000 that Django
/// (BSD-3-Clause) ships from Royce Williams' list of leaked ones.
const COMMON: &str = include_str!("password/common.txt");

/// A password as somebody typed it: not empty and not longer than any can be, but not otherwise checked. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordInvalid {
    #[error("a password is needed")]
    Empty,
    #[error("a password has at most {MAX_CHARACTERS} characters")]
    TooLong,
    #[error("a password has at least {MIN_CHARACTERS} characters")]
    TooShort,
    #[error("this password is among the most common ones: choose another, such as a few random words")]
    Common,
    #[error("the password is the username or the e-mail address: choose another")]
    SameAsName,
}

impl Password {
    /// A password to be checked against a stored hash. One character typed on two keyboards is one character (NFKC).
    pub fn parse(text: &str) -> Result<Self, PasswordInvalid> {
        if text.is_empty() {
            return Err(PasswordInvalid::Empty);
        }
        if text.len() > MAX_BYTES || text.chars().count() > MAX_CHARACTERS {
            return Err(PasswordInvalid::TooLong);
        }
        Ok(Self(text.nfkc().collect()))
    }

    /// A password that somebody wants to have.
    pub fn parse_new(text: &str) -> Result<Self, PasswordInvalid> {
        let password = Self::parse(text)?;
        if password.0.chars().count() < MIN_CHARACTERS {
            return Err(PasswordInvalid::TooShort);
        }
        if is_common(&password.0) {
            return Err(PasswordInvalid::Common);
        }
        Ok(password)
    }

    /// Refuses a password that anybody would try who knows the account's names.
    pub fn check_against_names(&self, username: &Username, email: Option<&Email>) -> Result<(), PasswordInvalid> {
        let lowered = self.0.to_lowercase();
        let same = lowered == username.key() || email.is_some_and(|email| lowered == email.key());
        if same { Err(PasswordInvalid::SameAsName) } else { Ok(()) }
    }

    /// The text to hash.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

fn is_common(password: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON.lines().collect());
    SET.contains(password.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_not_bytes() {
        let forty_characters_of_eighty_bytes = "é".repeat(40);
        assert_eq!(forty_characters_of_eighty_bytes.len(), 80);
        assert!(Password::parse_new(&forty_characters_of_eighty_bytes).is_ok());
        assert!(Password::parse_new(&"🦊".repeat(128)).is_ok());
        assert_eq!(Password::parse_new(&"🦊".repeat(129)), Err(PasswordInvalid::TooLong));
        assert_eq!(Password::parse_new(&"é".repeat(7)), Err(PasswordInvalid::TooShort));
        assert_eq!(Password::parse_new(""), Err(PasswordInvalid::Empty));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in ["password", "PassWord", "password1", "12345678", "qwertyuiop", "iloveyou"] {
            assert_eq!(Password::parse_new(common), Err(PasswordInvalid::Common), "{common}");
        }
        assert!(Password::parse_new("correct-horse-9").is_ok());
    }

    #[test]
    fn the_accounts_own_names_are_refused() {
        let username = Username::parse("Trinity_1999").unwrap();
        let email = Email::parse("trinity@example.com").unwrap();
        for text in ["trinity_1999", "TRINITY@example.com"] {
            let password = Password::parse_new(text).unwrap();
            assert_eq!(password.check_against_names(&username, Some(&email)), Err(PasswordInvalid::SameAsName));
        }
    }

    #[test]
    fn composed_and_decomposed_characters_are_the_same_password() {
        assert_eq!(Password::parse("pa\u{e9}").unwrap(), Password::parse("pae\u{301}").unwrap());
    }

    #[test]
    fn a_password_is_never_printed() {
        assert!(!format!("{:?}", Password::parse("correct-horse-9").unwrap()).contains("horse"));
    }
}

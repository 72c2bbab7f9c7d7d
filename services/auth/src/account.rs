//! Accounts: who a player is, and what their names may look like.

use email_address::{EmailAddress, Options};
use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// The shortest username, in characters.
const USERNAME_MIN: usize = 3;
/// The longest username, in characters.
const USERNAME_MAX: usize = 32;
/// The longest e-mail address, in bytes (RFC 5321, 4.5.3.1.3 less the brackets).
const EMAIL_MAX: usize = 254;

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: Uuid,
    pub username: Username,
    pub email: Option<Email>,
    /// Absent for guests.
    pub password_hash: Option<String>,
    pub role: AccountRole,
    /// Rises whenever all sign-ins made so far must end: a device session of a lower epoch is over.
    pub epoch: i64,
    pub ban: Option<Ban>,
    pub created_at: OffsetDateTime,
}

impl Account {
    /// Whether the account has only a device to sign in with.
    pub fn is_guest(&self) -> bool {
        self.password_hash.is_none()
    }

    /// The ban that holds at `now`.
    pub fn active_ban(&self, now: OffsetDateTime) -> Option<&Ban> {
        self.ban.as_ref().filter(|ban| ban.until.is_none_or(|until| until > now))
    }
}

/// The roles that an account may have; game servers have credentials instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRole {
    Player,
    Admin,
}

/// Why and how long a player may not sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    pub reason: String,
    /// Absent: for good.
    pub until: Option<OffsetDateTime>,
}

/// A username: 3–32 letters, digits, `_` or `-`, unique without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a username has {USERNAME_MIN} to {USERNAME_MAX} letters, digits, \"_\" or \"-\"")]
pub struct UsernameInvalid;

impl Username {
    pub fn parse(text: &str) -> Result<Self, UsernameInvalid> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (USERNAME_MIN..=USERNAME_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(UsernameInvalid) }
    }

    /// A name for a guest. Its 50 random bits make a clash unlikely; the store decides.
    pub fn for_guest(random: [u8; 10]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345678";
        let letters = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        Self("guest-".chars().chain(letters).collect())
    }

    /// A name that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is compared for uniqueness.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// An e-mail address, kept as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an e-mail address of at most {EMAIL_MAX} bytes, such as neo@example.com")]
pub struct EmailInvalid;

impl Email {
    pub fn parse(text: &str) -> Result<Self, EmailInvalid> {
        let text = text.trim();
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        if text.len() > EMAIL_MAX
            || text.chars().any(char::is_control)
            || EmailAddress::parse_with_options(text, options).is_err()
        {
            return Err(EmailInvalid);
        }
        Ok(Self(text.to_owned()))
    }

    /// An address that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is compared for uniqueness: one form of each character, without regard to case. What a provider makes of
    /// dots and tags is its own affair.
    pub fn key(&self) -> String {
        email_key(&self.0)
    }
}

fn email_key(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

/// What a player types to say who they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// A [`Username::key`].
    Username(String),
    /// An [`Email::key`].
    Email(String),
}

impl Identifier {
    /// Most texts are identifiers; one that no account has is simply not found. Absent if it is longer than any, or has
    /// control characters, which a database may not even be asked for.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > EMAIL_MAX || text.chars().any(char::is_control) {
            return None;
        }
        Some(if text.contains('@') { Self::Email(email_key(text)) } else { Self::Username(text.to_ascii_lowercase()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_have_three_to_32_plain_characters() {
        for good in ["neo", "Neo_the-1", &"x".repeat(32)] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", &"x".repeat(33), "neo ", "né0", "a@b", "a.b", "a\0b"] {
            assert_eq!(Username::parse(bad), Err(UsernameInvalid), "{bad}");
        }
    }

    #[test]
    fn guests_get_valid_names() {
        let name = Username::for_guest([0, 31, 32, 255, 7, 8, 9, 10, 11, 12]);
        assert_eq!(Username::parse(name.as_str()), Ok(name));
    }

    #[test]
    fn one_address_has_one_key() {
        let key = |text| Email::parse(text).unwrap().key();
        assert_eq!(key("Neo@Example.COM"), key(" neo@example.com "));
        assert_ne!(key("neo@example.com"), key("n.eo@example.com"));
    }

    #[test]
    fn addresses_are_checked() {
        for bad in [
            "",
            "neo",
            "neo@",
            "@example.com",
            "neo@example",
            "Neo <neo@example.com>",
            "a b@example.com",
            "neo@[127.0.0.1]",
        ] {
            assert_eq!(Email::parse(bad), Err(EmailInvalid), "{bad}");
        }
        assert_eq!(Email::parse(&format!("{}@example.com", "x".repeat(250))), Err(EmailInvalid));
    }

    #[test]
    fn an_identifier_is_a_name_or_an_address() {
        assert_eq!(Identifier::parse("NEO"), Some(Identifier::Username("neo".into())));
        assert_eq!(Identifier::parse("Neo@Example.com"), Some(Identifier::Email("neo@example.com".into())));
        assert_eq!(Identifier::parse(""), None);
        assert_eq!(Identifier::parse(&"x".repeat(255)), None);
        assert_eq!(Identifier::parse("a\0b"), None);
    }
}

//! What players show of themselves.

use std::sync::Arc;

use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::account::{Email, Username};
use crate::store::{ProfileChanged, ProfileStore, StoreError};

/// How many players one batch asks for at most.
pub const BATCH_MAX: usize = 100;
const DISPLAY_NAME_MAX: usize = 64;
const AVATAR_URL_MAX: usize = 512;
const LOCALE_MAX: usize = 35;

/// A profile as it is stored. Who may see the e-mail address is decided where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub id: Uuid,
    pub username: Username,
    pub email: Option<Email>,
    /// Absent until the player chose one.
    pub display_name: Option<DisplayName>,
    pub avatar_url: Option<AvatarUrl>,
    pub locale: Option<Locale>,
    /// Rises with every change.
    pub version: i64,
    pub created_at: OffsetDateTime,
}

/// What becomes of a value that may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Edit<T> {
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The new value, if there is to be one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Edit<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

/// What a player changes. A display name that stays is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    pub display_name: Option<DisplayName>,
    pub avatar_url: Edit<AvatarUrl>,
    pub locale: Edit<Locale>,
    /// The version that the change was made for; absent: any.
    pub expected_version: Option<i64>,
}

/// A name to show: 1–64 characters, not only blanks, none of them a control character or one that hides or reorders
/// others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

/// An https address of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvatarUrl(String);

/// A BCP 47 language tag; its form is checked, not its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProfileInvalid {
    #[error("a display name has 1 to {DISPLAY_NAME_MAX} characters, not only blanks, and no control characters")]
    DisplayName,
    #[error("an avatar is an https address of at most {AVATAR_URL_MAX} bytes, or empty")]
    AvatarUrl,
    #[error("a locale is a BCP 47 tag of at most {LOCALE_MAX} bytes such as pt-BR, or empty")]
    Locale,
}

impl DisplayName {
    /// A name that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }

    pub fn parse(text: &str) -> Result<Self, ProfileInvalid> {
        let text = text.trim();
        let fits = (1..=DISPLAY_NAME_MAX).contains(&text.chars().count());
        if fits && !text.chars().any(misleads) { Ok(Self(text.to_owned())) } else { Err(ProfileInvalid::DisplayName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character is invisible, or changes the direction of others, so that a name looks like somebody else's. The
/// joiners U+200C and U+200D are needed to write some languages and emoji.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl AvatarUrl {
    /// An address that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }

    /// Empty means none.
    pub fn parse(text: &str) -> Result<Option<Self>, ProfileInvalid> {
        if text.is_empty() {
            return Ok(None);
        }
        let anonymous = |url: &Url| url.username().is_empty() && url.password().is_none();
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && anonymous(url));
        // What is kept is the parsed form: nothing in it can break out of the markup that shows it.
        match url.map(String::from) {
            Some(url) if url.len() <= AVATAR_URL_MAX => Ok(Some(Self(url))),
            _ => Err(ProfileInvalid::AvatarUrl),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Locale {
    /// A tag that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }

    /// Empty means none.
    pub fn parse(text: &str) -> Result<Option<Self>, ProfileInvalid> {
        if text.is_empty() {
            return Ok(None);
        }
        let subtag =
            |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let language = text.split('-').next().unwrap_or_default();
        let fits = text.len() <= LOCALE_MAX
            && text.split('-').all(subtag)
            && language.len() >= 2
            && language.bytes().all(|byte| byte.is_ascii_alphabetic());
        if fits { Ok(Some(Self(text.to_owned()))) } else { Err(ProfileInvalid::Locale) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a profile could not be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("there is no such player")]
    NotFound,
    #[error("the profile was changed meanwhile")]
    Changed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The profiles of all players.
#[derive(Clone)]
pub struct Profiles {
    store: Arc<dyn ProfileStore>,
}

impl Profiles {
    pub fn new(store: Arc<dyn ProfileStore>) -> Self {
        Self { store }
    }

    pub async fn get(&self, id: Uuid) -> Result<Profile, ProfileError> {
        self.store.profile(id).await?.ok_or(ProfileError::NotFound)
    }

    pub async fn find(&self, username: &Username) -> Result<Profile, ProfileError> {
        self.store.profile_by_username(&username.key()).await?.ok_or(ProfileError::NotFound)
    }

    /// In the order asked for, each once, without those that do not exist.
    pub async fn batch(&self, ids: &[Uuid]) -> Result<Vec<Profile>, ProfileError> {
        let mut found = self.store.profiles(ids).await?;
        let place = |profile: &Profile| ids.iter().position(|id| *id == profile.id);
        found.sort_by_key(place);
        Ok(found)
    }

    pub async fn change(&self, id: Uuid, change: &ProfileChange) -> Result<Profile, ProfileError> {
        match self.store.change_profile(id, change).await? {
            ProfileChanged::Done(profile) => Ok(profile),
            ProfileChanged::Conflict => Err(ProfileError::Changed),
            ProfileChanged::NotFound => Err(ProfileError::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_are_trimmed_and_bounded() {
        assert_eq!(DisplayName::parse(" Neo ").unwrap().as_str(), "Neo");
        assert!(DisplayName::parse(&"é".repeat(64)).is_ok());
        for bad in ["", "  ", "\u{200b}", "oe\u{202e}N", "a\nb", "a\u{0}", &"x".repeat(65)] {
            assert_eq!(DisplayName::parse(bad), Err(ProfileInvalid::DisplayName), "{bad:?}");
        }
    }

    #[test]
    fn avatars_are_https_addresses() {
        assert_eq!(AvatarUrl::parse(""), Ok(None));
        assert!(AvatarUrl::parse("https://cdn.example.com/neo.png").unwrap().is_some());
        let long = format!("https://example.com/{}", "x".repeat(500));
        for bad in [
            "http://example.com/a.png",
            "javascript:alert(1)",
            "https://",
            "neo.png",
            "https://user@example.com/",
            "https://:password@example.com/",
            &long,
        ] {
            assert_eq!(AvatarUrl::parse(bad), Err(ProfileInvalid::AvatarUrl), "{bad}");
        }
    }

    #[test]
    fn locales_look_like_language_tags() {
        assert_eq!(Locale::parse(""), Ok(None));
        for good in ["de", "pt-BR", "zh-Hant-TW", "es-419"] {
            assert!(Locale::parse(good).is_ok(), "{good}");
        }
        for bad in ["x", "de_DE", "de-", "123", "germanlanguage", &"a".repeat(36)] {
            assert_eq!(Locale::parse(bad), Err(ProfileInvalid::Locale), "{bad}");
        }
    }
}

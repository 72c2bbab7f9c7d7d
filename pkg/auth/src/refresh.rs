//! Refresh tokens: opaque to clients, checked for forgery before anything is looked up.
//!
//! A token is `user (16) | session (16) | random (32) | tag (16)` in base64url, the tag being a truncated HMAC-SHA-256
//! over the rest. A forged token is refused without a look-up, and one with a right tag was issued once: if the store
//! does not know it as the current one, it is a second use.
//!
//! The successor of a token is a function of the token and of the secret that made its tag, which also makes the
//! successor's: **a family stays with the secret that it began with**. So a client that repeats a token because the
//! answer was lost gets the same successor, also if another secret was put in front in between.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

const ID_BYTES: usize = 16;
const RANDOM_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Where the tag begins, which covers everything before it.
const TAGGED_BYTES: usize = 2 * ID_BYTES + RANDOM_BYTES;
const TOKEN_BYTES: usize = TAGGED_BYTES + TAG_BYTES;
/// Characters of a token as the client sees it.
const TOKEN_CHARACTERS: usize = (TOKEN_BYTES * 4).div_ceil(3);

/// The shortest secret that is accepted, in bytes: as long as the hash's output.
const MIN_SECRET_BYTES: usize = 32;

/// What the secrets compute is kept apart by these prefixes, none of which begins another.
const TAG_DOMAIN: &[u8] = b"muster refresh token: tag\0";
const SUCCESSOR_DOMAIN: &[u8] = b"muster refresh token: successor\0";

/// The server's secrets for refresh tokens: the first one makes new families, all of them check.
///
/// To rotate: add the new secret at the end everywhere, then move it to the front, and drop the old one when the last
/// family that began with it has reached its absolute expiry. Dropping it at once ends those families, which is right
/// if it has leaked.
#[derive(Clone)]
pub struct RefreshSecrets {
    keys: Vec<hmac::Key>,
}

impl RefreshSecrets {
    /// Takes one or more secrets of at least 32 random bytes.
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, RefreshSecretsError> {
        let mut keys = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.len() < MIN_SECRET_BYTES {
                return Err(RefreshSecretsError::TooShort);
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, secret));
        }
        if keys.is_empty() {
            return Err(RefreshSecretsError::None);
        }
        Ok(Self { keys })
    }

    /// The first token of a family.
    #[must_use]
    pub fn mint(&self, user: Uuid, session: Uuid, random: [u8; RANDOM_BYTES]) -> RefreshToken {
        seal(&self.keys[0], user, session, &random)
    }

    /// Reads what a client sent. Only tokens that were issued with one of the secrets pass.
    pub fn parse(&self, token: &str) -> Result<RefreshToken, RefreshTokenError> {
        if token.len() != TOKEN_CHARACTERS {
            return Err(RefreshTokenError::Malformed);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| RefreshTokenError::Malformed)?;
        let bytes = bytes.try_into().map_err(|_| RefreshTokenError::Malformed)?;
        let token = RefreshToken { bytes };
        if self.key_of(&token).is_none() {
            return Err(RefreshTokenError::Forged);
        }
        Ok(token)
    }

    /// The token that follows `token`: always the same, as long as the secret that made `token` is among the secrets,
    /// whatever their order. For a token of none of them the first one stands in.
    #[must_use]
    pub fn successor(&self, token: &RefreshToken) -> RefreshToken {
        let key = self.key_of(token).unwrap_or(&self.keys[0]);
        let random = authenticate(key, SUCCESSOR_DOMAIN, &token.bytes);
        seal(key, token.user(), token.session(), random.as_ref())
    }

    /// The secret that made the token's tag.
    fn key_of(&self, token: &RefreshToken) -> Option<&hmac::Key> {
        let (tagged, tag) = token.bytes.split_at(TAGGED_BYTES);
        self.keys.iter().find(|key| {
            let expected = authenticate(key, TAG_DOMAIN, tagged);
            verify_slices_are_equal(&expected.as_ref()[..TAG_BYTES], tag).is_ok()
        })
    }
}

impl std::fmt::Debug for RefreshSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshSecrets").field("count", &self.keys.len()).finish_non_exhaustive()
    }
}

fn seal(key: &hmac::Key, user: Uuid, session: Uuid, random: &[u8]) -> RefreshToken {
    let mut bytes = [0; TOKEN_BYTES];
    bytes[..ID_BYTES].copy_from_slice(user.as_bytes());
    bytes[ID_BYTES..2 * ID_BYTES].copy_from_slice(session.as_bytes());
    bytes[2 * ID_BYTES..TAGGED_BYTES].copy_from_slice(random);
    let tag = authenticate(key, TAG_DOMAIN, &bytes[..TAGGED_BYTES]);
    bytes[TAGGED_BYTES..].copy_from_slice(&tag.as_ref()[..TAG_BYTES]);
    RefreshToken { bytes }
}

fn authenticate(key: &hmac::Key, domain: &[u8], message: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(domain);
    context.update(message);
    context.sign()
}

/// A refresh token that was issued by this server.
#[derive(Clone)]
pub struct RefreshToken {
    bytes: [u8; TOKEN_BYTES],
}

impl RefreshToken {
    /// The user that it was issued to.
    #[must_use]
    pub fn user(&self) -> Uuid {
        self.id_at(0)
    }

    /// The session that it continues, which is also its family.
    #[must_use]
    pub fn session(&self) -> Uuid {
        self.id_at(ID_BYTES)
    }

    fn id_at(&self, offset: usize) -> Uuid {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.bytes[offset..offset + ID_BYTES]);
        Uuid::from_bytes(id)
    }

    /// The SHA-256 of the whole token: what a store keeps in its place.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.bytes).as_ref());
        hash
    }

    /// The token as the client gets it.
    #[must_use]
    pub fn reveal(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes)
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (user, session) = (self.user(), self.session());
        f.debug_struct("RefreshToken").field("user", &user).field("session", &session).finish_non_exhaustive()
    }
}

/// Why secrets for refresh tokens cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshSecretsError {
    /// There is none.
    #[error("no secret for refresh tokens is given")]
    None,
    /// One has less than 32 bytes.
    #[error("a secret for refresh tokens has less than {MIN_SECRET_BYTES} bytes")]
    TooShort,
}

/// Why a string is not a refresh token of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshTokenError {
    /// It does not have the form of one.
    #[error("the refresh token is malformed")]
    Malformed,
    /// None of the secrets has issued it.
    #[error("the refresh token was not issued by this server")]
    Forged,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    fn secrets(secrets: &[[u8; 32]]) -> RefreshSecrets {
        RefreshSecrets::new(secrets).unwrap()
    }

    fn token(secrets: &RefreshSecrets) -> RefreshToken {
        secrets.mint(Uuid::from_u128(1), Uuid::from_u128(2), [3; 32])
    }

    #[test]
    fn a_successor_is_always_the_same_and_continues_the_session() {
        let secrets = secrets(&[OLD]);
        let first = token(&secrets);
        let second = secrets.successor(&first);
        let third = secrets.successor(&second);

        assert_eq!(secrets.successor(&first).reveal(), second.reveal());
        assert_eq!((second.user(), second.session()), (first.user(), first.session()));
        assert!(secrets.parse(&second.reveal()).is_ok());
        assert_ne!(first.hash(), second.hash());
        assert_ne!(second.hash(), third.hash());
    }

    #[test]
    fn a_rotation_of_secrets_does_not_change_the_successor() {
        let before = secrets(&[OLD]);
        let prepared = secrets(&[OLD, NEW]);
        let after = secrets(&[NEW, OLD]);
        let first = token(&before);
        let second = before.successor(&first);

        for secrets in [&prepared, &after] {
            let repeated = secrets.parse(&first.reveal()).unwrap();
            assert_eq!(secrets.successor(&repeated).reveal(), second.reveal());
        }
        let third = after.successor(&second);
        assert_eq!(third.reveal(), before.successor(&second).reveal());
    }

    #[test]
    fn a_new_family_begins_with_the_first_secret_and_ends_with_it() {
        let after = secrets(&[NEW, OLD]);
        let only_old = secrets(&[OLD]);
        let fresh = token(&after);
        assert!(after.parse(&fresh.reveal()).is_ok());
        assert_eq!(only_old.parse(&fresh.reveal()).err(), Some(RefreshTokenError::Forged));
        assert_eq!(only_old.parse(&after.successor(&fresh).reveal()).err(), Some(RefreshTokenError::Forged));
    }

    #[test]
    fn different_secrets_derive_different_successors() {
        let first = token(&secrets(&[OLD]));
        assert_ne!(secrets(&[OLD]).successor(&first).hash(), secrets(&[NEW]).successor(&first).hash());
    }

    #[test]
    fn the_random_part_of_a_successor_tells_nothing_about_a_tag() {
        let secrets = secrets(&[OLD]);
        let first = token(&secrets);
        let successor = secrets.successor(&first);
        let tag = authenticate(&secrets.keys[0], TAG_DOMAIN, &first.bytes);
        assert_ne!(&successor.bytes[2 * ID_BYTES..TAGGED_BYTES], tag.as_ref());
    }

    #[test]
    fn what_is_not_the_canonical_text_of_a_token_is_malformed() {
        let secrets = secrets(&[OLD]);
        let text = token(&secrets).reveal();
        assert_eq!(text.len(), TOKEN_CHARACTERS);
        // The last character carries two bits that no byte uses: they must be zero.
        let last = text.chars().last().unwrap();
        let noncanonical = format!("{}{}", &text[..text.len() - 1], char::from(u8::try_from(last).unwrap() + 1));
        for text in ["", "a", &text[1..], &format!("{text}="), &format!("{text} "), &noncanonical] {
            assert_eq!(secrets.parse(text).err(), Some(RefreshTokenError::Malformed), "{text}");
        }
    }

    #[test]
    fn short_secrets_and_none_are_refused() {
        assert_eq!(RefreshSecrets::new::<[u8; 32]>([]).err(), Some(RefreshSecretsError::None));
        assert_eq!(RefreshSecrets::new([vec![0; 32], vec![0; 31]]).err(), Some(RefreshSecretsError::TooShort));
        assert!(RefreshSecrets::new(vec![vec![0; 64]]).is_ok());
    }

    #[test]
    fn a_debug_print_shows_neither_secrets_nor_tokens() {
        let secrets = RefreshSecrets::new([[0xAB; 32]]).unwrap();
        let token = token(&secrets);
        let print = format!("{secrets:?} {token:?}");
        assert!(print.contains(&token.session().to_string()));
        assert!(!print.contains("171") && !print.contains(&token.reveal()) && !print.contains("3, 3"));
    }

    proptest! {
        #[test]
        fn a_token_survives_the_way_through_the_client(user: [u8; 16], session: [u8; 16], random: [u8; 32]) {
            let secrets = secrets(&[OLD]);
            let token = secrets.mint(Uuid::from_bytes(user), Uuid::from_bytes(session), random);
            let parsed = secrets.parse(&token.reveal()).unwrap();
            prop_assert_eq!(parsed.user(), Uuid::from_bytes(user));
            prop_assert_eq!(parsed.session(), Uuid::from_bytes(session));
            prop_assert_eq!(parsed.hash(), token.hash());
        }

        #[test]
        fn a_token_with_any_bit_flipped_is_refused(position in 0..TOKEN_BYTES, bit in 0..8_u8) {
            let secrets = secrets(&[OLD, NEW]);
            let mut token = token(&secrets);
            token.bytes[position] ^= 1 << bit;
            prop_assert_eq!(secrets.parse(&token.reveal()).err(), Some(RefreshTokenError::Forged));
        }

        #[test]
        fn a_token_with_any_character_replaced_is_refused(position in 0..TOKEN_CHARACTERS, character in "[A-Za-z0-9_-]") {
            let secrets = secrets(&[OLD]);
            let mut text = token(&secrets).reveal();
            prop_assume!(text[position..=position] != *character);
            text.replace_range(position..=position, &character);
            prop_assert!(secrets.parse(&text).is_err());
        }

        #[test]
        fn no_string_makes_the_parser_panic(text in ".*") {
            prop_assert!(secrets(&[OLD]).parse(&text).is_err());
        }
    }
}

//! Access tokens: JWTs for the use of RFC 9068, signed with Ed25519 and verified without a round trip.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::key::{JwkSet, KeyError, SigningKey};

/// How far the clocks of issuer and verifier may be apart.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// The longest life of a token, whatever its role. A token that claims more is refused: it would outlive the memory of
/// its revocation.
pub const MAX_LIFETIME: Duration = Duration::from_mins(15);

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// The header's `typ` (RFC 9068), which keeps other JWTs of the same issuer from passing as access tokens.
const TYPE: &str = "at+jwt";
const TYPE_AS_MEDIA_TYPE: &str = "application/at+jwt";

/// Verifies access tokens with the issuer's public keys.
///
/// The algorithm is `EdDSA` whatever a token says, the key is one of the set whatever a token brings along, and every
/// claim that [`Issuer`] writes is required.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    issuer: String,
    audience: String,
}

impl Verifier {
    /// Accepts tokens of `issuer` for `audience` that one of `keys` has signed.
    pub fn new(keys: &JwkSet, issuer: impl Into<String>, audience: impl Into<String>) -> Result<Self, KeyError> {
        let mut by_id = HashMap::new();
        for key in keys.keys() {
            let known = by_id.insert(key.id().to_owned(), key);
            if known.is_some_and(|known| known != key) {
                return Err(KeyError::AmbiguousId);
            }
        }
        if by_id.is_empty() {
            return Err(KeyError::NoKeys);
        }
        let keys = by_id.into_iter().map(|(id, key)| (id, DecodingKey::from_ed_der(key.bytes()))).collect();
        Ok(Self { keys, issuer: issuer.into(), audience: audience.into() })
    }

    /// The claims of a token that is good at `now`, with times in whole seconds.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let payload = self.authenticate(token)?;
        let payload = decode(payload).ok_or(TokenError::Claims)?;
        let payload: Payload<'_> = serde_json::from_slice(&payload).map_err(|_| TokenError::Claims)?;
        if payload.iss != self.issuer || !payload.aud.includes(&self.audience) {
            return Err(TokenError::Claims);
        }
        let not_before = payload.nbf.map(parse_time).transpose()?;
        let claims = Claims::try_from(&payload)?;
        claims.check_times(not_before, now)?;
        Ok(claims)
    }

    /// The payload of a token whose header is as it must be and whose signature is good.
    fn authenticate<'a>(&self, token: &'a str) -> Result<&'a str, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header = decode(header).ok_or(TokenError::Malformed)?;
        let header: ReceivedHeader<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        if !header.is_acceptable() {
            return Err(TokenError::Malformed);
        }
        let key = self.keys.get(header.kid.as_ref()).ok_or(TokenError::UnknownKey)?;
        if !signature_is_good(message, signature, key) {
            return Err(TokenError::Signature);
        }
        Ok(payload)
    }
}

fn signature_is_good(message: impl AsRef<[u8]>, signature: &str, key: &DecodingKey) -> bool {
    jsonwebtoken::crypto::verify(signature, message.as_ref(), key, Algorithm::EdDSA).unwrap_or(false)
}

/// Strict base64url: one text for one content, or a token could be changed without harm to its signature's bytes.
fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

/// Signs access tokens.
#[derive(Debug, Clone)]
pub struct Issuer {
    key: SigningKey,
    /// The header and the dot behind it, which all tokens begin with.
    prefix: String,
    name: String,
    audience: String,
}

impl Issuer {
    /// Signs with `key`, as `issuer`, for `audience`.
    ///
    /// # Panics
    /// Never: a header is plain JSON.
    #[must_use]
    pub fn new(key: SigningKey, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id().to_owned());
        let header = serde_json::to_vec(&header).expect("a header is plain JSON");
        let prefix = BASE64_URL_SAFE_NO_PAD.encode(header) + ".";
        Self { key, prefix, name: issuer.into(), audience: audience.into() }
    }

    /// The signed token, a JWT in compact form. Fractions of seconds are dropped from the times. A life above
    /// [`MAX_LIFETIME`] is signed, but no [`Verifier`] accepts it.
    ///
    /// # Panics
    /// Never: claims are plain JSON.
    #[must_use]
    pub fn issue(&self, claims: &Claims) -> String {
        let payload = Payload {
            iss: self.name.as_str().into(),
            aud: Audience::One(self.audience.as_str().into()),
            sub: claims.subject.to_string().into(),
            sid: claims.session.to_string().into(),
            role: claims.role.as_str().into(),
            jti: claims.token_id.to_string().into(),
            iat: claims.issued_at.unix_timestamp(),
            exp: claims.expires_at.unix_timestamp(),
            nbf: None,
        };
        let payload = serde_json::to_vec(&payload).expect("claims are plain JSON");
        let mut token = self.prefix.clone();
        BASE64_URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

/// What a token says about its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The user, or the server or service that has the token.
    pub subject: Uuid,
    /// The session whose revocation ends the token.
    pub session: Uuid,
    /// What kind of bearer it is.
    pub role: Role,
    /// The token itself.
    pub token_id: Uuid,
    /// When it was issued.
    pub issued_at: OffsetDateTime,
    /// When it ends: at most [`MAX_LIFETIME`] after it was issued.
    pub expires_at: OffsetDateTime,
}

impl Claims {
    fn check_times(&self, not_before: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<(), TokenError> {
        // Differences cannot overflow, whatever the times; sums can.
        let lifetime = self.expires_at - self.issued_at;
        if !lifetime.is_positive() || lifetime > MAX_LIFETIME {
            return Err(TokenError::Claims);
        }
        let begins = not_before.map_or(self.issued_at, |not_before| not_before.max(self.issued_at));
        if begins - now > LEEWAY {
            return Err(TokenError::NotYetValid);
        }
        if now - self.expires_at >= LEEWAY {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

impl TryFrom<&Payload<'_>> for Claims {
    type Error = TokenError;

    fn try_from(payload: &Payload<'_>) -> Result<Self, TokenError> {
        let parse_id = |id: &str| Uuid::try_parse(id).map_err(|_| TokenError::Claims);
        Ok(Self {
            subject: parse_id(&payload.sub)?,
            session: parse_id(&payload.sid)?,
            role: payload.role.parse().map_err(|_| TokenError::Claims)?,
            token_id: parse_id(&payload.jti)?,
            issued_at: parse_time(payload.iat)?,
            expires_at: parse_time(payload.exp)?,
        })
    }
}

fn parse_time(seconds: i64) -> Result<OffsetDateTime, TokenError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError::Claims)
}

/// What kind of bearer a token has, and with it what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A person who plays.
    Player,
    /// A game server of the studio.
    Server,
    /// A person who operates the backend.
    Admin,
    /// Another service of the backend.
    Service,
}

impl Role {
    const ALL: [Self; 4] = [Self::Player, Self::Server, Self::Admin, Self::Service];

    /// The role as tokens spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Server => "server",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// A string that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the roles player, server, admin, service")]
pub struct UnknownRole;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no JWT, too long, or its header is not that of an access token: another type or algorithm, no key id, or
    /// an extension that must be understood.
    #[error("the token is not an access token")]
    Malformed,
    /// It was signed with a key that is not in the set: perhaps a new one.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come, or its issuer's clock is ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim is missing or malformed, it is of another issuer or for another audience, or it lives too long.
    #[error("the token's claims are not acceptable")]
    Claims,
}

/// The header, as far as it is looked at. Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) are not even read.
/// jsonwebtoken's own type would read them, and take `"crit": null` for no `crit`.
#[derive(Deserialize)]
struct ReceivedHeader<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(rename = "crit", default, deserialize_with = "is_present")]
    has_critical_extensions: bool,
}

impl ReceivedHeader<'_> {
    fn is_acceptable(&self) -> bool {
        let is_access_token = [TYPE, TYPE_AS_MEDIA_TYPE].iter().any(|typ| self.typ.eq_ignore_ascii_case(typ));
        is_access_token && self.alg == "EdDSA" && !self.has_critical_extensions
    }
}

fn is_present<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(member).map(|_| true)
}

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Audience<'a>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    sid: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience<'a> {
    #[serde(borrow)]
    One(Cow<'a, str>),
    #[serde(borrow)]
    Several(Vec<Cow<'a, str>>),
}

impl Audience<'_> {
    fn includes(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;

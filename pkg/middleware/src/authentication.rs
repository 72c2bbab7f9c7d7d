//! Who calls: from the bearer token to the [`Caller`], or the reason why not.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use pkg_ambient::Ambient;
use pkg_auth::{MAX_TOKEN_BYTES, Role, TokenError, Verifier};
use quick_cache::sync::Cache;
use tonic::Code;

use crate::access::Access;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::revocation::RevocationWatch;
use crate::streams::revoked;

/// How many verified tokens are remembered: checking a signature again costs as much as a whole call.
const CACHED_TOKENS: usize = 16_384;

const SCHEME: &str = "bearer";

/// Checks tokens. What it remembers of a token is only that its signature and claims were good; whether it has expired
/// or was revoked is asked every time.
pub(crate) struct Authenticator {
    verifier: Arc<Verifier>,
    revocations: RevocationWatch,
    ambient: Ambient,
    verified: Cache<Box<str>, Caller>,
}

impl Authenticator {
    pub(crate) fn new(verifier: Arc<Verifier>, revocations: RevocationWatch, ambient: Ambient) -> Self {
        Self { verifier, revocations, ambient, verified: Cache::new(CACHED_TOKENS) }
    }

    /// The caller of a method with this access: nobody if it is public, whatever token is sent along.
    pub(crate) fn admit(&self, headers: &HeaderMap, access: Access) -> Result<Option<Caller>, Problem> {
        let Access::Roles(roles) = access else { return Ok(None) };
        let caller = self.caller(bearer_token(headers)?)?;
        if !roles.contains(&caller.role) {
            return Err(role_not_allowed(caller.role));
        }
        Ok(Some(caller))
    }

    /// Whether the caller's session was ended since.
    pub(crate) fn is_revoked(&self, caller: &Caller) -> bool {
        self.revocations.is_revoked(caller.session_id)
    }

    /// How long the caller's token is still good; zero if it is not.
    pub(crate) fn time_left(&self, caller: &Caller) -> std::time::Duration {
        (caller.expires_at - self.ambient.now()).try_into().unwrap_or_default()
    }

    fn caller(&self, token: &str) -> Result<Caller, Problem> {
        let now = self.ambient.now();
        let caller = match self.verified.get(token) {
            Some(caller) => caller,
            None => self.verify(token, now)?,
        };
        if caller.expires_at <= now {
            return Err(expired());
        }
        if self.is_revoked(&caller) {
            return Err(revoked());
        }
        if !self.revocations.has_read() {
            return Err(Problem::unavailable("REVOCATIONS_UNKNOWN", "revocations were not read since the start"));
        }
        Ok(caller)
    }

    fn verify(&self, token: &str, now: time::OffsetDateTime) -> Result<Caller, Problem> {
        let claims = self.verifier.verify(token, now).map_err(|error| match error {
            TokenError::Expired => expired(),
            TokenError::Malformed
            | TokenError::UnknownKey
            | TokenError::Signature
            | TokenError::NotYetValid
            | TokenError::Claims => invalid(),
        })?;
        let caller = Caller {
            user_id: claims.subject,
            session_id: claims.session,
            role: claims.role,
            expires_at: claims.expires_at,
        };
        self.verified.insert(token.into(), caller);
        Ok(caller)
    }
}

/// The one token in the headers. Two are none: who is to say which of them a proxy looked at?
fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(missing()),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(invalid()),
    };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case(SCHEME) || token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(invalid());
    }
    Ok(token)
}

/// The problem of a token that has expired, at the start of a call or in the middle of a stream.
pub(crate) fn expired() -> Problem {
    Problem::new(Code::Unauthenticated, "TOKEN_EXPIRED", "the access token has expired")
}

fn missing() -> Problem {
    Problem::new(Code::Unauthenticated, "TOKEN_MISSING", "this method needs an access token")
}

fn invalid() -> Problem {
    Problem::new(Code::Unauthenticated, "TOKEN_INVALID", "the access token is not valid")
}

fn role_not_allowed(role: Role) -> Problem {
    Problem::new(Code::PermissionDenied, "ROLE_NOT_ALLOWED", "callers with this role may not do this")
        .metadata("role", role.to_string())
}

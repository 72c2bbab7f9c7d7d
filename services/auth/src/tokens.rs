//! The tokens that a sign-in is answered with.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, RefreshSecrets, Role};
use uuid::Uuid;

/// How long tokens live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token: 15 min at most.
    pub access: Duration,
    /// Of a device session, however often it is refreshed.
    pub session: Duration,
}

/// A signed access token.
#[derive(Debug, Clone)]
pub struct AccessToken {
    pub text: String,
    pub lifetime: Duration,
}

/// What a client gets at sign-in and at each refresh.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: AccessToken,
    pub refresh: String,
    pub refresh_lifetime: Duration,
    pub session: Uuid,
}

/// Makes tokens and secrets.
pub struct TokenMint {
    pub(crate) issuer: Issuer,
    pub(crate) refresh: RefreshSecrets,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) ambient: Ambient,
}

impl TokenMint {
    /// Signs an access token that lives from now on.
    pub fn access_token(&self, subject: Uuid, session: Uuid, role: Role, lifetime: Duration) -> AccessToken {
        let now = self.ambient.now();
        let claims =
            Claims { subject, session, role, token_id: self.ambient.id(), issued_at: now, expires_at: now + lifetime };
        AccessToken { text: self.issuer.issue(&claims), lifetime }
    }

    /// A secret of 256 random bits, as text.
    pub fn new_secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.ambient.random::<32>())
    }
}

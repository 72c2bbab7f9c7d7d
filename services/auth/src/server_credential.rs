//! The credentials of game servers, and the short-lived tokens they are exchanged for.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_auth::Role;
use pkg_middleware::RevocationWatch;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit::{Actor, Fact, Occasion, Refusal, SignInBuffer, SignInMethod};
use crate::limits::{Limited, SignInLimits};
use crate::secret::SecretHash;
use crate::sessions::{Origin, RevocationFailed};
use crate::store::{ServerCredentialStore, StoreError};
use crate::tokens::{AccessToken, TokenMint};

/// How many there are at most.
const CREDENTIALS_MAX: usize = 1_000;
const NAME_MAX: usize = 64;

/// A game server's credential, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCredential {
    pub id: Uuid,
    pub name: ServerName,
    pub created_at: OffsetDateTime,
}

/// A name to tell servers apart: 1–64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a name has 1 to {NAME_MAX} characters and no control characters")]
pub struct ServerNameInvalid;

impl ServerName {
    /// A name that was parsed before it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }

    pub fn parse(text: &str) -> Result<Self, ServerNameInvalid> {
        let text = text.trim();
        let fits = (1..=NAME_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(ServerNameInvalid) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a credential could not be made, used or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ServerCredentialError {
    #[error("there are {CREDENTIALS_MAX} server credentials: delete some")]
    TooMany,
    #[error("there is no such server credential")]
    NotFound,
    #[error("the credential id or the secret is wrong")]
    Wrong,
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Revocation(#[from] RevocationFailed),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The credentials of all game servers.
#[derive(Clone)]
pub struct ServerCredentials {
    pub(crate) store: Arc<dyn ServerCredentialStore>,
    pub(crate) mint: Arc<TokenMint>,
    pub(crate) revocations: RevocationWatch,
    pub(crate) limits: Arc<SignInLimits>,
    pub(crate) audit: SignInBuffer,
    pub(crate) ambient: Ambient,
}

impl ServerCredentials {
    /// Creates one. The secret is returned this once: only its hash is kept.
    pub async fn create(
        &self,
        actor: &Actor,
        name: ServerName,
    ) -> Result<(ServerCredential, String), ServerCredentialError> {
        let credential = ServerCredential { id: self.ambient.id(), name, created_at: self.ambient.now() };
        let secret = self.mint.new_secret();
        let hash = SecretHash::of(&secret);
        let occasion = Occasion::now(&self.ambient, &actor.request);
        let added = self.store.add_credential(&credential, &hash, CREDENTIALS_MAX, actor.user, &occasion);
        if added.await? { Ok((credential, secret)) } else { Err(ServerCredentialError::TooMany) }
    }

    /// A page of them, the oldest first, and whether there are more.
    pub async fn list(
        &self,
        after: Option<Uuid>,
        size: usize,
    ) -> Result<(Vec<ServerCredential>, bool), ServerCredentialError> {
        let mut page = self.store.credentials(after, size + 1).await?;
        let more = page.len() > size;
        page.truncate(size);
        Ok((page, more))
    }

    /// Deletes one and revokes its tokens.
    pub async fn delete(&self, actor: &Actor, id: Uuid) -> Result<(), ServerCredentialError> {
        // Looked up first, or a mistaken id might be somebody's device session. Revoked before it is deleted: if this is
        // cut off in between, the repeated call finds the rest of its work.
        self.store.credential_secret(id).await?.ok_or(ServerCredentialError::NotFound)?;
        self.revocations.revoke(&[id]).await.map_err(RevocationFailed)?;
        let occasion = Occasion::now(&self.ambient, &actor.request);
        let deleted = self.store.delete_credential(id, actor.user, &occasion).await?;
        if deleted { Ok(()) } else { Err(ServerCredentialError::NotFound) }
    }

    /// Exchanges a credential for an access token of role server. Its session is the credential itself.
    pub async fn issue_token(
        &self,
        id: Uuid,
        secret: &str,
        origin: &Origin,
    ) -> Result<AccessToken, ServerCredentialError> {
        let refused = |who, refusal| {
            let method = SignInMethod::ServerCredential;
            self.audit.note(Fact::SignInRefused { who, method, refusal }, &origin.request);
        };
        self.limits.check_address(origin.address).inspect_err(|limited| {
            if limited.to_be_recorded {
                refused(None, Refusal::RateLimited);
            }
        })?;
        let Some(stored) = self.store.credential_secret(id).await? else {
            refused(None, Refusal::UnknownUser);
            return Err(ServerCredentialError::Wrong);
        };
        if !stored.matches(&SecretHash::of(secret)) {
            refused(Some(id), Refusal::WrongCredential);
            return Err(ServerCredentialError::Wrong);
        }
        self.audit.note(Fact::ServerSignedIn { credential: id }, &origin.request);
        Ok(self.mint.access_token(id, id, Role::Server, self.mint.lifetimes.access))
    }
}

//! Opening, refreshing and ending device sessions: the rules of [`crate::device_session`], applied to the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_auth::{RefreshTokenError, Role};
use pkg_middleware::RevocationWatch;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::account::{Account, AccountRole, Ban};
use crate::audit::{Fact, RequestId, SignInBuffer, SignInMethod};
use crate::device_session::{Device, DeviceSession, DeviceSessions, EndReason, Ended, Presented, Refresh, StaleEpoch};
use crate::limits::{Limited, SignInLimits};
use crate::secret::SecretHash;
use crate::store::{AccountStore, DeviceSessionStore, Loaded, StoreError};
use crate::tokens::{TokenMint, Tokens};

/// How often a change is tried again because somebody else changed the same user's sessions. Each round one of them
/// succeeds, so this is how many may change one user's sessions at once.
const CHANGE_ATTEMPTS: usize = 128;

/// How long the fence against late sign-ins stands after the last session ended. A sign-in takes seconds.
const FENCE: Duration = Duration::from_hours(1);

/// The device sessions of all users.
#[derive(Clone)]
pub struct Sessions {
    pub(crate) store: Arc<dyn DeviceSessionStore>,
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) revocations: RevocationWatch,
    pub(crate) mint: Arc<TokenMint>,
    pub(crate) limits: Arc<SignInLimits>,
    pub(crate) audit: SignInBuffer,
    pub(crate) ambient: Ambient,
}

/// Who signs in, from where, on what, by which request.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub device: Device,
    pub address: Option<IpAddr>,
    pub request: RequestId,
}

/// The caller of an owner's RPC: whose account, by which session, from where, by which request.
#[derive(Debug, Clone)]
pub struct Owner {
    pub user: Uuid,
    pub session: Uuid,
    pub address: Option<IpAddr>,
    pub request: RequestId,
}

/// Why device sessions could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the account was changed meanwhile")]
    AccountChanged,
    #[error("the user has no such session")]
    NotFound,
    #[error("too many changes of one user's sessions at once")]
    Contended,
    #[error(transparent)]
    Revocation(#[from] RevocationFailed),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tokens could not be revoked on all replicas.
#[derive(Debug, thiserror::Error)]
#[error("the revocation could not be made known")]
pub struct RevocationFailed(#[source] pub pkg_auth::RevocationsUnavailable);

/// Why a refresh token was refused.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("the refresh token is not valid: sign in again")]
    Invalid,
    #[error("the device session has run out: sign in again")]
    Expired,
    #[error("the refresh token was used before: the session is over, sign in again")]
    Reused,
    #[error("the account is banned")]
    Banned(Ban),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<RefreshTokenError> for RefreshError {
    fn from(_: RefreshTokenError) -> Self {
        Self::Invalid
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

/// What a change of a user's sessions came to.
enum Change<T> {
    /// Nothing to save.
    Unchanged(T),
    /// To be saved; these sessions are to be over by it.
    Save(T, Vec<Ended>),
}

/// Does work that must not be left half done because the caller went away or its deadline passed.
pub async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Sessions {
    /// A user's sessions, to be changed.
    pub async fn load(&self, user: Uuid) -> Result<Loaded, StoreError> {
        self.store.load(user).await
    }

    /// Opens a session for an account whose credential was just checked, beside those that were loaded.
    pub async fn open(
        &self,
        account: &Account,
        loaded: Loaded,
        method: SignInMethod,
        origin: &Origin,
        device_key: Option<SecretHash>,
    ) -> Result<Tokens, SessionError> {
        let now = self.ambient.now();
        let id = self.ambient.id();
        let refresh = self.mint.refresh.mint(account.id, id, self.ambient.random());
        let access = self.mint.lifetimes.access;
        let session = DeviceSession {
            id,
            device_key,
            device: origin.device.clone(),
            address: origin.address,
            created_at: now,
            refreshed_at: now,
            expires_at: now + self.mint.lifetimes.session,
            access_expires_at: now + access,
            epoch: account.epoch,
            refresh_hash: refresh.hash().into(),
            previous_hash: None,
        };
        let (this, user, request) = (self.clone(), account.id, origin.request.clone());
        to_the_end(async move {
            let opened = this.change_loaded(user, loaded, |sessions| match sessions.open(session.clone(), now) {
                Ok(ended) => Change::Save(Ok(ended), vec![]),
                Err(StaleEpoch) => Change::Unchanged(Err(SessionError::AccountChanged)),
            });
            // Revoked last: another sign-in at the same time may have changed which session makes room.
            let made_room = opened.await??;
            let replaced =
                made_room.iter().find(|ended| ended.reason == EndReason::Replaced).map(|ended| ended.session);
            this.audit.note(Fact::UserSignedIn { user, session: id, method, replaced }, &request);
            this.note_ends(user, &made_room, &request);
            Ok::<_, SessionError>(this.revoke(&made_room).await?)
        })
        .await?;

        Ok(Tokens {
            access: self.mint.access_token(account.id, id, account.role.into(), access),
            refresh: refresh.reveal(),
            refresh_lifetime: self.mint.lifetimes.session,
            session: id,
        })
    }

    /// Exchanges a refresh token for new tokens.
    pub async fn refresh(&self, token: &str, origin: &Origin) -> Result<Tokens, RefreshError> {
        self.limits.check_address(origin.address)?;
        let token = self.mint.refresh.parse(token)?;
        let successor = self.mint.refresh.successor(&token);
        let now = self.ambient.now();

        let (account, loaded) = tokio::join!(self.accounts.account(token.user()), self.load(token.user()));
        let Some(account) = account? else { return Err(RefreshError::Invalid) };
        if let Some(ban) = account.active_ban(now) {
            return Err(RefreshError::Banned(ban.clone()));
        }
        let presented = Presented {
            session: token.session(),
            hash: token.hash().into(),
            successor_hash: successor.hash().into(),
            account_epoch: account.epoch,
            address: origin.address,
            access_expires_at: now + self.mint.lifetimes.access,
        };
        let refresh = self.change_loaded(token.user(), loaded?, |sessions| match sessions.refresh(&presented, now) {
            rotated @ Refresh::Rotated { .. } => Change::Save(rotated, vec![]),
            over @ (Refresh::Reused(ended) | Refresh::Outdated(ended)) => Change::Save(over, vec![ended]),
            unchanged @ (Refresh::Repeated { .. } | Refresh::Unknown | Refresh::Expired) => {
                Change::Unchanged(unchanged)
            }
        });
        let refresh = refresh.await?;
        if let Refresh::Reused(ended) | Refresh::Outdated(ended) = refresh {
            self.note_ends(account.id, &[ended], &origin.request);
        }
        match refresh {
            Refresh::Rotated { session_expires_at } | Refresh::Repeated { session_expires_at } => Ok(Tokens {
                access: self.mint.access_token(
                    account.id,
                    token.session(),
                    account.role.into(),
                    // A token never outlives its session: once that is forgotten, nothing could revoke it.
                    self.mint.lifetimes.access.min(left(session_expires_at, now)),
                ),
                refresh: successor.reveal(),
                refresh_lifetime: left(session_expires_at, now),
                session: token.session(),
            }),
            Refresh::Unknown | Refresh::Outdated(_) => Err(RefreshError::Invalid),
            Refresh::Expired => Err(RefreshError::Expired),
            Refresh::Reused(_) => Err(RefreshError::Reused),
        }
    }

    /// A user's sessions, the most recently used first.
    pub async fn list(&self, user: Uuid) -> Result<Vec<DeviceSession>, SessionError> {
        Ok(self.load(user).await?.sessions.listed(self.ambient.now()))
    }

    /// Ends a session of the user who asks by another session, or by the same.
    pub async fn end_any(&self, owner: &Owner, session: Uuid) -> Result<(), SessionError> {
        if session == owner.session { self.log_out(owner).await } else { self.end(owner, session).await }
    }

    async fn end(&self, owner: &Owner, session: Uuid) -> Result<(), SessionError> {
        let change = |sessions: &mut DeviceSessions| match sessions.end(session, EndReason::EndedByUser) {
            Some(ended) => Change::Save(Ok(ended), vec![ended]),
            None => Change::Unchanged(Err(SessionError::NotFound)),
        };
        let ended = self.change(owner.user, change).await??;
        self.note_ends(owner.user, &[ended], &owner.request);
        Ok(())
    }

    /// Ends the session that a call was made with, which may have been opened by other means than a sign-in.
    pub async fn log_out(&self, owner: &Owner) -> Result<(), SessionError> {
        let (this, owner) = (self.clone(), owner.clone());
        to_the_end(async move {
            // Revoked last: until then the caller's token is good, and a call that was cut off can be repeated.
            let remove = |sessions: &mut DeviceSessions| match sessions.end(owner.session, EndReason::Logout) {
                Some(ended) => Change::Save(Some(ended), vec![]),
                None => Change::Unchanged(None),
            };
            let ended = this.change(owner.user, remove).await?;
            this.note_ends(owner.user, ended.as_slice(), &owner.request);
            Ok(this.revocations.revoke(&[owner.session]).await.map_err(RevocationFailed)?)
        })
        .await
    }

    /// Ends all sessions but the one that asks; says how many.
    pub async fn end_others(&self, owner: &Owner) -> Result<usize, SessionError> {
        let now = self.ambient.now();
        let change = |sessions: &mut DeviceSessions| match sessions.end_others(owner.session, now) {
            ended if ended.is_empty() => Change::Unchanged(ended),
            ended => Change::Save(ended.clone(), ended),
        };
        let ended = self.change(owner.user, change).await?;
        self.note_ends(owner.user, &ended, &owner.request);
        Ok(ended.len())
    }

    /// Ends all sessions older than an epoch of the account; one may be kept.
    pub async fn begin_epoch(
        &self,
        user: Uuid,
        epoch: i64,
        keep: Option<Uuid>,
        reason: EndReason,
        request: &RequestId,
    ) -> Result<(), SessionError> {
        let change = |sessions: &mut DeviceSessions| {
            let ended = sessions.begin_epoch(epoch, keep, reason);
            Change::Save(ended.clone(), ended)
        };
        let ended = self.change(user, change).await?;
        self.note_ends(user, &ended, request);
        Ok(())
    }

    /// Notes sessions that were just saved as over, but for those that the sign-in tells which has replaced them.
    fn note_ends(&self, user: Uuid, ended: &[Ended], request: &RequestId) {
        for Ended { session, reason, .. } in ended.iter().filter(|ended| ended.reason != EndReason::Replaced) {
            self.audit.note(Fact::SessionEnded { user, session: *session, reason: *reason }, request);
        }
    }

    async fn change<T>(
        &self,
        user: Uuid,
        change: impl FnMut(&mut DeviceSessions) -> Change<T>,
    ) -> Result<T, SessionError> {
        let loaded = self.load(user).await?;
        self.change_loaded(user, loaded, change).await
    }

    async fn change_loaded<T>(
        &self,
        user: Uuid,
        mut loaded: Loaded,
        mut change: impl FnMut(&mut DeviceSessions) -> Change<T>,
    ) -> Result<T, SessionError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let (outcome, ended) = match change(&mut loaded.sessions) {
                Change::Unchanged(outcome) => return Ok(outcome),
                Change::Save(outcome, ended) => (outcome, ended),
            };
            // Revoked first: if this is cut off before the save, the repeated call finds its work still to do.
            self.revoke(&ended).await?;
            let now = self.ambient.now();
            if self.store.save(user, &loaded, now, keep_until(&loaded.sessions, now)).await? {
                return Ok(outcome);
            }
            loaded = self.load(user).await?;
        }
        Err(SessionError::Contended)
    }

    async fn revoke(&self, ended: &[Ended]) -> Result<(), RevocationFailed> {
        let now = self.ambient.now();
        let live: Vec<Uuid> =
            ended.iter().filter(|ended| ended.has_live_tokens(now)).map(|ended| ended.session).collect();
        if live.is_empty() {
            return Ok(());
        }
        self.revocations.revoke(&live).await.map_err(RevocationFailed)
    }
}

fn left(until: OffsetDateTime, now: OffsetDateTime) -> Duration {
    (until - now).try_into().unwrap_or_default()
}

fn keep_until(sessions: &DeviceSessions, now: OffsetDateTime) -> OffsetDateTime {
    let last = sessions.sessions.iter().map(|session| session.expires_at).max();
    last.unwrap_or(now).max(now + FENCE)
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::Player => Self::Player,
            AccountRole::Admin => Self::Admin,
        }
    }
}

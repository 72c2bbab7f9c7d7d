//! What the owner of an account does with it: upgrade it, change its password, delete it.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_auth::Verdict;
use uuid::Uuid;

use crate::account::{Account, Email, Username};
use crate::hashing::{Overloaded, PasswordHasher};
use crate::limits::{Limited, SignInLimits};
use crate::password::Password;
use crate::sessions::{SessionError, Sessions};
use crate::sign_in::DeviceSecret;
use crate::store::{AccountStore, ClaimError, StoreError, Upgrade};

/// The epoch of an account that is no more: no session is of so high a one.
const NO_MORE: i64 = i64::MAX;

/// Everything that only the owner may do.
#[derive(Clone)]
pub struct Ownership {
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) sessions: Sessions,
    pub(crate) passwords: PasswordHasher,
    pub(crate) limits: Arc<SignInLimits>,
    pub(crate) ambient: Ambient,
}

/// The credential of an account, asked for once more before something that cannot be undone.
#[derive(Debug, Clone)]
pub enum Credential {
    Password(Password),
    Device(DeviceSecret),
}

/// Why an account was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    #[error("the account has a password already")]
    NotAGuest,
    #[error("the account has no password: upgrade it first")]
    NoPassword,
    #[error("the credential is wrong")]
    WrongCredential,
    #[error("the account is no more")]
    Gone,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<StoreError> for OwnershipError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl Ownership {
    /// Makes a guest a full account. The id stays, and so does the device.
    pub async fn upgrade_guest(
        &self,
        user: Uuid,
        username: Username,
        email: Email,
        password: &Password,
    ) -> Result<Account, OwnershipError> {
        self.limits.check_id(user)?;
        if !self.account(user).await?.is_guest() {
            return Err(OwnershipError::NotAGuest);
        }
        let password_hash = self.passwords.hash(password, self.ambient.random()).await?;
        let upgrade = Upgrade { username, email, password_hash };
        self.accounts.upgrade_guest(user, &upgrade).await?.ok_or(OwnershipError::NotAGuest)
    }

    /// Changes the password and ends all device sessions but the caller's.
    pub async fn change_password(
        &self,
        user: Uuid,
        session: Uuid,
        current: &Password,
        new: &Password,
    ) -> Result<(), OwnershipError> {
        self.limits.check_id(user)?;
        let account = self.account(user).await?;
        let old_hash = account.password_hash.ok_or(OwnershipError::NoPassword)?;
        if self.passwords.verify(current, Some(&old_hash)).await? == Verdict::Wrong {
            return Err(OwnershipError::WrongCredential);
        }
        let new_hash = self.passwords.hash(new, self.ambient.random()).await?;
        let epoch = self.accounts.change_password(user, &old_hash, &new_hash).await?;
        // Nothing was changed: another call has put another password in between.
        let epoch = epoch.ok_or(OwnershipError::WrongCredential)?;
        Ok(self.sessions.begin_epoch(user, epoch, Some(session)).await?)
    }

    /// Deletes the account for good. Safe to repeat: a call that was cut off half-way is finished by the next.
    pub async fn delete(&self, user: Uuid, credential: &Credential) -> Result<(), OwnershipError> {
        self.limits.check_id(user)?;
        if let Some(account) = self.accounts.account(user).await? {
            if !self.confirms(&account, credential).await? {
                return Err(OwnershipError::WrongCredential);
            }
            self.accounts.delete(user).await?;
        }
        Ok(self.sessions.begin_epoch(user, NO_MORE, None).await?)
    }

    async fn confirms(&self, account: &Account, credential: &Credential) -> Result<bool, OwnershipError> {
        match credential {
            Credential::Password(password) => {
                let verdict = self.passwords.verify(password, account.password_hash.as_deref()).await?;
                Ok(verdict != Verdict::Wrong)
            }
            Credential::Device(secret) => {
                let owner = self.accounts.account_by_device(&secret.0).await?;
                Ok(account.is_guest() && owner.is_some_and(|owner| owner.id == account.id))
            }
        }
    }

    async fn account(&self, user: Uuid) -> Result<Account, OwnershipError> {
        self.accounts.account(user).await?.ok_or(OwnershipError::Gone)
    }
}

//! What the owner of an account does with it: upgrade it, change its password, delete it.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_auth::Verdict;
use uuid::Uuid;

use crate::account::{Account, Email, Username};
use crate::audit::Occasion;
use crate::device_session::EndReason;
use crate::hashing::{Overloaded, PasswordHasher};
use crate::limits::{Limited, SignInLimits};
use crate::password::{Password, PasswordInvalid};
use crate::sessions::{Owner, SessionError, Sessions, to_the_end};
use crate::sign_in::DeviceSecret;
use crate::store::{AccountStore, ClaimError, PasswordChange, StoreError, Upgrade};

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
    NewPassword(#[from] PasswordInvalid),
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
        owner: &Owner,
        username: Username,
        email: Email,
        password: &Password,
    ) -> Result<Account, OwnershipError> {
        self.check_limits(owner)?;
        if !self.account(owner.user).await?.is_guest() {
            return Err(OwnershipError::NotAGuest);
        }
        let password_hash = self.passwords.hash(password, self.ambient.random()).await?;
        let upgrade = Upgrade { username, email, password_hash };
        self.accounts.upgrade_guest(owner.user, &upgrade, &self.occasion(owner)).await?.ok_or(OwnershipError::NotAGuest)
    }

    /// Changes the password and ends all device sessions but the caller's. Safe to repeat: a call that was cut off half-way
    /// is finished by the next.
    pub async fn change_password(
        &self,
        owner: &Owner,
        current: &Password,
        new: &Password,
    ) -> Result<(), OwnershipError> {
        self.check_limits(owner)?;
        let account = self.account(owner.user).await?;
        let old_hash = account.password_hash.as_deref().ok_or(OwnershipError::NoPassword)?;
        new.check_against_names(&account.username, account.email.as_ref())?;

        if self.passwords.verify(current, Some(old_hash)).await? == Verdict::Wrong {
            if self.passwords.verify(new, Some(old_hash)).await? == Verdict::Wrong {
                return Err(OwnershipError::WrongCredential);
            }
            return self.keep_one_session(owner, account.epoch).await;
        }
        let new_hash = self.passwords.hash(new, self.ambient.random()).await?;
        let change = PasswordChange { old: old_hash.to_owned(), new: new_hash, session: owner.session };
        let (this, owner) = (self.clone(), owner.clone());
        to_the_end(async move {
            let epoch = this.accounts.change_password(owner.user, &change, &this.occasion(&owner)).await?;
            // Nothing was changed: another call has put another password in between.
            this.keep_one_session(&owner, epoch.ok_or(OwnershipError::WrongCredential)?).await
        })
        .await
    }

    /// Deletes the account for good. Safe to repeat: a call that was cut off half-way is finished by the next.
    pub async fn delete(&self, owner: &Owner, credential: &Credential) -> Result<(), OwnershipError> {
        self.check_limits(owner)?;
        let account = self.accounts.account(owner.user).await?;
        if let Some(account) = &account
            && !self.confirms(account, credential).await?
        {
            return Err(OwnershipError::WrongCredential);
        }
        let (this, owner) = (self.clone(), owner.clone());
        to_the_end(async move {
            this.accounts.delete(owner.user, &this.occasion(&owner)).await?;
            let reason = EndReason::AccountDeleted;
            Ok(this.sessions.begin_epoch(owner.user, NO_MORE, None, reason, &owner.request).await?)
        })
        .await
    }

    /// Ends all sessions older than a new password's epoch but the one that changed it.
    async fn keep_one_session(&self, owner: &Owner, epoch: i64) -> Result<(), OwnershipError> {
        let (keep, reason) = (Some(owner.session), EndReason::PasswordChanged);
        Ok(self.sessions.begin_epoch(owner.user, epoch, keep, reason, &owner.request).await?)
    }

    fn occasion(&self, owner: &Owner) -> Occasion {
        Occasion::now(&self.ambient, &owner.request)
    }

    /// Before anything is hashed: a flood of these calls is as costly as one of sign-ins.
    fn check_limits(&self, owner: &Owner) -> Result<(), Limited> {
        self.limits.check_address(owner.address)?;
        self.limits.check_id(owner.user)
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

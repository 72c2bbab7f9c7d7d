//! Signing in: by name and password, by a device's secret, by registering.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_auth::Verdict;
use uuid::Uuid;

use crate::account::{Account, Ban, Email, Identifier, Username};
use crate::audit::{Fact, Occasion, Refusal, SignInBuffer, SignInMethod};
use crate::hashing::{Overloaded, PasswordHasher};
use crate::known_devices::KnownDevices;
use crate::limits::{Limited, SignInLimits};
use crate::password::Password;
use crate::secret::SecretHash;
use crate::sessions::{Origin, SessionError, Sessions};
use crate::store::{AccountStore, ClaimError, Loaded, NewAccount, StoreError};
use crate::tokens::Tokens;

/// How often a guest's name is drawn again because somebody has it. Two clashes in a row are all but impossible.
const GUEST_NAME_DRAWS: usize = 4;

/// Everything that ends with a new device session.
#[derive(Clone)]
pub struct SignIn {
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) sessions: Sessions,
    pub(crate) passwords: PasswordHasher,
    pub(crate) limits: Arc<SignInLimits>,
    pub(crate) devices: Arc<KnownDevices>,
    pub(crate) audit: SignInBuffer,
    pub(crate) ambient: Ambient,
}

/// A registration, its fields checked.
#[derive(Debug, Clone)]
pub struct Registration {
    pub username: Username,
    pub email: Email,
    pub password: Password,
    /// The client's own id of this registration, if it wants to be able to repeat it.
    pub id: Option<Uuid>,
}

/// A device's own credential, hashed at the edge.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSecret(pub SecretHash);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Callers are not told whether there is such a user.
    #[error("the name or the credential is wrong")]
    WrongCredential { user: Option<Uuid> },
    #[error("the account is banned")]
    Banned { user: Uuid, ban: Ban },
    #[error("every name drawn for the guest is taken")]
    NoGuestName,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl SignInError {
    /// Whom a sign-in was refused and why, if that is what happened and is to be recorded.
    fn refusal(&self) -> Option<(Option<Uuid>, Refusal)> {
        match self {
            Self::WrongCredential { user: None } => Some((None, Refusal::UnknownUser)),
            Self::WrongCredential { user } => Some((*user, Refusal::WrongCredential)),
            Self::Banned { user, .. } => Some((Some(*user), Refusal::Banned)),
            Self::Limited(limited) => limited.to_be_recorded.then_some((None, Refusal::RateLimited)),
            Self::Overloaded(_) => Some((None, Refusal::Overloaded)),
            Self::NoGuestName | Self::Claim(_) | Self::Session(_) => None,
        }
    }
}

impl SignIn {
    /// Creates an account and signs in to it.
    pub async fn register(&self, new: &Registration, origin: &Origin) -> Result<(Account, Tokens), SignInError> {
        let outcome = self.try_register(new, origin).await;
        self.note_refusal(&outcome, SignInMethod::Registration, origin);
        outcome
    }

    /// Signs in by name and password. An unknown name costs the same time and has the same answer as a wrong password.
    pub async fn log_in(
        &self,
        identifier: &Identifier,
        password: &Password,
        origin: &Origin,
    ) -> Result<(Account, Tokens), SignInError> {
        let outcome = self.try_log_in(identifier, password, origin).await;
        self.note_refusal(&outcome, SignInMethod::Password, origin);
        outcome
    }

    /// Signs in by a device's secret, whose first use creates the account. Says whether it did.
    pub async fn log_in_with_device(
        &self,
        secret: &DeviceSecret,
        origin: &Origin,
    ) -> Result<(Account, Tokens, bool), SignInError> {
        let outcome = self.try_log_in_with_device(secret, origin).await;
        self.note_refusal(&outcome, SignInMethod::Device, origin);
        outcome
    }

    async fn try_register(&self, new: &Registration, origin: &Origin) -> Result<(Account, Tokens), SignInError> {
        self.limits.check_address(origin.address)?;
        self.limits.check_creation(origin.address)?;
        let password_hash = self.passwords.hash(&new.password, self.ambient.random()).await?;
        let account = NewAccount {
            id: self.ambient.id(),
            username: new.username.clone(),
            email: Some(new.email.clone()),
            password_hash: Some(password_hash),
            registration_id: new.id,
            created_at: self.ambient.now(),
        };
        let occasion = Occasion::now(&self.ambient, &origin.request);
        let account = match self.accounts.create(&account, &occasion).await {
            Ok(account) => account,
            Err(ClaimError::Store(error)) => return Err(error.into()),
            Err(taken) => self.repeated_registration(new).await?.ok_or(taken)?,
        };
        self.admit(account, SignInMethod::Registration, origin, None).await
    }

    async fn try_log_in(
        &self,
        identifier: &Identifier,
        password: &Password,
        origin: &Origin,
    ) -> Result<(Account, Tokens), SignInError> {
        self.limits.check_address(origin.address)?;
        self.limits.check_identifier(identifier)?;
        let turn = self.passwords.turn().await?;
        let account = self.accounts.account_by_identifier(identifier).await?;
        let stored = account.as_ref().and_then(|account| account.password_hash.as_deref());
        let verdict = turn.verify(password, stored).await?;

        match (account, verdict) {
            (Some(account), Verdict::Right) => self.admit(account, SignInMethod::Password, origin, None).await,
            (Some(account), Verdict::RightButOutdated) => {
                self.rehash(&account, password).await;
                self.admit(account, SignInMethod::Password, origin, None).await
            }
            (account, _) => Err(SignInError::WrongCredential { user: account.map(|account| account.id) }),
        }
    }

    async fn try_log_in_with_device(
        &self,
        secret: &DeviceSecret,
        origin: &Origin,
    ) -> Result<(Account, Tokens, bool), SignInError> {
        self.limits.check_address(origin.address)?;
        self.limits.check_device(&secret.0)?;
        if let Some((account, sessions)) = self.known_device(&secret.0).await? {
            let admitted = self.admit_with(account, sessions, SignInMethod::Device, origin, Some(secret.0));
            let (account, tokens) = admitted.await?;
            return Ok((account, tokens, false));
        }
        let (account, created) = if let Some(account) = self.accounts.account_by_device(&secret.0).await? {
            (account, false)
        } else {
            self.limits.check_creation(origin.address)?;
            self.create_guest(secret, origin).await?
        };
        self.devices.remember(&secret.0, account.id);
        let (account, tokens) = self.admit(account, SignInMethod::Device, origin, Some(secret.0)).await?;
        Ok((account, tokens, created))
    }

    /// The account of a device that has signed in here, and its sessions, read at the same time.
    async fn known_device(&self, device: &SecretHash) -> Result<Option<(Account, Loaded)>, StoreError> {
        let Some(user) = self.devices.user_of(device) else { return Ok(None) };
        let (account, sessions) = tokio::join!(self.accounts.account(user), self.sessions.load(user));
        let Some(account) = account? else {
            self.devices.forget(device);
            return Ok(None);
        };
        Ok(Some((account, sessions?)))
    }

    async fn create_guest(&self, secret: &DeviceSecret, origin: &Origin) -> Result<(Account, bool), SignInError> {
        let occasion = Occasion::now(&self.ambient, &origin.request);
        for _ in 0..GUEST_NAME_DRAWS {
            let guest = NewAccount {
                id: self.ambient.id(),
                username: Username::for_guest(self.ambient.random()),
                email: None,
                password_hash: None,
                registration_id: None,
                created_at: self.ambient.now(),
            };
            match self.accounts.create_guest(&guest, &secret.0, &occasion).await {
                Err(ClaimError::UsernameTaken) => {}
                result => return Ok(result?),
            }
        }
        Err(SignInError::NoGuestName)
    }

    /// The account that an earlier call of the same registration created.
    async fn repeated_registration(&self, new: &Registration) -> Result<Option<Account>, SignInError> {
        let Some(id) = new.id else { return Ok(None) };
        let Some(account) = self.accounts.account_by_registration(id).await? else { return Ok(None) };
        let same_email = account.email.as_ref().is_some_and(|email| email.key() == new.email.key());
        if account.username.key() != new.username.key() || !same_email {
            return Ok(None);
        }
        self.limits.check_identifier(&Identifier::Username(account.username.key()))?;
        let verdict = self.passwords.verify(&new.password, account.password_hash.as_deref()).await?;
        Ok((verdict != Verdict::Wrong).then_some(account))
    }

    async fn admit(
        &self,
        account: Account,
        method: SignInMethod,
        origin: &Origin,
        device_key: Option<SecretHash>,
    ) -> Result<(Account, Tokens), SignInError> {
        let sessions = self.sessions.load(account.id).await?;
        self.admit_with(account, sessions, method, origin, device_key).await
    }

    async fn admit_with(
        &self,
        account: Account,
        sessions: Loaded,
        method: SignInMethod,
        origin: &Origin,
        device_key: Option<SecretHash>,
    ) -> Result<(Account, Tokens), SignInError> {
        if let Some(ban) = account.active_ban(self.ambient.now()) {
            return Err(SignInError::Banned { user: account.id, ban: ban.clone() });
        }
        let tokens = self.sessions.open(&account, sessions, method, origin, device_key).await?;
        Ok((account, tokens))
    }

    fn note_refusal<T>(&self, outcome: &Result<T, SignInError>, method: SignInMethod, origin: &Origin) {
        if let Some((who, refusal)) = outcome.as_ref().err().and_then(SignInError::refusal) {
            self.audit.note(Fact::SignInRefused { who, method, refusal }, &origin.request);
        }
    }

    /// Stores the password under today's parameters. A sign-in does not fail for it: the next one tries again.
    async fn rehash(&self, account: &Account, password: &Password) {
        let Some(old) = &account.password_hash else { return };
        let Ok(new) = self.passwords.hash(password, self.ambient.random()).await else { return };
        if let Err(error) = self.accounts.rehash_password(account.id, old, &new).await {
            tracing::warn!(%error, user_id = %account.id, "a password could not be rehashed");
        }
    }
}

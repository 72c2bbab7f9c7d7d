//! The ports of the auth service, in its own words, and the contract that every adapter keeps.

mod account_lookups_postgres;
mod accounts_sql;
mod audit_outbox_sql;
#[cfg(test)]
mod contract;
mod device_sessions_redis;
mod device_sessions_sql;
mod guests_sql;
mod profiles_sql;
mod server_credentials_sql;

use async_trait::async_trait;
use pkg_api::log::v1::Record;
pub use pkg_store::StoreError;
use prost::DecodeError;
use time::OffsetDateTime;
use uuid::Uuid;

pub use accounts_sql::SqlAccounts;
pub use device_sessions_redis::RedisDeviceSessions;
pub use device_sessions_sql::SqlDeviceSessions;

use crate::account::{Account, AccountRole, Ban, Email, Identifier, Username};
use crate::audit::{Fact, Occasion};
use crate::device_session::DeviceSessions;
use crate::profile::{Profile, ProfileChange};
use crate::secret::SecretHash;
use crate::server_credential::ServerCredential;

/// An account to be created.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub id: Uuid,
    pub username: Username,
    pub email: Option<Email>,
    pub password_hash: Option<String>,
    /// The client's id of the registration, to know its repetition by.
    pub registration_id: Option<Uuid>,
    pub created_at: OffsetDateTime,
}

impl NewAccount {
    /// What is recorded of its creation.
    fn registered(&self) -> Fact {
        Fact::Registered { user: self.id, guest: self.password_hash.is_none() }
    }
}

/// Why a name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("the username is taken")]
    UsernameTaken,
    #[error("the e-mail address is taken")]
    EmailTaken,
    #[error("the registration id was used for another registration")]
    RegistrationUsed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a guest becomes.
#[derive(Debug, Clone)]
pub struct Upgrade {
    pub username: Username,
    pub email: Email,
    pub password_hash: String,
}

/// A new password, as hashes.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    pub old: String,
    pub new: String,
    /// The device session that asks for it.
    pub session: Uuid,
}

/// Users, credentials, identities and profiles: Postgres or SQLite.
///
/// Each change is recorded in the [`AuditOutbox`] with it: both happen or neither does. What changes nothing records
/// nothing.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Creates an account.
    async fn create(&self, new: &NewAccount, occasion: &Occasion) -> Result<Account, ClaimError>;

    /// Creates an account that a device signs in to, unless the device has one: then that one is returned, and `false`.
    async fn create_guest(
        &self,
        new: &NewAccount,
        device: &SecretHash,
        occasion: &Occasion,
    ) -> Result<(Account, bool), ClaimError>;

    async fn account(&self, id: Uuid) -> Result<Option<Account>, StoreError>;

    async fn account_by_identifier(&self, identifier: &Identifier) -> Result<Option<Account>, StoreError>;

    async fn account_by_device(&self, device: &SecretHash) -> Result<Option<Account>, StoreError>;

    async fn account_by_registration(&self, registration: Uuid) -> Result<Option<Account>, StoreError>;

    /// Makes a guest a full account; `None` if it is not a guest (any more).
    async fn upgrade_guest(
        &self,
        id: Uuid,
        upgrade: &Upgrade,
        occasion: &Occasion,
    ) -> Result<Option<Account>, ClaimError>;

    /// Replaces a password hash, if it is still the one given, and begins a new epoch, which is returned.
    async fn change_password(
        &self,
        id: Uuid,
        change: &PasswordChange,
        occasion: &Occasion,
    ) -> Result<Option<i64>, StoreError>;

    /// Replaces a password hash by one of the same password, if it is still the one given. Not recorded.
    async fn rehash_password(&self, id: Uuid, old: &str, new: &str) -> Result<(), StoreError>;

    /// Deletes an account and what belongs to it; `false` if it is not there.
    async fn delete(&self, id: Uuid, occasion: &Occasion) -> Result<bool, StoreError>;

    /// Sets or lifts a ban. A new epoch begins with a ban that is not there yet; the epoch that holds is returned, or
    /// `None` without an account.
    async fn set_ban(
        &self,
        id: Uuid,
        ban: Option<&Ban>,
        actor: Uuid,
        occasion: &Occasion,
    ) -> Result<Option<i64>, StoreError>;

    /// Sets the role and, if it is another one, begins a new epoch. The epoch that holds is returned, or `None` without
    /// an account.
    async fn set_role(
        &self,
        id: Uuid,
        role: AccountRole,
        actor: Uuid,
        occasion: &Occasion,
    ) -> Result<Option<i64>, StoreError>;
}

/// What players show of themselves: Postgres or SQLite, of the same users.
#[async_trait]
pub trait ProfileStore: Send + Sync {
    async fn profile(&self, id: Uuid) -> Result<Option<Profile>, StoreError>;

    /// In any order, without those that do not exist.
    async fn profiles(&self, ids: &[Uuid]) -> Result<Vec<Profile>, StoreError>;

    /// By [`Username::key`].
    async fn profile_by_username(&self, key: &str) -> Result<Option<Profile>, StoreError>;

    /// Changes a profile, if it has the version that the change expects.
    async fn change_profile(&self, id: Uuid, change: &ProfileChange) -> Result<ProfileChanged, StoreError>;
}

/// What came of a change of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileChanged {
    Done(Profile),
    /// Somebody else changed it before.
    Conflict,
    NotFound,
}

/// The credentials of game servers: Postgres or SQLite. Changes are recorded as those of accounts are.
#[async_trait]
pub trait ServerCredentialStore: Send + Sync {
    /// Adds one, unless there are `most` already: then `false`.
    async fn add_credential(
        &self,
        new: &ServerCredential,
        secret: &SecretHash,
        most: usize,
        actor: Uuid,
        occasion: &Occasion,
    ) -> Result<bool, StoreError>;

    /// The oldest first, those after `after`.
    async fn credentials(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ServerCredential>, StoreError>;

    async fn credential_secret(&self, id: Uuid) -> Result<Option<SecretHash>, StoreError>;

    /// `false` if it is not there.
    async fn delete_credential(&self, id: Uuid, actor: Uuid, occasion: &Occasion) -> Result<bool, StoreError>;
}

/// Changes of accounts and credentials on their way to the log: in the database of the accounts.
///
/// Rows of one key are in the order of their changes.
#[async_trait]
pub trait AuditOutbox: Send + Sync {
    /// Waits until something was written by this process since the last time.
    async fn written(&self);

    /// How many rows there are; counts no further than `most`.
    async fn waiting(&self, most: usize) -> Result<usize, StoreError>;

    /// The oldest rows. `None` while somebody else holds a claim; embedded, where there is nobody else, claims exclude
    /// nobody.
    async fn take(&self, most: usize) -> Result<Option<TakenRows>, StoreError>;
}

/// Rows that were taken. They stay in the outbox until the claim deletes them.
pub struct TakenRows {
    pub rows: Vec<OutboxRow>,
    pub claim: Box<dyn OutboxClaim>,
}

/// A fact that is to be appended to the log.
pub struct OutboxRow {
    pub record_id: Uuid,
    pub record: Result<Record, DecodeError>,
}

/// The right to work on the outbox, given back when it is dropped.
#[async_trait]
pub trait OutboxClaim: Send {
    /// Deletes the rows that are done with.
    async fn delete(self: Box<Self>, done: &[Uuid]) -> Result<(), StoreError>;
}

/// A user's device sessions as they were loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    pub sessions: DeviceSessions,
    /// Rises with every save; 0 means that nothing is stored.
    pub version: i64,
}

/// Device sessions: Redis or SQLite. They may be lost as a whole, then people sign in again.
#[async_trait]
pub trait DeviceSessionStore: Send + Sync {
    /// What is stored; nothing stored is no sessions.
    async fn load(&self, user: Uuid) -> Result<Loaded, StoreError>;

    /// Saves, unless somebody else has since the load (`false`). May be forgotten after `keep_until`.
    async fn save(
        &self,
        user: Uuid,
        loaded: &Loaded,
        now: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<bool, StoreError>;
}

fn encode(loaded: &Loaded) -> Result<String, StoreError> {
    serde_json::to_string(&loaded.sessions).map_err(StoreError::broken)
}

fn decode(version: i64, body: &str) -> Result<Loaded, StoreError> {
    let sessions = serde_json::from_str(body).map_err(StoreError::broken)?;
    Ok(Loaded { sessions, version })
}

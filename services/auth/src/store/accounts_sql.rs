//! Accounts in Postgres or SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use pkg_db::{Database, from_millis, on, to_millis, violates_unique};
use sqlx::FromRow;
use tokio::sync::Notify;
use uuid::Uuid;

use super::account_lookups_postgres::AccountLookups;
use super::audit_outbox_sql::record;
use super::{AccountStore, ClaimError, NewAccount, PasswordChange, StoreError, Upgrade};
use crate::account::{Account, AccountRole, Ban, Email, Identifier, Username};
use crate::audit::{Fact, Occasion};
use crate::secret::SecretHash;

/// Users in a database. Profiles, server credentials and the outbox are ports of their own beside them.
#[derive(Clone)]
pub struct SqlAccounts {
    pub(super) database: Database,
    /// The look-ups of every sign-in and refresh, on Postgres.
    lookups: Option<AccountLookups>,
    /// Told after each commit that wrote into the outbox.
    pub(super) written: Arc<Notify>,
}

impl SqlAccounts {
    /// The users of a migrated database. To be called on a runtime.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let lookups = match &database {
            Database::Postgres(pool) => Some(AccountLookups::spawn(pool)),
            // SQLite has one connection and no round trips.
            Database::Sqlite(_) => None,
        };
        Self { database, lookups, written: Arc::default() }
    }
}

macro_rules! columns {
    () => {
        "id, username, email, password_hash, role, epoch, ban_reason, ban_until_ms, created_ms"
    };
}
pub(super) use columns;

macro_rules! select_where {
    ($condition:literal) => {
        concat!("SELECT ", columns!(), " FROM users WHERE ", $condition)
    };
}

pub(super) const INSERT: &str = concat!(
    "INSERT INTO users (id, username, username_key, email, email_key, password_hash, registration_id, created_ms) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ",
    columns!()
);

/// Binds a new account's values in the order of [`INSERT`].
macro_rules! insert {
    ($new:expr) => {
        sqlx::query_as::<_, super::accounts_sql::AccountRow>(super::accounts_sql::INSERT)
            .bind($new.id)
            .bind($new.username.as_str())
            .bind($new.username.key())
            .bind($new.email.as_ref().map(crate::account::Email::as_str))
            .bind($new.email.as_ref().map(crate::account::Email::key))
            .bind($new.password_hash.as_deref())
            .bind($new.registration_id)
            .bind(to_millis($new.created_at))
    };
}
pub(super) use insert;

/// A row of [`columns`].
#[derive(Clone, FromRow)]
pub(super) struct AccountRow {
    pub(super) id: Uuid,
    username: String,
    email: Option<String>,
    password_hash: Option<String>,
    role: String,
    epoch: i64,
    ban_reason: Option<String>,
    ban_until_ms: Option<i64>,
    created_ms: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            username: Username::from_store(row.username),
            email: row.email.map(Email::from_store),
            password_hash: row.password_hash,
            role: role_from_store(&row.role)?,
            epoch: row.epoch,
            ban: row.ban_reason.map(|reason| Ban { reason, until: row.ban_until_ms.map(from_millis) }),
            created_at: from_millis(row.created_ms),
        })
    }
}

#[async_trait]
impl AccountStore for SqlAccounts {
    async fn create(&self, new: &NewAccount, occasion: &Occasion) -> Result<Account, ClaimError> {
        let row = on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await.map_err(StoreError::from)?;
            let row = insert!(new).fetch_one(&mut *transaction).await.map_err(claim_error)?;
            record!(self, transaction, occasion, new.registered()).map_err(StoreError::from)?;
            transaction.commit().await.map_err(StoreError::from)?;
            row
        });
        self.written.notify_one();
        Ok(row.try_into()?)
    }

    async fn create_guest(
        &self,
        new: &NewAccount,
        device: &SecretHash,
        occasion: &Occasion,
    ) -> Result<(Account, bool), ClaimError> {
        if let Some(row) = self.insert_guest(new, device, occasion).await? {
            self.written.notify_one();
            return Ok((row.try_into()?, true));
        }
        let account = self.account_by_device(device).await?;
        let deleted = || StoreError::unavailable("the device's account was deleted at the same time");
        Ok((account.ok_or_else(deleted)?, false))
    }

    async fn account(&self, id: Uuid) -> Result<Option<Account>, StoreError> {
        const BY_ID: &str = select_where!("id = $1");
        if let Some(lookups) = &self.lookups {
            return lookups.by_id(id).await;
        }
        found(on!(self.database, pool => sqlx::query_as(BY_ID).bind(id).fetch_optional(pool).await))
    }

    async fn account_by_identifier(&self, identifier: &Identifier) -> Result<Option<Account>, StoreError> {
        const BY_USERNAME: &str = select_where!("username_key = $1");
        const BY_EMAIL: &str = select_where!("email_key = $1");
        let (text, key) = match identifier {
            Identifier::Username(key) => (BY_USERNAME, key),
            Identifier::Email(key) => (BY_EMAIL, key),
        };
        found(on!(self.database, pool => sqlx::query_as(text).bind(key).fetch_optional(pool).await))
    }

    async fn account_by_device(&self, device: &SecretHash) -> Result<Option<Account>, StoreError> {
        const BY_DEVICE: &str = select_where!("id = (SELECT user_id FROM device_identities WHERE secret_hash = $1)");
        if let Some(lookups) = &self.lookups {
            return lookups.by_device(device).await;
        }
        let hash = &device.as_bytes()[..];
        found(on!(self.database, pool => sqlx::query_as(BY_DEVICE).bind(hash).fetch_optional(pool).await))
    }

    async fn account_by_registration(&self, registration: Uuid) -> Result<Option<Account>, StoreError> {
        const BY_REGISTRATION: &str = select_where!("registration_id = $1");
        found(on!(self.database, pool => sqlx::query_as(BY_REGISTRATION).bind(registration).fetch_optional(pool).await))
    }

    async fn upgrade_guest(
        &self,
        id: Uuid,
        upgrade: &Upgrade,
        occasion: &Occasion,
    ) -> Result<Option<Account>, ClaimError> {
        const UPGRADE: &str = concat!(
            "UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, password_hash = $6 ",
            "WHERE id = $1 AND password_hash IS NULL RETURNING ",
            columns!()
        );
        let row: AccountRow = on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await.map_err(StoreError::from)?;
            let upgraded = sqlx::query_as(UPGRADE)
                .bind(id)
                .bind(upgrade.username.as_str())
                .bind(upgrade.username.key())
                .bind(upgrade.email.as_str())
                .bind(upgrade.email.key())
                .bind(&upgrade.password_hash)
                .fetch_optional(&mut *transaction)
                .await;
            let Some(row) = upgraded.map_err(claim_error)? else { return Ok(None) };
            record!(self, transaction, occasion, Fact::GuestUpgraded { user: id }).map_err(StoreError::from)?;
            transaction.commit().await.map_err(StoreError::from)?;
            row
        });
        self.written.notify_one();
        Ok(Some(row.try_into()?))
    }

    async fn change_password(
        &self,
        id: Uuid,
        change: &PasswordChange,
        occasion: &Occasion,
    ) -> Result<Option<i64>, StoreError> {
        const CHANGE: &str = "UPDATE users SET password_hash = $3, epoch = epoch + 1 \
             WHERE id = $1 AND password_hash = $2 RETURNING epoch";
        let epoch = on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let changed = sqlx::query_scalar(CHANGE).bind(id).bind(&change.old).bind(&change.new);
            let Some(epoch) = changed.fetch_optional(&mut *transaction).await? else { return Ok(None) };
            record!(self, transaction, occasion, Fact::PasswordChanged { user: id, session: change.session })?;
            transaction.commit().await?;
            epoch
        });
        self.written.notify_one();
        Ok(Some(epoch))
    }

    async fn rehash_password(&self, id: Uuid, old: &str, new: &str) -> Result<(), StoreError> {
        const REHASH: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
        on!(self.database, pool => sqlx::query(REHASH).bind(id).bind(old).bind(new).execute(pool).await.map(drop))?;
        Ok(())
    }

    async fn delete(&self, id: Uuid, occasion: &Occasion) -> Result<bool, StoreError> {
        const DELETE: &str = "DELETE FROM users WHERE id = $1";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            if sqlx::query(DELETE).bind(id).execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
            record!(self, transaction, occasion, Fact::Deleted { user: id })?;
            transaction.commit().await?;
        });
        self.written.notify_one();
        Ok(true)
    }

    async fn set_ban(
        &self,
        id: Uuid,
        ban: Option<&Ban>,
        actor: Uuid,
        occasion: &Occasion,
    ) -> Result<Option<i64>, StoreError> {
        const SET: &str = "UPDATE users SET ban_reason = $2, ban_until_ms = $3, epoch = epoch + $4 WHERE id = $1 \
             AND (ban_reason IS DISTINCT FROM $2 OR ban_until_ms IS DISTINCT FROM $3) RETURNING epoch";
        const UNCHANGED: &str = "SELECT epoch FROM users WHERE id = $1";
        let until = ban.and_then(|ban| ban.until);
        let fact = match ban {
            Some(_) => Fact::Banned { user: id, actor, until },
            None => Fact::Unbanned { user: id, actor },
        };
        let epoch = on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let set = sqlx::query_scalar(SET)
                .bind(id)
                .bind(ban.map(|ban| ban.reason.as_str()))
                .bind(until.map(to_millis))
                .bind(i64::from(ban.is_some()));
            let Some(epoch) = set.fetch_optional(&mut *transaction).await? else {
                return Ok(sqlx::query_scalar(UNCHANGED).bind(id).fetch_optional(&mut *transaction).await?);
            };
            record!(self, transaction, occasion, fact)?;
            transaction.commit().await?;
            epoch
        });
        self.written.notify_one();
        Ok(Some(epoch))
    }

    async fn set_role(
        &self,
        id: Uuid,
        role: AccountRole,
        actor: Uuid,
        occasion: &Occasion,
    ) -> Result<Option<i64>, StoreError> {
        // Locks the row, in the words of both databases, so that the role read is the one replaced.
        const LOCK: &str = "UPDATE users SET epoch = epoch WHERE id = $1 RETURNING role, epoch";
        const SET: &str = "UPDATE users SET role = $2, epoch = epoch + 1 WHERE id = $1 RETURNING epoch";
        let epoch = on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let locked: Option<(String, i64)> =
                sqlx::query_as(LOCK).bind(id).fetch_optional(&mut *transaction).await?;
            let Some((old, epoch)) = locked else { return Ok(None) };
            let old = role_from_store(&old)?;
            if old == role {
                return Ok(Some(epoch));
            }
            let set = sqlx::query_scalar(SET).bind(id).bind(role_to_store(role));
            let epoch = set.fetch_one(&mut *transaction).await?;
            record!(self, transaction, occasion, Fact::RoleChanged { user: id, actor, old, new: role })?;
            transaction.commit().await?;
            epoch
        });
        self.written.notify_one();
        Ok(Some(epoch))
    }
}

fn role_to_store(role: AccountRole) -> &'static str {
    match role {
        AccountRole::Player => "player",
        AccountRole::Admin => "admin",
    }
}

fn role_from_store(text: &str) -> Result<AccountRole, StoreError> {
    match text {
        "player" => Ok(AccountRole::Player),
        "admin" => Ok(AccountRole::Admin),
        other => Err(StoreError::broken(format!("the role {other:?}"))),
    }
}

fn found(row: Result<Option<AccountRow>, sqlx::Error>) -> Result<Option<Account>, StoreError> {
    row?.map(Account::try_from).transpose()
}

pub(super) fn claim_error(error: sqlx::Error) -> ClaimError {
    let taken = |column| violates_unique(&error, "users", column);
    if taken("username_key") {
        ClaimError::UsernameTaken
    } else if taken("email_key") {
        ClaimError::EmailTaken
    } else if taken("registration_id") {
        ClaimError::RegistrationUsed
    } else {
        ClaimError::Store(error.into())
    }
}

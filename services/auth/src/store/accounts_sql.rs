//! Accounts in Postgres or SQLite.

use async_trait::async_trait;
use pkg_db::{Database, from_millis, on, to_millis, violates_unique};
use sqlx::FromRow;
use uuid::Uuid;

use super::account_lookups_postgres::AccountLookups;
use super::{AccountStore, ClaimError, NewAccount, StoreError, Upgrade, broken};
use crate::account::{Account, AccountRole, Ban, Email, Identifier, Username};
use crate::secret::SecretHash;

/// Users in a database. Profiles and server credentials are ports of their own on the same tables.
#[derive(Clone)]
pub struct SqlAccounts {
    pub(super) database: Database,
    /// The look-ups of every sign-in and refresh, on Postgres.
    lookups: Option<AccountLookups>,
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
        Self { database, lookups }
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

const INSERT: &str = concat!(
    "INSERT INTO users (id, username, username_key, email, email_key, password_hash, registration_id, created_ms) ",
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ",
    columns!()
);

/// Binds a new account's values in the order of [`INSERT`].
macro_rules! insert {
    ($new:expr) => {
        sqlx::query_as::<_, AccountRow>(INSERT)
            .bind($new.id)
            .bind($new.username.as_str())
            .bind($new.username.key())
            .bind($new.email.as_ref().map(Email::as_str))
            .bind($new.email.as_ref().map(Email::key))
            .bind($new.password_hash.as_deref())
            .bind($new.registration_id)
            .bind(to_millis($new.created_at))
    };
}

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
            role: match row.role.as_str() {
                "player" => AccountRole::Player,
                "admin" => AccountRole::Admin,
                other => return Err(broken(format!("the role {other:?}"))),
            },
            epoch: row.epoch,
            ban: row.ban_reason.map(|reason| Ban { reason, until: row.ban_until_ms.map(from_millis) }),
            created_at: from_millis(row.created_ms),
        })
    }
}

#[async_trait]
impl AccountStore for SqlAccounts {
    async fn create(&self, new: &NewAccount) -> Result<Account, ClaimError> {
        let row = on!(self.database, pool => insert!(new).fetch_one(pool).await);
        Ok(Account::try_from(row.map_err(claim_error)?)?)
    }

    async fn create_guest(&self, new: &NewAccount, device: &SecretHash) -> Result<(Account, bool), ClaimError> {
        const CLAIM: &str = "INSERT INTO device_identities (secret_hash, user_id, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        on!(self.database, pool => {
            let mut transaction = pool.begin().await.map_err(StoreError::from)?;
            let row = insert!(new).fetch_one(&mut *transaction).await.map_err(claim_error)?;
            let claim = sqlx::query(CLAIM).bind(&device.as_bytes()[..]).bind(new.id).bind(to_millis(new.created_at));
            let claimed = claim.execute(&mut *transaction).await.map_err(StoreError::from)?.rows_affected() == 1;
            if claimed {
                transaction.commit().await.map_err(StoreError::from)?;
                return Ok((row.try_into()?, true));
            }
            transaction.rollback().await.map_err(StoreError::from)?;
        });
        let account = self.account_by_device(device).await?;
        let deleted = || StoreError::Unavailable("the device's account was deleted at the same time".into());
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

    async fn upgrade_guest(&self, id: Uuid, upgrade: &Upgrade) -> Result<Option<Account>, ClaimError> {
        const UPGRADE: &str = concat!(
            "UPDATE users SET username = $2, username_key = $3, email = $4, email_key = $5, password_hash = $6 ",
            "WHERE id = $1 AND password_hash IS NULL RETURNING ",
            columns!()
        );
        let row: Result<Option<AccountRow>, _> = on!(self.database, pool => {
            sqlx::query_as(UPGRADE)
                .bind(id)
                .bind(upgrade.username.as_str())
                .bind(upgrade.username.key())
                .bind(upgrade.email.as_str())
                .bind(upgrade.email.key())
                .bind(&upgrade.password_hash)
                .fetch_optional(pool)
                .await
        });
        Ok(row.map_err(claim_error)?.map(Account::try_from).transpose()?)
    }

    async fn change_password(&self, id: Uuid, old: &str, new: &str) -> Result<Option<i64>, StoreError> {
        const CHANGE: &str = "UPDATE users SET password_hash = $3, epoch = epoch + 1 \
             WHERE id = $1 AND password_hash = $2 RETURNING epoch";
        let epoch = on!(self.database, pool => {
            sqlx::query_scalar(CHANGE).bind(id).bind(old).bind(new).fetch_optional(pool).await
        });
        Ok(epoch?)
    }

    async fn rehash_password(&self, id: Uuid, old: &str, new: &str) -> Result<(), StoreError> {
        const REHASH: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
        on!(self.database, pool => sqlx::query(REHASH).bind(id).bind(old).bind(new).execute(pool).await.map(drop))?;
        Ok(())
    }

    async fn delete(&self, id: Uuid) -> Result<bool, StoreError> {
        const DELETE: &str = "DELETE FROM users WHERE id = $1";
        let deleted = on!(self.database, pool => {
            sqlx::query(DELETE).bind(id).execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(deleted? > 0)
    }

    async fn set_ban(&self, id: Uuid, ban: Option<&Ban>) -> Result<Option<i64>, StoreError> {
        const SET: &str = "UPDATE users SET ban_reason = $2, ban_until_ms = $3, epoch = epoch + $4 \
             WHERE id = $1 RETURNING epoch";
        let reason = ban.map(|ban| ban.reason.as_str());
        let until = ban.and_then(|ban| ban.until).map(to_millis);
        let epoch = on!(self.database, pool => {
            sqlx::query_scalar(SET)
                .bind(id)
                .bind(reason)
                .bind(until)
                .bind(i64::from(ban.is_some()))
                .fetch_optional(pool)
                .await
        });
        Ok(epoch?)
    }

    async fn set_role(&self, id: Uuid, role: AccountRole) -> Result<Option<i64>, StoreError> {
        const SET: &str = "UPDATE users SET role = $2, epoch = epoch + 1 WHERE id = $1 RETURNING epoch";
        let role = match role {
            AccountRole::Player => "player",
            AccountRole::Admin => "admin",
        };
        let epoch = on!(self.database, pool => sqlx::query_scalar(SET).bind(id).bind(role).fetch_optional(pool).await);
        Ok(epoch?)
    }
}

fn found(row: Result<Option<AccountRow>, sqlx::Error>) -> Result<Option<Account>, StoreError> {
    row?.map(Account::try_from).transpose()
}

fn claim_error(error: sqlx::Error) -> ClaimError {
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

//! How guests come into being in Postgres and SQLite: an account and the device that has it, or neither.

use pkg_db::{Database, to_millis};
use prost::Message;
use sqlx::{PgPool, SqlitePool};

use super::accounts_sql::{AccountRow, claim_error, insert};
use super::audit_outbox_sql::record;
use super::{ClaimError, NewAccount, SqlAccounts, StoreError};
use crate::audit::Occasion;
use crate::secret::SecretHash;

impl SqlAccounts {
    /// Creates an account for a device; `None` if the device has one.
    pub(super) async fn insert_guest(
        &self,
        new: &NewAccount,
        device: &SecretHash,
        occasion: &Occasion,
    ) -> Result<Option<AccountRow>, ClaimError> {
        match &self.database {
            Database::Postgres(pool) => in_postgres(pool, new, device, occasion).await,
            Database::Sqlite(pool) => self.in_sqlite(pool, new, device, occasion).await,
        }
    }

    async fn in_sqlite(
        &self,
        pool: &SqlitePool,
        new: &NewAccount,
        device: &SecretHash,
        occasion: &Occasion,
    ) -> Result<Option<AccountRow>, ClaimError> {
        const CLAIM: &str = "INSERT INTO device_identities (secret_hash, user_id, created_ms) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING";
        let mut transaction = pkg_db::begin(pool).await.map_err(StoreError::from)?;
        let row = insert!(new).fetch_one(&mut *transaction).await.map_err(claim_error)?;
        let claim = sqlx::query(CLAIM).bind(&device.as_bytes()[..]).bind(new.id).bind(to_millis(new.created_at));
        if claim.execute(&mut *transaction).await.map_err(StoreError::from)?.rows_affected() == 0 {
            return Ok(None);
        }
        record!(self, transaction, occasion, new.registered()).map_err(StoreError::from)?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(Some(row))
    }
}

async fn in_postgres(
    pool: &PgPool,
    new: &NewAccount,
    device: &SecretHash,
    occasion: &Occasion,
) -> Result<Option<AccountRow>, ClaimError> {
    // One round trip for both: new guests come in crowds.
    const CLAIM_AND_RECORD: &str = "WITH claimed AS (\
         INSERT INTO device_identities (secret_hash, user_id, created_ms) VALUES ($1, $2, $3) \
         ON CONFLICT DO NOTHING RETURNING user_id) \
         INSERT INTO audit_outbox (record_id, record) SELECT $4, $5 FROM claimed";
    let mut transaction = pkg_db::begin(pool).await.map_err(StoreError::from)?;
    let row = insert!(new).fetch_one(&mut *transaction).await.map_err(claim_error)?;
    let claim = sqlx::query(CLAIM_AND_RECORD)
        .bind(&device.as_bytes()[..])
        .bind(new.id)
        .bind(to_millis(new.created_at))
        .bind(occasion.record_id)
        .bind(occasion.record(&new.registered()).encode_to_vec());
    if claim.execute(&mut *transaction).await.map_err(StoreError::from)?.rows_affected() == 0 {
        return Ok(None);
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Some(row))
}

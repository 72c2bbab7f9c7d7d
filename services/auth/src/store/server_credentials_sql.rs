//! The credentials of game servers in Postgres or SQLite.

use async_trait::async_trait;
use pkg_db::{from_millis, on, to_millis};
use sqlx::FromRow;
use uuid::Uuid;

use super::audit_outbox_sql::record;
use super::{ServerCredentialStore, SqlAccounts, StoreError};
use crate::audit::{Fact, Occasion};
use crate::secret::SecretHash;
use crate::server_credential::{ServerCredential, ServerName};

#[derive(FromRow)]
struct CredentialRow {
    id: Uuid,
    name: String,
    created_ms: i64,
}

impl From<CredentialRow> for ServerCredential {
    fn from(row: CredentialRow) -> Self {
        Self { id: row.id, name: ServerName::from_store(row.name), created_at: from_millis(row.created_ms) }
    }
}

#[async_trait]
impl ServerCredentialStore for SqlAccounts {
    async fn add_credential(
        &self,
        new: &ServerCredential,
        secret: &SecretHash,
        most: usize,
        actor: Uuid,
        occasion: &Occasion,
    ) -> Result<bool, StoreError> {
        // Two calls at once may both see room for the last one: the limit guards memory, not a count.
        const ADD: &str = "INSERT INTO server_credentials (id, name, secret_hash, created_ms) \
             SELECT $1, $2, $3, $4 WHERE (SELECT COUNT(*) FROM server_credentials) < $5";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let added = sqlx::query(ADD)
                .bind(new.id)
                .bind(new.name.as_str())
                .bind(&secret.as_bytes()[..])
                .bind(to_millis(new.created_at))
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if added == 0 {
                return Ok(false);
            }
            record!(self, transaction, occasion, Fact::ServerCredentialCreated { credential: new.id, actor })?;
            transaction.commit().await?;
        });
        self.written.notify_one();
        Ok(true)
    }

    async fn credentials(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ServerCredential>, StoreError> {
        // Ids are UUIDv7: their order is that of creation.
        const PAGE: &str = "SELECT id, name, created_ms FROM server_credentials WHERE id > $1 ORDER BY id LIMIT $2";
        let after = after.unwrap_or(Uuid::nil());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<CredentialRow> =
            on!(self.database, pool => sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(pool).await)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn credential_secret(&self, id: Uuid) -> Result<Option<SecretHash>, StoreError> {
        const SECRET: &str = "SELECT secret_hash FROM server_credentials WHERE id = $1";
        let hash: Option<Vec<u8>> =
            on!(self.database, pool => sqlx::query_scalar(SECRET).bind(id).fetch_optional(pool).await)?;
        hash.map(SecretHash::try_from).transpose().map_err(|_| StoreError::broken("a hash of the wrong length"))
    }

    async fn delete_credential(&self, id: Uuid, actor: Uuid, occasion: &Occasion) -> Result<bool, StoreError> {
        const DELETE: &str = "DELETE FROM server_credentials WHERE id = $1";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            if sqlx::query(DELETE).bind(id).execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
            record!(self, transaction, occasion, Fact::ServerCredentialDeleted { credential: id, actor })?;
            transaction.commit().await?;
        });
        self.written.notify_one();
        Ok(true)
    }
}

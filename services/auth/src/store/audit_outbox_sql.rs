//! The outbox of changes in Postgres or SQLite: a table beside the accounts.

use async_trait::async_trait;
use pkg_api::log::v1::Record;
use pkg_db::{Database, on};
use prost::Message;
use sqlx::{FromRow, Postgres, QueryBuilder, SqlitePool, Transaction};
use uuid::Uuid;

use super::{AuditOutbox, OutboxClaim, OutboxRow, SqlAccounts, StoreError, TakenRows};

/// Writes a fact into the outbox, in the transaction of the change that it tells of and after it: so rows of one
/// account are numbered under the lock of its row, in the order in which they are committed.
macro_rules! record {
    ($store:expr, $transaction:expr, $occasion:expr, $fact:expr) => {
        sqlx::query($store.insert_into_outbox())
            .bind($occasion.record_id)
            .bind(prost::Message::encode_to_vec(&$occasion.record(&$fact)))
            .execute(&mut *$transaction)
            .await
    };
}
pub(super) use record;

const OLDEST: &str = "SELECT record_id, record FROM audit_outbox ORDER BY seq LIMIT $1";

#[derive(FromRow)]
struct Row {
    record_id: Uuid,
    record: Vec<u8>,
}

impl From<Row> for OutboxRow {
    fn from(row: Row) -> Self {
        Self { record_id: row.record_id, record: Record::decode(row.record.as_slice()) }
    }
}

impl SqlAccounts {
    /// The statement of [`record!`].
    pub(super) fn insert_into_outbox(&self) -> &'static str {
        match self.database {
            Database::Postgres(_) => "INSERT INTO audit_outbox (record_id, record) VALUES ($1, $2)",
            Database::Sqlite(_) => {
                "INSERT INTO audit_outbox (seq, record_id, record) \
                 SELECT COALESCE(MAX(seq), 0) + 1, $1, $2 FROM audit_outbox"
            }
        }
    }
}

#[cfg(test)]
impl SqlAccounts {
    /// Writes a row that need not be a record.
    pub(crate) async fn write_row(&self, record_id: Uuid, bytes: &[u8]) {
        let row = self.insert_into_outbox();
        on!(self.database, pool => sqlx::query(row).bind(record_id).bind(bytes).execute(pool).await.map(drop)).unwrap();
    }
}

#[async_trait]
impl AuditOutbox for SqlAccounts {
    async fn written(&self) {
        self.written.notified().await;
    }

    async fn waiting(&self, most: usize) -> Result<usize, StoreError> {
        const WAITING: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM audit_outbox LIMIT $1) AS waiting";
        let count: i64 =
            on!(self.database, pool => sqlx::query_scalar(WAITING).bind(limit(most)).fetch_one(pool).await)?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    async fn take(&self, most: usize) -> Result<Option<TakenRows>, StoreError> {
        // Held by the transaction, so that nothing has to be cleaned up after a process that dies. Locks are those of a
        // whole database, and the table's number is its own in each schema.
        const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock('audit_outbox'::regclass::bigint)";
        let (rows, claim): (Vec<Row>, Box<dyn OutboxClaim>) = match &self.database {
            Database::Postgres(pool) => {
                let mut transaction = pkg_db::begin(pool).await?;
                let locked: bool = sqlx::query_scalar(TRY_LOCK).fetch_one(&mut *transaction).await?;
                if !locked {
                    transaction.rollback().await?;
                    return Ok(None);
                }
                let rows = sqlx::query_as(OLDEST).bind(limit(most)).fetch_all(&mut *transaction).await?;
                (rows, Box::new(PostgresClaim { transaction }))
            }
            // One process, and one connection, which cannot be held while the log needs it.
            Database::Sqlite(pool) => {
                let rows = sqlx::query_as(OLDEST).bind(limit(most)).fetch_all(pool).await?;
                (rows, Box::new(SqliteClaim { pool: pool.clone() }))
            }
        };
        Ok(Some(TakenRows { rows: rows.into_iter().map(Into::into).collect(), claim }))
    }
}

struct PostgresClaim {
    transaction: Transaction<'static, Postgres>,
}

#[async_trait]
impl OutboxClaim for PostgresClaim {
    async fn delete(mut self: Box<Self>, done: &[Uuid]) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM audit_outbox WHERE record_id = ANY($1)";
        sqlx::query(DELETE).bind(done).execute(&mut *self.transaction).await?;
        Ok(self.transaction.commit().await?)
    }
}

struct SqliteClaim {
    pool: SqlitePool,
}

#[async_trait]
impl OutboxClaim for SqliteClaim {
    async fn delete(self: Box<Self>, done: &[Uuid]) -> Result<(), StoreError> {
        if done.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::new("DELETE FROM audit_outbox WHERE record_id IN (");
        let mut list = query.separated(", ");
        for id in done {
            list.push_bind(*id);
        }
        query.push(")");
        query.build().execute(&self.pool).await?;
        Ok(())
    }
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

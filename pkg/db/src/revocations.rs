//! Revoked sessions in the embedded store.

use async_trait::async_trait;
use pkg_auth::{REVOCATION_RETENTION, Revocation, Revocations, RevocationsUnavailable};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Database, from_millis, on, to_millis};

/// The revocations of an embedded store. Its table is in the `SQLite` history only: beside Postgres there is Redis, which
/// answers four reads a second from every replica more cheaply.
#[derive(Clone, Debug)]
pub struct SqlRevocations {
    database: Database,
}

impl SqlRevocations {
    /// Revocations in `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn insert(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let oldest = to_millis(now - REVOCATION_RETENTION);
        on!(self.database, pool => {
            let mut transaction = crate::begin(pool).await?;
            let latest: Option<i64> =
                sqlx::query_scalar("SELECT MAX(at_ms) FROM revocations").fetch_one(&mut *transaction).await?;
            // A clock that went back must not hide a revocation from readers who have seen a later one.
            let at = latest.unwrap_or(i64::MIN).max(to_millis(now));
            for session in sessions {
                let upsert = "INSERT INTO revocations (session_id, at_ms) VALUES ($1, $2)
                              ON CONFLICT (session_id) DO UPDATE SET at_ms = excluded.at_ms";
                sqlx::query(upsert).bind(session).bind(at).execute(&mut *transaction).await?;
            }
            let trim = "DELETE FROM revocations WHERE at_ms < $1";
            sqlx::query(trim).bind(oldest).execute(&mut *transaction).await?;
            transaction.commit().await
        })
    }

    async fn read(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, sqlx::Error> {
        let select = "SELECT session_id, at_ms FROM revocations WHERE at_ms >= $1 ORDER BY at_ms";
        let rows: Vec<(Uuid, i64)> = on!(self.database, pool => {
            sqlx::query_as(select).bind(to_millis(from)).fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(|(session, at)| Revocation { session, at: from_millis(at) }).collect())
    }
}

#[async_trait]
impl Revocations for SqlRevocations {
    async fn append(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), RevocationsUnavailable> {
        if sessions.is_empty() {
            return Ok(());
        }
        self.insert(sessions, now).await.map_err(unavailable)
    }

    async fn since(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, RevocationsUnavailable> {
        self.read(from).await.map_err(unavailable)
    }
}

fn unavailable(error: sqlx::Error) -> RevocationsUnavailable {
    RevocationsUnavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn the_contract_holds() {
        let database = testing::sqlite().await;
        pkg_auth::revocation_contract::verify(&SqlRevocations::new(database.clone())).await;
    }

    #[tokio::test]
    async fn what_is_older_than_any_token_is_trimmed() {
        let database = testing::sqlite().await;
        let store = SqlRevocations::new(database.clone());
        let start = from_millis(1_780_000_000_000);
        store.append(&[Uuid::from_u128(1)], start).await.unwrap();
        store.append(&[Uuid::from_u128(2)], start + REVOCATION_RETENTION).await.unwrap();
        assert_eq!(store.since(OffsetDateTime::UNIX_EPOCH).await.unwrap().len(), 2);

        let later = start + REVOCATION_RETENTION + time::Duration::milliseconds(1);
        store.append(&[Uuid::from_u128(3)], later).await.unwrap();
        let left = store.since(OffsetDateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(left.iter().map(|revocation| revocation.session.as_u128()).collect::<Vec<_>>(), [2, 3]);
    }
}

//! How far the log of accounts was worked on, in SQL.

use async_trait::async_trait;
use pkg_db::{Database, on};

use super::StoreError;
use crate::accounts_gone::AccountPositions;

/// A row for each partition.
pub struct SqlAccountPositions {
    database: Database,
}

impl SqlAccountPositions {
    /// The positions in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl AccountPositions for SqlAccountPositions {
    async fn next_offset(&self, partition: i32) -> Result<Option<i64>, StoreError> {
        let query = "SELECT next_offset FROM game_account_positions WHERE part = $1";
        Ok(on!(self.database, pool => {
            sqlx::query_scalar(query).bind(i64::from(partition)).fetch_optional(pool).await?
        }))
    }

    async fn advance(&self, partition: i32, next_offset: i64) -> Result<(), StoreError> {
        let query = "INSERT INTO game_account_positions (part, next_offset) VALUES ($1, $2)
             ON CONFLICT (part) DO UPDATE SET next_offset = excluded.next_offset
             WHERE game_account_positions.next_offset < excluded.next_offset";
        on!(self.database, pool => {
            sqlx::query(query).bind(i64::from(partition)).bind(next_offset).execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
async fn verify(positions: &dyn AccountPositions) {
    assert_eq!(positions.next_offset(3).await.unwrap(), None);
    positions.advance(3, 7).await.unwrap();
    positions.advance(4, 1).await.unwrap();
    positions.advance(3, 5).await.unwrap();
    assert_eq!(positions.next_offset(3).await.unwrap(), Some(7));
    assert_eq!(positions.next_offset(4).await.unwrap(), Some(1));
}

#[cfg(test)]
mod sqlite {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        super::verify(&super::SqlAccountPositions::new(database.clone())).await;
    }
}

#[cfg(test)]
mod real_postgres {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::postgres().await;
        super::verify(&super::SqlAccountPositions::new(database.clone())).await;
    }
}

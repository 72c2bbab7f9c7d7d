//! How far the log was worked on.

use async_trait::async_trait;
use pkg_db::{Database, on};
use pkg_log::Topic;

use super::StoreError;

/// How far the partitions of the log were worked on: in the database of the history.
#[async_trait]
pub trait Positions: Send + Sync {
    /// The offset to go on from; `None` before the first record.
    async fn next_offset(&self, topic: Topic, partition: i32) -> Result<Option<i64>, StoreError>;

    /// Notes that all before this offset is done. It never goes back.
    async fn advance(&self, topic: Topic, partition: i32, next_offset: i64) -> Result<(), StoreError>;
}

/// A row for each partition.
#[derive(Debug, Clone)]
pub struct SqlPositions {
    database: Database,
}

impl SqlPositions {
    /// The positions in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Positions for SqlPositions {
    async fn next_offset(&self, topic: Topic, partition: i32) -> Result<Option<i64>, StoreError> {
        let query = "SELECT next_offset FROM leaderboard_positions WHERE topic = $1 AND part = $2";
        Ok(on!(self.database, pool => {
            sqlx::query_scalar(query).bind(topic.name()).bind(i64::from(partition)).fetch_optional(pool).await?
        }))
    }

    async fn advance(&self, topic: Topic, partition: i32, next_offset: i64) -> Result<(), StoreError> {
        let query = "INSERT INTO leaderboard_positions (topic, part, next_offset) VALUES ($1, $2, $3)
             ON CONFLICT (topic, part) DO UPDATE SET next_offset = excluded.next_offset
             WHERE leaderboard_positions.next_offset < excluded.next_offset";
        on!(self.database, pool => {
            let query = sqlx::query(query).bind(topic.name()).bind(i64::from(partition)).bind(next_offset);
            query.execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
async fn verify(positions: &dyn Positions) {
    assert_eq!(positions.next_offset(Topic::Scores, 3).await.unwrap(), None);
    positions.advance(Topic::Scores, 3, 7).await.unwrap();
    positions.advance(Topic::Scores, 4, 1).await.unwrap();
    positions.advance(Topic::Accounts, 3, 2).await.unwrap();
    positions.advance(Topic::Scores, 3, 5).await.unwrap();
    assert_eq!(positions.next_offset(Topic::Scores, 3).await.unwrap(), Some(7));
    assert_eq!(positions.next_offset(Topic::Scores, 4).await.unwrap(), Some(1));
    assert_eq!(positions.next_offset(Topic::Accounts, 3).await.unwrap(), Some(2));
}

#[cfg(test)]
mod sqlite {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::sqlite().await;
        super::verify(&super::SqlPositions::new(database.clone())).await;
    }
}

#[cfg(test)]
mod real_postgres {
    #[tokio::test]
    async fn the_contract_holds() {
        let database = pkg_db::testing::postgres().await;
        super::verify(&super::SqlPositions::new(database.clone())).await;
    }
}

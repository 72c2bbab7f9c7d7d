//! How far the log of accounts was worked on, in SQL.

use async_trait::async_trait;
use pkg_db::{Database, on};

use super::StoreError;
use super::matches::AccountPositions;

/// A row for each partition.
#[derive(Debug, Clone)]
pub struct SqlAccountPositions {
    database: Database,
}

impl SqlAccountPositions {
    /// The positions in this database, which has the newest migrations.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl AccountPositions for SqlAccountPositions {
    async fn next_offset(&self, partition: i32) -> Result<Option<i64>, StoreError> {
        const NEXT: &str = "SELECT next_offset FROM matchmaking_positions WHERE topic = 'accounts' AND part = $1";
        let partition = i64::from(partition);
        Ok(on!(self.database, pool => sqlx::query_scalar(NEXT).bind(partition).fetch_optional(pool).await?))
    }

    async fn advance(&self, partition: i32, next_offset: i64) -> Result<(), StoreError> {
        const ADVANCE: &str = "INSERT INTO matchmaking_positions (topic, part, next_offset) \
             VALUES ('accounts', $1, $2) ON CONFLICT (topic, part) DO UPDATE SET next_offset = excluded.next_offset \
             WHERE matchmaking_positions.next_offset < excluded.next_offset";
        on!(self.database, pool => {
            sqlx::query(ADVANCE).bind(i64::from(partition)).bind(next_offset).execute(pool).await?;
        });
        Ok(())
    }
}

//! How far the log was worked on: beside what came of it, in the database of the service that works.

use std::marker::PhantomData;

use async_trait::async_trait;
use pkg_db::{Database, on};
use pkg_store::StoreError;
use sqlx::AssertSqlSafe;

use crate::Topic;

/// How far the partitions of the log were worked on.
#[async_trait]
pub trait Positions: Send + Sync {
    /// The offset to go on from; `None` before the first record.
    async fn next_offset(&self, topic: Topic, partition: i32) -> Result<Option<i64>, StoreError>;

    /// Notes that all before this offset is done. It never goes back.
    async fn advance(&self, topic: Topic, partition: i32, next_offset: i64) -> Result<(), StoreError>;
}

/// A table with a row for each partition. Its columns are `topic`, `part` and `next_offset`; the first two are its key.
pub trait PositionsTable: Send + Sync + 'static {
    /// Its name.
    const NAME: &'static str;
    /// The one topic that it is about, if it has no column `topic`. Other topics are [`StoreError::Broken`].
    const ONLY: Option<Topic> = None;
}

/// The positions in a table of a database.
#[derive(Debug, Clone)]
pub struct SqlPositions<T> {
    database: Database,
    table: PhantomData<T>,
}

impl<T: PositionsTable> SqlPositions<T> {
    /// The positions in this database, which has the newest migrations.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, table: PhantomData }
    }

    /// What stands before `part` in lists of columns, and before its value.
    fn topic(topic: Topic) -> Result<(&'static str, String), StoreError> {
        match T::ONLY {
            None => Ok(("topic, ", format!("'{}', ", topic.name()))),
            Some(only) if only == topic => Ok(("", String::new())),
            Some(only) => Err(StoreError::broken(format!("{} has positions of {only} alone, not of {topic}", T::NAME))),
        }
    }
}

#[async_trait]
impl<T: PositionsTable> Positions for SqlPositions<T> {
    async fn next_offset(&self, topic: Topic, partition: i32) -> Result<Option<i64>, StoreError> {
        let (table, (column, value)) = (T::NAME, Self::topic(topic)?);
        let query = format!("SELECT next_offset FROM {table} WHERE ({column}part) = ({value}$1)");
        Ok(on!(self.database, pool => {
            sqlx::query_scalar(AssertSqlSafe(query)).bind(i64::from(partition)).fetch_optional(pool).await?
        }))
    }

    async fn advance(&self, topic: Topic, partition: i32, next_offset: i64) -> Result<(), StoreError> {
        let (table, (column, value)) = (T::NAME, Self::topic(topic)?);
        let query = format!(
            "INSERT INTO {table} ({column}part, next_offset) VALUES ({value}$1, $2)
             ON CONFLICT ({column}part) DO UPDATE SET next_offset = excluded.next_offset
             WHERE {table}.next_offset < excluded.next_offset"
        );
        on!(self.database, pool => {
            sqlx::query(AssertSqlSafe(query)).bind(i64::from(partition)).bind(next_offset).execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::positions_contract::verify;

    #[derive(Debug, Clone)]
    struct AllTopics;

    impl PositionsTable for AllTopics {
        const NAME: &'static str = "all_positions";
    }

    #[derive(Debug, Clone)]
    struct Accounts;

    impl PositionsTable for Accounts {
        const NAME: &'static str = "account_positions";
        const ONLY: Option<Topic> = Some(Topic::Accounts);
    }

    async fn contract(database: &Database) {
        for table in [
            "CREATE TABLE all_positions (topic TEXT, part BIGINT, next_offset BIGINT, PRIMARY KEY (topic, part))",
            "CREATE TABLE account_positions (part BIGINT PRIMARY KEY, next_offset BIGINT)",
        ] {
            on!(database, pool => { sqlx::query(table).execute(pool).await.unwrap(); });
        }
        verify(&SqlPositions::<AllTopics>::new(database.clone()), &Topic::ALL).await;
        let accounts = SqlPositions::<Accounts>::new(database.clone());
        verify(&accounts, &[Topic::Accounts]).await;
        assert!(matches!(accounts.next_offset(Topic::Scores, 3).await, Err(StoreError::Broken(_))));
        assert!(matches!(accounts.advance(Topic::Scores, 3, 9).await, Err(StoreError::Broken(_))));
        assert_eq!(accounts.next_offset(Topic::Accounts, 3).await.unwrap(), Some(7));
    }

    mod sqlite {
        #[tokio::test]
        async fn the_contract_holds() {
            let database = pkg_db::testing::sqlite().await;
            super::contract(&database).await;
        }
    }

    mod real_postgres {
        #[tokio::test]
        async fn the_contract_holds() {
            let database = pkg_db::testing::postgres().await;
            super::contract(&database).await;
        }
    }
}

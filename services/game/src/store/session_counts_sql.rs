//! How many sessions were created, in Postgres or SQLite.

use async_trait::async_trait;
use pkg_db::{Database, on, to_millis};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Place, SessionCount, SessionCounts, StoreError, rows};

/// Counts of sessions in the database of the games.
#[derive(Clone)]
pub struct SqlSessionCounts {
    database: Database,
}

impl SqlSessionCounts {
    /// The counts of a migrated database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[derive(FromRow)]
struct PlaceRow {
    place: i64,
    game_id: Uuid,
    sessions: i64,
}

#[async_trait]
impl SessionCounts for SqlSessionCounts {
    async fn add(&self, counts: &[SessionCount]) -> Result<(), StoreError> {
        const ADD: &str = "INSERT INTO session_counts (hour_ms, game_id, sessions) VALUES ($1, $2, $3) \
             ON CONFLICT (hour_ms, game_id) DO UPDATE SET sessions = session_counts.sessions + excluded.sessions";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            for count in counts {
                let add = sqlx::query(ADD).bind(to_millis(count.hour)).bind(count.game).bind(i64::from(count.sessions));
                add.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    async fn take_trend(
        &self,
        moment: OffsetDateTime,
        since: OffsetDateTime,
        keep_from: OffsetDateTime,
    ) -> Result<(), StoreError> {
        // Of several replicas the first one writes; the others wait for its commit and find that it did.
        const CLAIM: &str = "INSERT INTO trends (taken_ms) VALUES ($1) ON CONFLICT DO NOTHING";
        const TAKE: &str = "INSERT INTO trend_places (taken_ms, place, game_id, sessions) \
             SELECT $1, ROW_NUMBER() OVER (ORDER BY counted.sessions DESC, counted.key), counted.id, counted.sessions \
             FROM (SELECT id, key, CAST(COALESCE(SUM(session_counts.sessions), 0) AS BIGINT) AS sessions FROM games \
             LEFT JOIN session_counts ON game_id = id AND hour_ms >= $2 \
             WHERE state = 'active' GROUP BY id, key) AS counted";
        const FORGET_TRENDS: &str = "DELETE FROM trends WHERE taken_ms < $1";
        const FORGET_COUNTS: &str = "DELETE FROM session_counts WHERE hour_ms < $1";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let claimed = sqlx::query(CLAIM).bind(to_millis(moment)).execute(&mut *transaction).await?;
            if claimed.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(());
            }
            let take = sqlx::query(TAKE).bind(to_millis(moment)).bind(to_millis(since));
            take.execute(&mut *transaction).await?;
            sqlx::query(FORGET_TRENDS).bind(to_millis(keep_from)).execute(&mut *transaction).await?;
            sqlx::query(FORGET_COUNTS).bind(to_millis(since)).execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(())
    }

    async fn trend(&self, moment: OffsetDateTime, after: i64, limit: usize) -> Result<Vec<Place>, StoreError> {
        const PAGE: &str = "SELECT place, game_id, sessions FROM trend_places \
             WHERE taken_ms = $1 AND place > $2 ORDER BY place LIMIT $3";
        let found: Vec<PlaceRow> = on!(self.database, pool => {
            sqlx::query_as(PAGE).bind(to_millis(moment)).bind(after).bind(rows(limit)).fetch_all(pool).await
        })?;
        let place = |row: PlaceRow| Place { number: row.place, game: row.game_id, sessions: row.sessions };
        Ok(found.into_iter().map(place).collect())
    }
}

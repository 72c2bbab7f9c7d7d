//! Removing what has been there for long enough.

use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_db::to_millis;
use sqlx::sqlite::SqlitePool;

use crate::Topic;

/// How often old records are removed.
const TRIM_INTERVAL: Duration = Duration::from_hours(1);
/// The most records that are removed by one statement: others wait for the connection.
const TRIM_STEP: i64 = 1_000;

/// Removes old records for ever.
pub(super) async fn trim(pool: SqlitePool, ambient: Ambient, accounts_retention: Duration) {
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for topic in Topic::ALL {
            let Some(retention) = topic.retention(accounts_retention) else { continue };
            let oldest_ms = to_millis(ambient.now() - retention);
            match trim_topic(&pool, topic, oldest_ms).await {
                Ok(0) => (),
                Ok(removed) => tracing::info!(%topic, removed, "removed old records from the log"),
                Err(error) => tracing::warn!(%topic, %error, "old records stay in the log for now"),
            }
        }
    }
}

/// Removes what is older, and says how much that was. Times rise along a partition, so it looks no further than the first
/// record that stays, give or take a step.
pub(super) async fn trim_topic(pool: &SqlitePool, topic: Topic, oldest_ms: i64) -> Result<u64, sqlx::Error> {
    let delete = "DELETE FROM log_records
        WHERE topic = $1 AND partition_number = $2 AND at_ms < $3 AND record_offset < $4 +
            (SELECT MIN(record_offset) FROM log_records WHERE topic = $1 AND partition_number = $2)";
    let mut removed = 0;
    for partition in 0..topic.partitions() {
        loop {
            let query = sqlx::query(delete).bind(topic.name()).bind(partition).bind(oldest_ms).bind(TRIM_STEP);
            let step = query.execute(pool).await?.rows_affected();
            if step == 0 {
                break;
            }
            removed += step;
        }
    }
    Ok(removed)
}

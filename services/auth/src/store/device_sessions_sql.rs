//! Device sessions in SQLite: a row per user.

use async_trait::async_trait;
use pkg_db::{Database, on, to_millis};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DeviceSessionStore, Loaded, StoreError, decode, encode};

/// The embedded store of device sessions.
#[derive(Clone)]
pub struct SqlDeviceSessions {
    database: Database,
}

impl SqlDeviceSessions {
    /// The sessions of a migrated SQLite database; Postgres has no such table.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl DeviceSessionStore for SqlDeviceSessions {
    async fn load(&self, user: Uuid) -> Result<Loaded, StoreError> {
        const LOAD: &str = "SELECT version, body FROM device_sessions WHERE user_id = $1";
        let row: Option<(i64, String)> =
            on!(self.database, pool => sqlx::query_as(LOAD).bind(user).fetch_optional(pool).await)?;
        row.map_or_else(|| Ok(Loaded::default()), |(version, body)| decode(version, &body))
    }

    async fn save(
        &self,
        user: Uuid,
        loaded: &Loaded,
        now: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        const FORGET: &str = "DELETE FROM device_sessions WHERE expires_ms <= $1 AND user_id <> $2";
        const INSERT: &str = "INSERT INTO device_sessions (user_id, version, body, expires_ms) \
             VALUES ($1, $2 + 1, $3, $4) ON CONFLICT (user_id) DO NOTHING";
        const UPDATE: &str = "UPDATE device_sessions SET version = version + 1, body = $3, expires_ms = $4 \
             WHERE user_id = $1 AND version = $2";
        let save = if loaded.version == 0 { INSERT } else { UPDATE };
        let saved = on!(self.database, pool => {
            sqlx::query(FORGET).bind(to_millis(now)).bind(user).execute(pool).await?;
            sqlx::query(save)
                .bind(user)
                .bind(loaded.version)
                .bind(encode(loaded)?)
                .bind(to_millis(keep_until))
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(saved == 1)
    }
}

//! Postgres and Redis, as every role on real stores has them.

use std::sync::Arc;

use anyhow::Context;
use pkg_db::{Database, PostgresSettings};
use pkg_middleware::Dependency;
use pkg_redis::Redis;
use secrecy::ExposeSecret;

use crate::migrate;
use crate::options::{POSTGRES_URL, REDIS_URL, StoreOptions};
use crate::readiness::{DatabaseReadiness, RedisReadiness};

/// Connections to the stores of a role.
pub struct Opened {
    pub database: Database,
    pub redis: Redis,
}

impl Opened {
    /// Connects, or says which option keeps it from that. A schema that is older than this executable is refused.
    pub async fn open(options: &StoreOptions) -> anyhow::Result<Self> {
        let postgres = PostgresSettings {
            max_connections: options.postgres.connections.get(),
            schema: options.postgres.schema.clone(),
            ..PostgresSettings::default()
        };
        let redis = pkg_redis::Settings {
            pool_size: options.redis_connections.get() as usize,
            prefix: options.redis_prefix.clone(),
            ..pkg_redis::Settings::default()
        };
        let database = Database::postgres(options.postgres.url.expose_secret(), postgres).await;
        let redis = Redis::connect(options.redis_url.expose_secret(), redis).await;
        let opened = Self { database: database.context(POSTGRES_URL)?, redis: redis.context(REDIS_URL)? };
        migrate::check_is_current(&opened.database).await?;
        Ok(opened)
    }

    /// As health checks see them.
    pub fn readiness(&self) -> Vec<(&'static str, Arc<dyn Dependency>)> {
        vec![
            ("postgres", Arc::new(DatabaseReadiness(self.database.clone()))),
            ("redis", Arc::new(RedisReadiness(self.redis.clone()))),
        ]
    }

    /// Ends the connections.
    pub async fn close(self) {
        self.database.close().await;
        self.redis.close().await;
    }
}

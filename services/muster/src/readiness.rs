//! The stores as health checks see them.

use std::time::Duration;

use async_trait::async_trait;
use pkg_db::Database;
use pkg_middleware::Dependency;
use pkg_redis::Redis;

/// How long a store may take to answer. The server's own time-out is longer and says less.
const PING_TIMEOUT: Duration = Duration::from_millis(800);

pub struct DatabaseReadiness(pub Database);

#[async_trait]
impl Dependency for DatabaseReadiness {
    fn name(&self) -> &str {
        match self.0 {
            Database::Postgres(_) => "postgres",
            Database::Sqlite(_) => "sqlite",
        }
    }

    async fn check(&self) -> Result<(), String> {
        self.0.ping(PING_TIMEOUT).await.map_err(|error| error.to_string())
    }
}

pub struct RedisReadiness(pub Redis);

#[async_trait]
impl Dependency for RedisReadiness {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.ping().await.map_err(|error| error.to_string())
    }
}

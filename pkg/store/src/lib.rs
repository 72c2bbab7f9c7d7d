//! How the stores of services fail, whatever stands behind them: Postgres, `SQLite`, Redis or memory.
//!
//! What a database or Redis says becomes a [`StoreError`] by `?`.

use std::error::Error;
use std::sync::Arc;

use pkg_batching::Unanswered;
use pkg_redis::RedisError;

/// A store could not do what it was asked. A clone has the same cause, so one failure answers all calls of a batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or is overloaded: the same call may succeed later. It may or may not have done it.
    #[error("the store is not available")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// It holds or answered something that it must not: a defect.
    #[error("the store answered something unexpected")]
    Broken(#[source] Arc<dyn Error + Send + Sync>),
}

impl StoreError {
    /// The same call may succeed later.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }

    /// Something is stored or was answered that must not be.
    pub fn broken(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Broken(cause.into().into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if pkg_db::is_unavailable(&error) { Self::unavailable(error) } else { Self::broken(error) }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.is_unavailable() { Self::unavailable(error) } else { Self::broken(error) }
    }
}

impl From<Unanswered> for StoreError {
    fn from(error: Unanswered) -> Self {
        Self::broken(error)
    }
}

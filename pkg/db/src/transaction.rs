//! Transactions that are begun to their end.

use sqlx::{Database, Pool, Transaction};

/// Begins a transaction.
///
/// A `begin` of sqlx that is dropped half-way leaves its connection in a transaction that nobody commits, and what the next
/// callers write on it is lost. So it runs in a task of its own, which is not dropped with who waits for it: what has begun
/// for nobody is rolled back.
pub async fn begin<DB: Database>(pool: &Pool<DB>) -> Result<Transaction<'static, DB>, sqlx::Error> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that begins transactions")]
    let begun = tokio::spawn(async move { pool.begin().await });
    begun.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime ends.
        Err(_) => Err(sqlx::Error::PoolClosed),
    })
}

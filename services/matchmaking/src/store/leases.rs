//! The port of leases: which worker has which queue.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{QueueId, StoreError};

/// A queue that a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub queue: QueueId,
    /// Higher than that of every lease of the queue before: it rises whenever one is taken, not when it is renewed.
    pub epoch: i64,
}

/// Which worker has which queue: Postgres or SQLite. Times are those of the database's clock, spans to the millisecond.
///
/// A worker counts its own lease from before it asked for it, by a clock that only goes forward: then it knows before
/// anybody else that it is over. Every call may be repeated when its outcome is unknown.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Notes that a worker is alive for so long, and says which ones are, itself among them, in the order of their ids.
    async fn beat(&self, worker: Uuid, lifetime: Duration) -> Result<Vec<Uuid>, StoreError>;

    /// Takes those of these queues that nobody has. Those that the worker has already are renewed, with their epochs. In
    /// any order.
    async fn acquire(&self, worker: Uuid, queues: &[QueueId], lifetime: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Holds on to those of these queues that the worker has, and says which these are. One whose time is over is lost,
    /// even if nobody has taken it.
    async fn renew(&self, worker: Uuid, queues: &[QueueId], lifetime: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Lets queues go, for others to take at once.
    async fn release(&self, worker: Uuid, queues: &[QueueId]) -> Result<(), StoreError>;

    /// The worker ends: it is not alive any more, and all of its queues are let go.
    async fn leave(&self, worker: Uuid) -> Result<(), StoreError>;
}

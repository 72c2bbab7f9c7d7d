//! The port of presence, and its adapters: Redis or memory. Everything in it is repaired by the next signs.

#[cfg(test)]
mod contract;
mod memory;
mod redis;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

pub use memory::MemoryPresence;
pub use redis::RedisPresence;

use super::StoreError;
use crate::presence::{DeviceSign, QueuedReport, Trace};

/// Signs of devices, and who waits in queues.
#[async_trait]
pub trait PresenceStore: Send + Sync {
    /// Takes signs of different devices, which hold for 45 s.
    async fn record(&self, signs: &[DeviceSign], now: OffsetDateTime) -> Result<(), StoreError>;

    /// Takes reports; who waits counts as waiting until then.
    async fn report_queued(
        &self,
        reports: &[QueuedReport],
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// One for each player, in their order.
    async fn traces(&self, players: &[Uuid], now: OffsetDateTime) -> Result<Vec<Trace>, StoreError>;
}

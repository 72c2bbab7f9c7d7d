//! How full and how fast a queue is.

use std::time::Duration;

use pkg_definition::{Key, Region};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Actor, AskError, Tickets};
use crate::store::QueueId;
use crate::waits::Summary;

/// The part of the matches whose wait is told as the long one.
const LONG: f64 = 0.95;

/// How full and how fast a queue is.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueStats {
    pub tickets: u64,
    pub players: u64,
    pub oldest_wait: Option<Duration>,
    pub median_wait: Option<Duration>,
    pub p95_wait: Option<Duration>,
    pub matches: u64,
    pub regions: Vec<(Region, u64)>,
    pub counted_at: OffsetDateTime,
}

impl Tickets {
    /// How full and how fast a queue is, as its worker counted it a moment ago.
    pub async fn stats(&self, game: Uuid, key: &Key, by: Actor) -> Result<QueueStats, AskError> {
        self.inner.limits.read(by).map_err(|retry_after| AskError::Limited { retry_after })?;
        let ports = &self.inner.ports;
        ports.queues.find(game, key).await?;
        let queue = QueueId { game, key: key.clone() };
        let (told, now) = (self.inner.summaries.of(&queue).await?, ports.ambient.now());
        let told = match told {
            Some(told) => told,
            // Nobody counts just now.
            None => Summary {
                counted_at: pkg_db::to_millis(now),
                tickets: ports.tickets.waiting_count(&queue).await?,
                ..Summary::default()
            }
            .into(),
        };
        Ok(QueueStats {
            tickets: told.tickets,
            players: told.players,
            oldest_wait: told.oldest_wait(),
            median_wait: told.recent.quantile(0.5, now),
            p95_wait: told.recent.quantile(LONG, now),
            matches: told.recent.matches(now),
            regions: told.players_by_region().collect(),
            counted_at: pkg_db::from_millis(told.counted_at),
        })
    }
}

//! Counting sessions as they are created, so that nobody who creates one waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pkg_ambient::Ambient;
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{SessionCount, SessionCounts};

/// How often counts are written. A process that is killed loses those since.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// A write that takes longer has failed.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// How many counts, of games and hours, wait for a store that does not answer; more are dropped.
const PENDING_MAX: usize = 10_000;

/// How many sessions of each game were created. Clones share it.
///
/// The counts serve the list of trending games: they are nearly right. A process that is killed loses the last seconds,
/// and a write whose answer is lost is counted twice.
#[derive(Clone)]
pub struct SessionTally {
    shared: Arc<Shared>,
}

struct Shared {
    counts: Arc<dyn SessionCounts>,
    pending: Mutex<HashMap<(Uuid, OffsetDateTime), u32>>,
    ambient: Ambient,
}

/// The beginning of the hour.
pub(super) fn hour_of(time: OffsetDateTime) -> OffsetDateTime {
    time.truncate_to_hour()
}

impl SessionTally {
    pub(crate) fn new(counts: Arc<dyn SessionCounts>, ambient: Ambient) -> Self {
        Self { shared: Arc::new(Shared { counts, pending: Mutex::default(), ambient }) }
    }

    /// Counts sessions of a game that were created now.
    pub fn record(&self, game: Uuid, sessions: u32) {
        let hour = hour_of(self.shared.ambient.now());
        self.add(&SessionCount { game, hour, sessions });
    }

    fn add(&self, count: &SessionCount) {
        let mut pending = self.pending();
        if pending.len() >= PENDING_MAX && !pending.contains_key(&(count.game, count.hour)) {
            return;
        }
        let sessions = pending.entry((count.game, count.hour)).or_default();
        *sessions = sessions.saturating_add(count.sessions);
    }

    /// Writes counts until it is told to end, then once more.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ends = tokio::select! {
                () = shutdown.cancelled() => true,
                _ = ticks.tick() => false,
            };
            self.flush().await;
            if ends {
                return;
            }
        }
    }

    /// Writes what was counted; what cannot be written is kept.
    pub(crate) async fn flush(&self) {
        let counted = std::mem::take(&mut *self.pending());
        if counted.is_empty() {
            return;
        }
        let counted = counted.into_iter().map(|((game, hour), sessions)| SessionCount { game, hour, sessions });
        let mut counted: Vec<SessionCount> = counted.collect();
        // Replicas that write at once take the rows in one order.
        counted.sort_by_key(|count| (count.hour, count.game));
        let error = match tokio::time::timeout(FLUSH_TIMEOUT, self.shared.counts.add(&counted)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {FLUSH_TIMEOUT:?}"),
        };
        tracing::warn!(error, counts = counted.len(), "counts of sessions cannot be written now");
        for count in &counted {
            self.add(count);
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<(Uuid, OffsetDateTime), u32>> {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

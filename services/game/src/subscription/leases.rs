//! The streams on this node that keep seats: told to the sessions when they open and close, and every while between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sessions::{Lease, RENEW_EVERY, SessionError, Sessions};

/// How many closed streams wait to be told at most. Beyond that their leases run out by themselves.
const CLOSED_WAITING: usize = 10_000;
/// How many closed streams are told at once.
const TOLD_AT_ONCE: usize = 16;
/// How long the last ones may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The leases of this node.
pub struct Leases {
    sessions: Sessions,
    state: Mutex<State>,
    has_closed: Notify,
    /// Whether this node goes away: its players come back elsewhere, so their seats are left to the leases.
    leaving: AtomicBool,
}

#[derive(Default)]
struct State {
    open: HashMap<Uuid, Lease>,
    closed: Vec<Lease>,
}

/// A stream that keeps a seat, for as long as this value lives.
pub struct OpenLease {
    leases: Arc<Leases>,
    stream: Uuid,
}

impl Leases {
    pub fn new(sessions: Sessions) -> Arc<Self> {
        Arc::new(Self { sessions, state: Mutex::default(), has_closed: Notify::new(), leaving: AtomicBool::new(false) })
    }

    /// Tells that a stream was opened, and keeps it up until the value is dropped.
    pub async fn open(self: &Arc<Self>, lease: Lease) -> Result<OpenLease, SessionError> {
        self.lock().open.insert(lease.stream, lease);
        // Made first: if this is given up meanwhile, it is told as closed.
        let open = OpenLease { leases: self.clone(), stream: lease.stream };
        self.sessions.stream_opened(&lease).await?;
        Ok(open)
    }

    /// From here on, streams that close are not told: their players come back to another node within the lease.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Renews leases and tells of closed streams until the end.
    pub async fn keep(self: Arc<Self>, shutdown: CancellationToken) {
        let mut clock = interval(RENEW_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = clock.tick() => self.renew().await,
                () = self.has_closed.notified() => self.tell_closed().await,
            }
        }
        // What is not told by then runs out.
        let _ = tokio::time::timeout(LAST_WORDS, self.tell_closed()).await;
    }

    async fn renew(&self) {
        let leases: Vec<Lease> = self.lock().open.values().copied().collect();
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.sessions.renew(&leases).await {
            tracing::warn!(leases = leases.len(), error = &error as &dyn std::error::Error, "leases were not renewed");
        }
    }

    async fn tell_closed(&self) {
        let closed = std::mem::take(&mut self.lock().closed);
        let tell = async |lease: Lease| {
            if let Err(error) = self.sessions.stream_closed(&lease).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a lease is left to run out");
            }
        };
        stream::iter(closed).for_each_concurrent(TOLD_AT_ONCE, tell).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenLease {
    fn drop(&mut self) {
        let mut state = self.leases.lock();
        let Some(lease) = state.open.remove(&self.stream) else { return };
        if self.leases.leaving.load(Ordering::Relaxed) || state.closed.len() >= CLOSED_WAITING {
            return;
        }
        state.closed.push(lease);
        drop(state);
        self.leases.has_closed.notify_one();
    }
}

//! Revocations of sessions, followed on every replica without a round trip per call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use metrics::Gauge;
use pkg_ambient::Ambient;
use pkg_auth::{REVOCATION_RETENTION, Revocation, RevocationSet, Revocations, RevocationsUnavailable};
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::service::Dependency;

/// How often new revocations are read.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A replica that has read nothing for so long may accept revoked tokens, and says that it is not serving.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// A read that takes longer has failed. The first one may have very much to read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

type Listener = Box<dyn Fn(Uuid) + Send + Sync>;

/// What this replica knows of revoked sessions. Clones share it.
///
/// A revocation made anywhere is known here within a [`POLL_INTERVAL`] and the time of a read. As a [`Dependency`] it
/// fails when nothing could be read for [`STALE_AFTER`].
#[derive(Clone)]
pub struct RevocationWatch {
    shared: Arc<Shared>,
}

struct Shared {
    source: Arc<dyn Revocations>,
    ambient: Ambient,
    known: RwLock<RevocationSet>,
    listeners: RwLock<Vec<Listener>>,
    progress: Mutex<Progress>,
    /// When the last successful read began, for those who watch from outside.
    read_timestamp: Gauge,
    failing: AtomicBool,
}

#[derive(Default)]
struct Progress {
    /// When the last successful read began.
    read_at: Option<Instant>,
    /// The latest revocation seen, by the source's clock.
    latest: Option<Revocation>,
}

impl RevocationWatch {
    /// A watch over this source. It knows nothing until it is mounted on a server, or [`Self::poll`] has been called.
    #[must_use]
    pub fn new(source: Arc<dyn Revocations>, ambient: Ambient) -> Self {
        metrics::describe_gauge!(
            "muster_revocations_read_timestamp_seconds",
            "When the newest successful read of revocations began, in seconds since 1970; 0 before the first."
        );
        let shared = Shared {
            source,
            ambient,
            known: RwLock::default(),
            listeners: RwLock::default(),
            progress: Mutex::default(),
            read_timestamp: metrics::gauge!("muster_revocations_read_timestamp_seconds"),
            failing: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Revokes sessions everywhere: durably when it returns, here at once, on other replicas within a poll.
    pub async fn revoke(&self, sessions: &[Uuid]) -> Result<(), RevocationsUnavailable> {
        self.shared.source.append(sessions, self.shared.ambient.now()).await?;
        self.apply(sessions.iter().copied());
        Ok(())
    }

    /// Whether the session is revoked, as far as is known here.
    #[must_use]
    pub fn is_revoked(&self, session: Uuid) -> bool {
        self.shared.known.read().unwrap_or_else(PoisonError::into_inner).contains(session)
    }

    /// Whether the source was read at least once, without which nothing is known.
    #[must_use]
    pub fn has_read(&self) -> bool {
        self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner).read_at.is_some()
    }

    /// Whether nothing could be read for [`STALE_AFTER`].
    #[must_use]
    pub fn stale(&self) -> bool {
        let progress = self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.read_at.is_none_or(|at| at.elapsed() >= STALE_AFTER)
    }

    /// Reads what is new, once.
    pub async fn poll(&self) -> Result<(), RevocationsUnavailable> {
        let shared = &self.shared;
        let (read_at, now) = (Instant::now(), shared.ambient.now());
        let new = self.read_new().await?;
        let latest = new.iter().max_by_key(|revocation| revocation.at).copied();
        self.apply(new.into_iter().map(|revocation| revocation.session));
        {
            let mut progress = shared.progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.read_at = Some(read_at);
            progress.latest = latest;
        }
        shared.read_timestamp.set((now - OffsetDateTime::UNIX_EPOCH).as_seconds_f64());
        let oldest = now - REVOCATION_RETENTION;
        shared.known.write().unwrap_or_else(PoisonError::into_inner).forget_before(oldest);
        Ok(())
    }

    /// Polls until the token is cancelled.
    pub(crate) async fn follow(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if shutdown.run_until_cancelled(self.read()).await.is_none() {
                return;
            }
        }
    }

    /// Polls once, and logs when that begins to fail or to work again.
    pub(crate) async fn read(&self) {
        let error = match tokio::time::timeout(READ_TIMEOUT, self.poll()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error}: {}", error.0)),
            Err(_elapsed) => Some("the read took too long".to_owned()),
        };
        // Once per change rather than four times a second.
        let failed_before = self.shared.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !failed_before => tracing::warn!(error, "revocations cannot be read"),
            None if failed_before => tracing::info!("revocations can be read again"),
            _ => {}
        }
    }

    /// Calls `listener` with every session that becomes revoked from now on, after [`Self::is_revoked`] says so.
    pub(crate) fn listen(&self, listener: impl Fn(Uuid) + Send + Sync + 'static) {
        self.shared.listeners.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// What came since the latest revocation seen, which is read again. If it is not there any more, the store has lost
    /// what it had last, and may have given older times to newer revocations: then all is read.
    ///
    /// Only the store's own clock counts here: ours may differ from it by any amount.
    async fn read_new(&self) -> Result<Vec<Revocation>, RevocationsUnavailable> {
        let latest = self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner).latest;
        if let Some(latest) = latest {
            let new = self.shared.source.since(latest.at).await?;
            if new.iter().any(|revocation| revocation.session == latest.session) {
                return Ok(new);
            }
        }
        self.shared.source.since(OffsetDateTime::UNIX_EPOCH).await
    }

    /// Remembers sessions as revoked since now, by our clock, which is the one that they will be forgotten by.
    fn apply(&self, sessions: impl Iterator<Item = Uuid>) {
        let at = self.shared.ambient.now();
        let new: Vec<Uuid> = {
            let mut known = self.shared.known.write().unwrap_or_else(PoisonError::into_inner);
            let unknown = |session: &Uuid| !known.contains(*session);
            let new: Vec<Uuid> = sessions.filter(unknown).collect();
            new.into_iter().filter(|session| known.insert(Revocation { session: *session, at })).collect()
        };
        if new.is_empty() {
            return;
        }
        let listeners = self.shared.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for session in new {
            listeners.iter().for_each(|listener| listener(session));
        }
    }
}

#[async_trait]
impl Dependency for RevocationWatch {
    fn name(&self) -> &'static str {
        "revocations"
    }

    async fn check(&self) -> Result<(), String> {
        if self.stale() { Err("nothing could be read for some seconds".to_owned()) } else { Ok(()) }
    }
}

impl std::fmt::Debug for RevocationWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationWatch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pkg_ambient::ManualClock;

    use super::*;

    /// The store that replicas share.
    #[derive(Default)]
    struct Store {
        revocations: Mutex<Vec<Revocation>>,
        broken: Mutex<bool>,
        asked_from: Mutex<Vec<OffsetDateTime>>,
    }

    #[async_trait]
    impl Revocations for Store {
        async fn append(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), RevocationsUnavailable> {
            let new = sessions.iter().map(|session| Revocation { session: *session, at: now });
            self.revocations.lock().unwrap().extend(new);
            Ok(())
        }

        async fn since(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, RevocationsUnavailable> {
            if *self.broken.lock().unwrap() {
                return Err(RevocationsUnavailable("broken".into()));
            }
            self.asked_from.lock().unwrap().push(from);
            Ok(self.revocations.lock().unwrap().iter().filter(|revocation| revocation.at >= from).copied().collect())
        }
    }

    fn replica(store: &Arc<Store>, clock: &Arc<ManualClock>) -> RevocationWatch {
        RevocationWatch::new(store.clone(), Ambient::with_clock(clock.clone()))
    }

    #[tokio::test]
    async fn a_revocation_is_known_here_at_once_and_elsewhere_after_a_poll() {
        let (store, clock) = (Arc::new(Store::default()), ManualClock::new());
        let (here, there) = (replica(&store, &clock), replica(&store, &clock));
        let heard = Arc::new(Mutex::new(Vec::new()));
        there.listen({
            let heard = heard.clone();
            move |session| heard.lock().unwrap().push(session)
        });
        there.poll().await.expect("the store answers");

        let session = Uuid::from_u128(7);
        here.revoke(&[session]).await.expect("the store answers");
        assert!(here.is_revoked(session));
        assert!(!there.is_revoked(session));

        there.poll().await.expect("the store answers");
        there.poll().await.expect("the store answers");
        assert!(there.is_revoked(session));
        assert_eq!(*heard.lock().unwrap(), [session], "what is read twice is told once");
    }

    #[tokio::test]
    async fn reads_begin_with_all_and_go_on_from_the_latest_unless_the_store_has_lost_it() {
        let (store, clock) = (Arc::new(Store::default()), ManualClock::new());
        let watch = replica(&store, &clock);
        watch.poll().await.expect("the store answers");
        let revoked_at = Ambient::with_clock(clock.clone()).now();
        store.append(&[Uuid::from_u128(7)], revoked_at).await.expect("the store answers");
        clock.advance(Duration::from_secs(10));
        watch.poll().await.expect("the store answers");
        watch.poll().await.expect("the store answers");

        let asked = store.asked_from.lock().unwrap().clone();
        let all = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(asked, [all, all, revoked_at]);

        store.revocations.lock().unwrap().clear();
        let earlier = revoked_at - Duration::from_secs(1);
        store.append(&[Uuid::from_u128(8)], earlier).await.expect("the store answers");
        watch.poll().await.expect("the store answers");
        assert!(watch.is_revoked(Uuid::from_u128(8)), "a store whose clock is behind took over");
        assert!(watch.is_revoked(Uuid::from_u128(7)), "what was read is kept");
    }

    #[tokio::test]
    async fn a_revocation_is_forgotten_when_no_token_can_need_it() {
        let (store, clock) = (Arc::new(Store::default()), ManualClock::new());
        let watch = replica(&store, &clock);
        let session = Uuid::from_u128(7);
        watch.revoke(&[session]).await.expect("the store answers");
        clock.advance(REVOCATION_RETENTION + Duration::from_secs(1));
        watch.poll().await.expect("the store answers");

        assert!(!watch.is_revoked(session));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_cannot_read_is_stale_until_it_can() {
        let (store, clock) = (Arc::new(Store::default()), ManualClock::new());
        let watch = replica(&store, &clock);
        assert!(watch.check().await.is_err(), "it has read nothing yet");
        watch.poll().await.expect("the store answers");
        assert_eq!(watch.check().await, Ok(()));

        *store.broken.lock().unwrap() = true;
        tokio::time::advance(STALE_AFTER).await;
        assert!(watch.poll().await.is_err());
        assert!(watch.stale());

        *store.broken.lock().unwrap() = false;
        watch.poll().await.expect("the store answers");
        assert!(!watch.stale());
    }
}

//! Sign-ins on their way to the log: a bounded buffer in memory, and a task that empties it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use pkg_ambient::Ambient;
use pkg_log::{AppendError, Log, Topic};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::{Counters, Fact, Occasion, RequestId};

/// How many facts wait at most, about a MiB of them; further ones are dropped.
pub const BUFFER: usize = 8_192;

/// How many places refusals leave free: a flood of them does not crowd out the sign-ins that succeed.
const NOT_FOR_REFUSALS: usize = BUFFER / 2;

/// How many are appended at the same time.
const ROUND: usize = 1_024;

/// How long facts are gathered between rounds: few large rounds cost the log and the processor less than many small
/// ones, and nobody waits for these records.
const GATHER: Duration = Duration::from_millis(20);

/// How long the log may take for one append before it is repeated.
const APPEND_WITHIN: Duration = Duration::from_secs(5);

/// How long the log has for what is in the buffer once the process is to end.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Takes facts about sign-ins. Clones share it.
#[derive(Clone)]
pub struct SignInBuffer {
    places: mpsc::Sender<Noted>,
    ambient: Ambient,
    counters: Counters,
}

/// Empties the buffer into the log.
pub struct SignInDrain {
    noted: mpsc::Receiver<Noted>,
    appender: Appender,
}

struct Noted {
    fact: Fact,
    at: OffsetDateTime,
    request: RequestId,
}

/// A buffer, and the task that empties it.
pub fn sign_in_buffer(log: Arc<dyn Log>, ambient: Ambient, counters: Counters) -> (SignInBuffer, SignInDrain) {
    let (places, noted) = mpsc::channel(BUFFER);
    let buffer = SignInBuffer { places, ambient: ambient.clone(), counters: counters.clone() };
    let (failing, under_way) = (AtomicBool::new(false), AtomicUsize::new(0));
    (buffer, SignInDrain { noted, appender: Appender { log, ambient, counters, failing, under_way } })
}

impl SignInBuffer {
    /// Notes what happened just now, for the log to get it soon. It never waits and never fails: what finds no place is
    /// dropped and counted.
    pub fn note(&self, fact: Fact, request: &RequestId) {
        let noted = Noted { fact, at: self.ambient.now(), request: request.clone() };
        let kept_free = if matches!(fact, Fact::SignInRefused { .. }) { NOT_FOR_REFUSALS } else { 0 };
        if self.places.capacity() <= kept_free || self.places.try_send(noted).is_err() {
            self.counters.dropped_buffer_full.increment(1);
        }
    }
}

impl SignInDrain {
    /// Appends what is noted until it is told to end, and then what is left, for a moment. While the log fails, facts
    /// wait here. Those of one key keep their order, unless the log fails for one of them.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { mut noted, appender } = self;
        let too_late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(FLUSH_WITHIN).await;
        };
        tokio::select! {
            () = follow(&mut noted, &appender, &shutdown) => {}
            () = too_late => {}
        }
        noted.close();
        let lost = noted.len() + appender.under_way.load(Ordering::Relaxed);
        if lost > 0 {
            appender.counters.dropped_shutdown.increment(lost as u64);
            tracing::warn!(lost, "the process ends before all sign-ins are in the log");
        }
    }
}

async fn follow(noted: &mut mpsc::Receiver<Noted>, appender: &Appender, shutdown: &CancellationToken) {
    let mut round = Vec::new();
    while shutdown.run_until_cancelled(noted.recv_many(&mut round, ROUND)).await.is_some_and(|count| count > 0) {
        appender.append_all(std::mem::take(&mut round)).await;
        shutdown.run_until_cancelled(tokio::time::sleep(GATHER)).await;
    }
    noted.close();
    while noted.recv_many(&mut round, ROUND).await > 0 {
        appender.append_all(std::mem::take(&mut round)).await;
    }
}

struct Appender {
    log: Arc<dyn Log>,
    ambient: Ambient,
    counters: Counters,
    /// Whether it has been said that the log fails.
    failing: AtomicBool,
    /// How many of a round have no answer yet.
    under_way: AtomicUsize,
}

impl Appender {
    async fn append_all(&self, round: Vec<Noted>) {
        self.under_way.store(round.len(), Ordering::Relaxed);
        join_all(round.into_iter().map(|noted| self.append(noted))).await;
    }

    /// Appends one, however often it takes.
    async fn append(&self, noted: Noted) {
        let occasion = Occasion { record_id: self.ambient.id(), at: noted.at, request: noted.request };
        let record = occasion.record(&noted.fact);
        let mut backoff = Backoff::default();
        loop {
            match self.log.append(Topic::Accounts, &record, APPEND_WITHIN).await {
                Ok(_) => {
                    self.counters.appended_sign_ins.increment(1);
                    self.succeeded();
                    break;
                }
                Err(error @ AppendError::TooLarge { .. }) => {
                    tracing::error!(record_id = record.record_id, %error, "a sign-in cannot be recorded in the log");
                    self.counters.dropped_defect.increment(1);
                    break;
                }
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(backoff.next()).await;
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Said once per change, rather than for each record.
    fn failed(&self, error: &(dyn Error + 'static)) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, cause = error.source(), "sign-ins wait for the log");
        }
    }

    fn succeeded(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("sign-ins reach the log again");
        }
    }
}

//! What wakes a worker.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{Halt, Shared};
use crate::store::News;

/// News may be lost: so often is looked for arrivals anyway.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The shortest wait for a tick, so that other work has its turn.
const SHORTEST: Duration = Duration::from_millis(1);
/// How many news are taken at once, at most.
const NEWS_AT_ONCE: usize = 1_024;

/// What wakes a worker.
pub struct Signals {
    rules: watch::Receiver<u64>,
    /// None while the store cannot tell.
    news: Option<broadcast::Receiver<News>>,
    next_look: Instant,
}

/// Why a worker was woken; nothing of it: to tick.
#[derive(Debug, Default)]
pub struct Signal {
    /// Rules may have changed.
    pub rules: bool,
    /// Tickets may have arrived.
    pub arrivals: bool,
    /// The queue is to be read from its beginning.
    pub reread: bool,
    /// Tickets of the queue that may wait no more.
    pub changed: Vec<Uuid>,
}

impl Signal {
    /// What to begin with.
    pub fn everything() -> Self {
        Self { rules: true, arrivals: true, ..Self::default() }
    }
}

impl Signals {
    pub async fn new(shared: &Shared) -> Self {
        let mut rules = shared.tools.queues.changes();
        rules.mark_unchanged();
        Self { rules, news: listen(shared).await, next_look: Instant::now() + LOOK_EVERY }
    }

    /// The next reason to do something.
    pub async fn next(&mut self, shared: &Shared, next_tick: Option<OffsetDateTime>) -> Result<Signal, Halt> {
        let tick = next_tick.map(|at| {
            let wait = Duration::try_from(at - shared.tools.ambient.now()).unwrap_or_default();
            Instant::now() + wait.max(SHORTEST)
        });
        let mut signal = Signal::default();
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return Err(Halt::Stopped),
            // The sender lives as long as the queues do.
            Ok(()) = self.rules.changed() => (signal.rules, signal.arrivals) = (true, true),
            news = hear(&mut self.news) => self.take(news, shared, &mut signal),
            () = shared.misses.notified() => (signal.reread, signal.arrivals) = (true, true),
            () = sleep_until(self.next_look) => signal.arrivals = true,
            () = sleep_until(tick.unwrap_or(self.next_look)), if tick.is_some() => {}
        }
        if Instant::now() >= self.next_look {
            signal.arrivals = true;
            if self.news.is_none() {
                self.news = listen(shared).await;
            }
        }
        if signal.arrivals {
            self.next_look = Instant::now() + LOOK_EVERY;
        }
        Ok(signal)
    }

    /// Takes these news and all that have come since.
    fn take(&mut self, first: Heard, shared: &Shared, signal: &mut Signal) {
        let mut heard = first;
        for _ in 0..NEWS_AT_ONCE {
            match heard {
                Ok(News::Arrived(queue)) => signal.arrivals |= queue == shared.queue.key,
                Ok(News::Changed(ids) | News::Claimed(ids)) => {
                    let room = shared.room();
                    let here = |id: &Uuid| room.as_ref().is_some_and(|room| room.contains(*id));
                    signal.changed.extend(ids.into_iter().filter(here));
                }
                // What was missed of changes is found out by comparing, from time to time.
                Ok(News::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => signal.arrivals = true,
                Err(broadcast::error::RecvError::Closed) => {
                    self.news = None;
                    signal.arrivals = true;
                    return;
                }
            }
            let Some(news) = &mut self.news else { return };
            heard = match news.try_recv() {
                Ok(news) => Ok(news),
                Err(broadcast::error::TryRecvError::Empty) => return,
                Err(broadcast::error::TryRecvError::Lagged(missed)) => Err(broadcast::error::RecvError::Lagged(missed)),
                Err(broadcast::error::TryRecvError::Closed) => Err(broadcast::error::RecvError::Closed),
            };
        }
    }
}

type Heard = Result<News, broadcast::error::RecvError>;

async fn hear(news: &mut Option<broadcast::Receiver<News>>) -> Heard {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}

async fn listen(shared: &Shared) -> Option<broadcast::Receiver<News>> {
    match shared.tools.tickets.news(shared.queue.game).await {
        Ok(news) => Some(news),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(game = %shared.queue.game, queue = %shared.queue.key, error, "arrivals are polled for");
            None
        }
    }
}

//! The worker of a queue: arrivals → matcher → claim → record → dispatch.
//!
//! A queue has one worker at a time, which has its tickets in memory and the right to match them: a lease ([`Hold`]). What
//! it decides counts by three steps, each of which is whole or nothing:
//!
//! 1. The *claim* takes the tickets of a match out of the queue, so that they cannot be cancelled any more. It is refused
//!    to who has lost the lease, by its epoch.
//! 2. The *record* of the match takes the seats of its players. It is refused if a player has another open seat, or if the
//!    match was aborted meanwhile.
//! 3. *Dispatching* ([`crate::dispatch`]) creates the session, and acknowledges the claim.
//!
//! A claim that was not acknowledged by its deadline is looked at by the owner of the queue ([`sweeping`]): if its match is
//! recorded it is dispatched, and if not it is aborted, for good, and its tickets wait again. So a worker may end or stand
//! still between any two steps, and wake whenever it likes.

mod arriving;
mod hold;
mod making;
mod room;
mod signals;
mod sweeping;
mod telling;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pkg_ambient::Ambient;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use hold::{Hold, Holder};

use self::room::Room;
use self::signals::{Signal, Signals};
use crate::counters::{Counters, QueueGauges};
use crate::dispatch::Dispatcher;
use crate::endings::Endings;
use crate::in_flight::InFlight;
use crate::queues::Queues;
use crate::store::{ArrivalNumber, Fenced, MatchStore, QueueId, StoreError, TicketStore};

/// The first pause before a call of a store is tried again…
const AGAIN: Duration = Duration::from_millis(50);
/// …and the longest.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// What workers work with.
pub struct Tools {
    pub tickets: Arc<dyn TicketStore>,
    pub matches: Arc<dyn MatchStore>,
    pub queues: Queues,
    pub dispatcher: Dispatcher,
    pub endings: Endings,
    pub in_flight: Arc<InFlight>,
    pub ambient: Ambient,
    pub counters: Counters,
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Somebody else has worked on the queue with a higher epoch.
    Fenced(Fenced),
}

/// Works on a queue until it is told to stop, or finds that it is somebody else's.
pub async fn work(tools: Arc<Tools>, queue: QueueId, hold: Hold, stop: CancellationToken) -> Ended {
    let gauges = Counters::queue(queue.game, queue.key.as_str());
    let shared = Arc::new(Shared { tools, queue, hold, stop, misses: Notify::new(), room: Mutex::new(None), gauges });
    let mut worker = Worker { shared: shared.clone(), after: ArrivalNumber::default(), next_tick: None };
    let halt = tokio::select! {
        biased;
        matching = worker.run() => matching,
        sweeping = shared.sweep() => sweeping,
    };
    match halt {
        Err(Halt::Fenced(fenced)) => Ended::Fenced(fenced),
        Ok(()) | Err(Halt::Stopped) => Ended::Stopped,
    }
}

/// What the parts of a worker share.
struct Shared {
    tools: Arc<Tools>,
    queue: QueueId,
    hold: Hold,
    stop: CancellationToken,
    /// The queue has more tickets than the room: it is to be read from its beginning.
    misses: Notify,
    /// The tickets; none while the queue takes none, or before it is loaded. Never held over a wait.
    room: Mutex<Option<Room>>,
    gauges: QueueGauges,
}

/// Who matches.
struct Worker {
    shared: Arc<Shared>,
    /// The last arrival that was read.
    after: ArrivalNumber,
    /// When to tick, by the clock of the tickets.
    next_tick: Option<time::OffsetDateTime>,
}

/// Work on the queue ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    Stopped,
    Fenced(Fenced),
}

impl From<Fenced> for Halt {
    fn from(fenced: Fenced) -> Self {
        Self::Fenced(fenced)
    }
}

impl Worker {
    async fn run(&mut self) -> Result<(), Halt> {
        // From here on whoever had the queue before is refused.
        self.shared.fence().await?;
        let mut signals = Signals::new(&self.shared).await;
        let mut signal = Signal::everything();
        loop {
            if signal.rules {
                self.follow_rules().await;
            }
            if signal.reread {
                self.after = ArrivalNumber::default();
            }
            if !signal.changed.is_empty() {
                self.shared.forget_gone(&signal.changed).await;
            }
            if signal.arrivals {
                self.read_arrivals().await?;
            }
            self.tick_if_due().await?;
            signal = signals.next(&self.shared, self.next_tick).await?;
        }
    }
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Option<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims nothing, with the epoch of the lease.
    async fn fence(&self) -> Result<(), Halt> {
        let claim = || self.tools.tickets.claim(&self.queue, self.hold.epoch(), &[]);
        self.persist("the queue cannot be taken over", claim).await??;
        Ok(())
    }

    /// Makes a call of a store until it succeeds: what is begun goes on where it was when the store is back. Told once.
    async fn persist<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = AGAIN;
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if pause == AGAIN => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(game = %self.queue.game, queue = %self.queue.key, error, "{what}; it is tried again");
                }
                Err(_) => {}
            }
            if timeout(pause, self.stop.cancelled()).await.is_ok() {
                return Err(Halt::Stopped);
            }
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }
}

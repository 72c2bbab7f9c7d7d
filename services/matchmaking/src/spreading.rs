//! Which queues this process works on.
//!
//! Every worker process tells that it is alive, and takes its share of the queues by leases ([`share`]). Who has too many
//! lets go of some, when others come; who has too few takes what is free, when others go. A queue that is let go is free when
//! its work has ended; one whose owner died is free when its lease has run out.

mod share;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{Lease, LeaseStore, QueueId, StoreError};
use crate::worker::{self, Ended, Hold, Holder, Tools};

/// How long a lease holds, and how long one counts as alive, without being renewed.
const LIFETIME: Duration = Duration::from_secs(5);
/// How much earlier a lease ends by our own clock: clocks do not run equally fast.
const MARGIN: Duration = Duration::from_millis(500);
/// How often leases are renewed, and free queues looked for.
const BEAT: Duration = Duration::from_millis(400);
/// How often is looked for queues that no definition has any more, but which have tickets.
const LEFT_OVER_EVERY: Duration = Duration::from_mins(1);
/// How long this waits at the end for work that is under way.
const DRAIN: Duration = Duration::from_secs(5);

/// Spreads queues over processes: this one's part in it.
pub struct Spreading {
    leases: Arc<dyn LeaseStore>,
    tools: Arc<Tools>,
    worker: Uuid,
    held: HashMap<QueueId, Held>,
    running: JoinSet<(QueueId, Option<Ended>)>,
    /// Queues that have tickets and no definition.
    left_over: BTreeSet<QueueId>,
    next_left_over: Instant,
    /// Where in the list of free queues the next one is taken.
    place: Option<usize>,
    is_failing: bool,
}

/// A queue that this process works on, or has worked on until its work ends.
struct Held {
    holder: Holder,
    stop: CancellationToken,
    /// It is let go, or lost.
    is_leaving: bool,
    /// Somebody else may have it.
    is_lost: bool,
}

impl Spreading {
    #[must_use]
    pub fn new(leases: Arc<dyn LeaseStore>, tools: Arc<Tools>) -> Self {
        Self {
            leases,
            worker: tools.ambient.id(),
            tools,
            held: HashMap::new(),
            running: JoinSet::new(),
            left_over: BTreeSet::new(),
            next_left_over: Instant::now(),
            place: None,
            is_failing: false,
        }
    }

    /// Works on a share of the queues until it is told to end; then lets all of them go.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let caught_up = shutdown.run_until_cancelled(self.tools.queues.caught_up()).await;
        if caught_up.is_some() {
            self.keep(&shutdown).await;
        }
        self.end().await;
    }

    async fn keep(&mut self, shutdown: &CancellationToken) {
        let mut changes = self.tools.queues.changes();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(ended) = self.running.join_next() => {
                    if let Ok((queue, ended)) = ended {
                        self.ended(&queue, ended).await;
                    }
                    continue;
                }
                // The sender lives as long as the queues do.
                Ok(()) = changes.changed() => {}
                () = sleep_until(next) => {}
            }
            next = Instant::now() + BEAT;
            match self.beat().await {
                Ok(()) => self.is_failing = false,
                Err(error) => self.report(&error),
            }
        }
    }

    /// One round: says that this process is alive, holds on to its queues, and takes or lets go of some.
    async fn beat(&mut self) -> Result<(), StoreError> {
        let alive = self.leases.beat(self.worker, LIFETIME).await?;
        self.renew().await?;
        if Instant::now() >= self.next_left_over {
            self.next_left_over = Instant::now() + LEFT_OVER_EVERY;
            self.left_over = self.find_left_over().await?;
        }
        let queues: BTreeSet<QueueId> = self.queues();
        let share = share::share(queues.len(), &alive, self.worker);
        let mine = self.held.iter().filter(|(_, held)| !held.is_leaving);
        let (wanted, unwanted): (Vec<_>, Vec<_>) = mine.map(|(id, _)| id.clone()).partition(|id| queues.contains(id));
        let too_many = wanted.len().saturating_sub(share);
        for queue in unwanted.iter().chain(wanted.iter().take(too_many)) {
            self.let_go(queue, false);
        }
        let missing = share.saturating_sub(wanted.len());
        if missing > 0 {
            let place = share::first_choice(queues.len(), &alive, self.worker);
            self.take(&queues, missing, place).await?;
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        let held: Vec<QueueId> = self.held.iter().filter(|(_, held)| !held.is_lost).map(|(id, _)| id.clone()).collect();
        if held.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let renewed = self.leases.renew(self.worker, &held, LIFETIME).await?;
        for queue in &held {
            match (renewed.iter().any(|lease| lease.queue == *queue), self.held.get(queue)) {
                (true, Some(held)) => held.holder.renew(asked + LIFETIME - MARGIN),
                (false, _) => {
                    tracing::warn!(game = %queue.game, queue = %queue.key, "a queue was lost, since its lease ran out");
                    self.let_go(queue, true);
                }
                (true, None) => {}
            }
        }
        Ok(())
    }

    /// Takes so many of the queues that this process does not have, as far as they are free.
    async fn take(&mut self, queues: &BTreeSet<QueueId>, most: usize, first: usize) -> Result<(), StoreError> {
        let others: Vec<&QueueId> = queues.iter().filter(|queue| !self.held.contains_key(queue)).collect();
        if others.is_empty() {
            return Ok(());
        }
        // Which are free is not known: each time others are asked for.
        let place = self.place.unwrap_or(first) % others.len();
        let wanted: Vec<QueueId> =
            others.iter().cycle().skip(place).take(most.min(others.len())).map(|id| (*id).clone()).collect();
        self.place = Some(place + wanted.len());
        let asked = Instant::now();
        let taken = self.leases.acquire(self.worker, &wanted, LIFETIME).await?;
        for lease in taken {
            self.begin(lease, asked + LIFETIME - MARGIN);
        }
        Ok(())
    }

    fn begin(&mut self, lease: Lease, until: Instant) {
        let Lease { queue, epoch } = lease;
        let (hold, holder) = Hold::new(epoch, until);
        let stop = CancellationToken::new();
        let work = worker::work(self.tools.clone(), queue.clone(), hold, stop.clone());
        let id = queue.clone();
        self.running.spawn(async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            (id, ended.ok())
        });
        self.tools.counters.queues.increment(1);
        self.held.insert(queue, Held { holder, stop, is_leaving: false, is_lost: false });
    }

    fn let_go(&mut self, queue: &QueueId, is_lost: bool) {
        if let Some(held) = self.held.get_mut(queue) {
            held.is_leaving = true;
            held.is_lost |= is_lost;
            held.stop.cancel();
        }
    }

    /// The work on a queue has ended: others may take it.
    async fn ended(&mut self, queue: &QueueId, ended: Option<Ended>) {
        let Some(held) = self.held.remove(queue) else { return };
        self.tools.counters.queues.decrement(1);
        match ended {
            Some(Ended::Stopped) => {}
            Some(Ended::Fenced(fenced)) => {
                tracing::warn!(game = %queue.game, queue = %queue.key, epoch = fenced.epoch, "a queue was taken by another worker");
            }
            None => tracing::error!(game = %queue.game, queue = %queue.key, "the worker of a queue panicked"),
        }
        if !held.is_lost
            && let Err(error) = self.leases.release(self.worker, std::slice::from_ref(queue)).await
        {
            self.report(&error);
        }
    }

    /// All queues: those of definitions, and those of none that have tickets left.
    fn queues(&self) -> BTreeSet<QueueId> {
        let known =
            self.tools.queues.all().into_iter().map(|queue| QueueId { game: queue.game, key: queue.key.clone() });
        known.chain(self.left_over.iter().cloned()).collect()
    }

    async fn find_left_over(&self) -> Result<BTreeSet<QueueId>, StoreError> {
        let games: BTreeSet<Uuid> = self.tools.queues.all().iter().map(|queue| queue.game).collect();
        let mut left_over = BTreeSet::new();
        for game in games {
            let keys = self.tools.tickets.queues(game).await?.into_iter();
            let unknown = keys.filter(|key| self.tools.queues.known(game, key).is_none());
            left_over.extend(unknown.map(|key| QueueId { game, key }));
        }
        Ok(left_over)
    }

    /// Lets all queues go when the work on them has ended.
    async fn end(mut self) {
        for held in self.held.values() {
            held.stop.cancel();
        }
        let ended = async { while self.running.join_next().await.is_some() {} };
        if timeout(DRAIN, ended).await.is_err() {
            tracing::warn!("work on queues had to be cut off");
            self.running.shutdown().await;
        }
        self.tools.counters.queues.decrement(u32::try_from(self.held.len()).map_or(0.0, f64::from));
        match timeout(DRAIN, self.leases.leave(self.worker)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.report(&error),
            Err(_elapsed) => tracing::warn!("queues are free when their leases have run out"),
        }
        self.tools.dispatcher.drain().await;
    }

    fn report(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let error: &dyn std::error::Error = error;
            tracing::warn!(error, "leases cannot be renewed for now: matches wait if that lasts");
        }
    }
}

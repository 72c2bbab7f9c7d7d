//! What the owner of a queue does from time to time: claims that were left behind, matches without a session, tickets whose
//! time is over or whose players have gone, and what everyone is told of the queue.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::telling::Teller;
use super::{Halt, Shared};
use crate::store::{Aborted, EndReason, GiveBack, MatchState, StoreError};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// A queue in which nobody has waited for so long is looked at less often…
const IDLE_AFTER: Duration = Duration::from_secs(15);
/// …every so many times.
const IDLE_TURNS: u32 = 5;
/// How often is looked for matches without a session, whatever the store of tickets knows of them…
const UNDISPATCHED_EVERY: Duration = Duration::from_secs(5);
/// …which were made so long ago.
const UNDISPATCHED_AGE: time::Duration = time::Duration::seconds(10);
/// How many of each are looked at in one step…
const STEP: usize = 256;
/// …and how many steps are taken before others have their turn.
const STEPS: usize = 20;
/// Players are not taken for gone before the queue has been served for so long without a break: they could give no sign of
/// life.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// How often in a row the number of tickets must differ from the store's until they are compared.
const DIFFERENCES: u32 = 3;

/// What a sweeper remembers.
struct Sweeper {
    next_undispatched: Instant,
    /// When somebody waited, or the worker began: claims may be left from then.
    busy_at: Instant,
    turns: u32,
    /// Since when all went well.
    serving_since: Instant,
    /// How often in a row the room had another number of tickets than the store.
    differences: u32,
    is_failing: bool,
    teller: Teller,
}

impl Shared {
    /// Sweeps until the queue is somebody else's.
    pub(super) async fn sweep(&self) -> Result<(), Halt> {
        let now = Instant::now();
        let mut sweeper = Sweeper {
            next_undispatched: now,
            busy_at: now,
            turns: 0,
            serving_since: now,
            differences: 0,
            is_failing: false,
            teller: Teller::default(),
        };
        loop {
            tokio::select! {
                biased;
                // Who matches ends what it has begun, and says when that is done.
                () = self.stop.cancelled() => std::future::pending().await,
                () = sleep(EVERY) => {}
            }
            if !self.hold.is_good() {
                sweeper.serving_since = Instant::now();
                continue;
            }
            if !sweeper.has_turn(self.is_idle()) {
                continue;
            }
            let outcome = match sweeper.sweep(self).await {
                _ if self.stop.is_cancelled() => std::future::pending().await,
                outcome => outcome?,
            };
            match outcome {
                Ok(()) => sweeper.is_failing = false,
                Err(error) => {
                    sweeper.serving_since = Instant::now();
                    if !std::mem::replace(&mut sweeper.is_failing, true) {
                        self.warn(&error, "a queue cannot be swept for now");
                    }
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.room().as_ref().is_none_or(|room| room.len() == 0)
    }
}

impl Sweeper {
    fn has_turn(&mut self, idle: bool) -> bool {
        if !idle {
            self.busy_at = Instant::now();
        }
        self.turns = self.turns.wrapping_add(1);
        self.busy_at.elapsed() < IDLE_AFTER || self.turns.is_multiple_of(IDLE_TURNS)
    }

    async fn sweep(&mut self, shared: &Shared) -> Result<Result<(), StoreError>, Halt> {
        if let Err(error) = self.sweep_claims(shared).await? {
            return Ok(Err(error));
        }
        Ok(self.sweep_rest(shared).await)
    }

    async fn sweep_rest(&mut self, shared: &Shared) -> Result<(), StoreError> {
        if Instant::now() >= self.next_undispatched {
            self.next_undispatched = Instant::now() + UNDISPATCHED_EVERY;
            let before = shared.tools.ambient.now() - UNDISPATCHED_AGE;
            for found in shared.tools.matches.undispatched(&shared.queue, before, STEP).await? {
                shared.settle(found).await;
            }
        }
        self.compare(shared).await?;
        if !shared.is_idle() {
            self.end_tickets(shared).await?;
            self.teller.explain(shared).await?;
        }
        self.teller.tell(shared).await
    }

    /// Claims past their deadlines, but for those that are under way here.
    async fn sweep_claims(&self, shared: &Shared) -> Result<Result<(), StoreError>, Halt> {
        let tools = &shared.tools;
        for _ in 0..STEPS {
            let overdue = match tools.tickets.overdue_claims(&shared.queue, tools.ambient.now(), STEP).await {
                Ok(overdue) => overdue,
                Err(error) => return Ok(Err(error)),
            };
            let is_last = overdue.len() < STEP;
            let left = overdue.iter().map(|claim| claim.match_id).filter(|id| !tools.in_flight.contains(*id));
            let left: Vec<Uuid> = left.collect();
            if left.is_empty() {
                break;
            }
            let aborted = match tools.matches.abort(&shared.queue, &left, tools.ambient.now()).await {
                Ok(aborted) => aborted,
                Err(error) => return Ok(Err(error)),
            };
            let mut given_back = Vec::new();
            for (id, aborted) in left.into_iter().zip(aborted) {
                match aborted {
                    Aborted::Recorded(found) if found.state != MatchState::Aborted => shared.settle(*found).await,
                    Aborted::Done | Aborted::Recorded(_) => given_back.push(GiveBack { match_id: id, end: Vec::new() }),
                }
            }
            shared.give_back(given_back).await?;
            if is_last {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// Compares the room with the store, if they differ for a while: news may have been lost, and tickets too.
    async fn compare(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let Some(here) = shared.room().as_ref().map(super::Room::len) else { return Ok(()) };
        let there = usize::try_from(shared.tools.tickets.waiting_count(&shared.queue).await?).unwrap_or(usize::MAX);
        self.differences = if here == there { 0 } else { self.differences + 1 };
        if self.differences < DIFFERENCES {
            return Ok(());
        }
        self.differences = 0;
        let ids = shared.room().as_ref().map(super::Room::ids).unwrap_or_default();
        for ids in ids.chunks(STEP) {
            shared.forget_gone(ids).await;
        }
        if here < there {
            shared.misses.notify_one();
        }
        Ok(())
    }

    async fn end_tickets(&self, shared: &Shared) -> Result<(), StoreError> {
        let tools = &shared.tools;
        let Some(rules) = shared.room().as_ref().map(super::Room::rules) else { return Ok(()) };
        for _ in 0..STEPS {
            let expired = tools.tickets.expired(&shared.queue, tools.ambient.now(), STEP).await?;
            shared.end_and_forget(&expired, EndReason::WaitedTooLong).await?;
            if expired.len() < STEP {
                break;
            }
        }
        if self.serving_since.elapsed() < GONE_AFTER {
            return Ok(());
        }
        for _ in 0..STEPS {
            let before = tools.ambient.now() - rules.presence_timeout;
            let gone = tools.tickets.gone(&shared.queue, before, STEP).await?;
            shared.end_and_forget(&gone, EndReason::PlayerGone).await?;
            if gone.len() < STEP {
                break;
            }
        }
        Ok(())
    }
}

impl Shared {
    async fn end_and_forget(&self, ids: &[Uuid], reason: EndReason) -> Result<(), StoreError> {
        self.tools.endings.end(ids, reason).await?;
        if let Some(room) = self.room().as_mut() {
            for id in ids {
                room.remove(*id);
            }
            self.gauges.depth(room.len(), room.players());
        }
        Ok(())
    }
}

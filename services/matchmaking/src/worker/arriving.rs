//! Tickets that come: read from the store, matched at once where that is possible.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::room::waited;
use super::{Halt, Room, Worker};
use crate::dispatch::Allowance;
use crate::matcher::Proposal;
use crate::queues::QueueRules;
use crate::store::{Arrival, ArrivalNumber, EndReason, StoreError};
use crate::ticket::Ticket;
use crate::waits::{Summary, Waits};

/// How many arrivals are read in one step.
const PAGE: usize = 1_000;
/// How far back waits are counted.
const RECENT: time::Duration = time::Duration::minutes(10);
/// How many of them a new worker reads.
const RECENT_MAX: usize = 2_000;

impl Worker {
    /// Takes the rules that hold now, or none if the queue takes no tickets.
    pub(super) async fn follow_rules(&mut self) {
        let shared = &self.shared;
        let queue = shared.tools.queues.known(shared.queue.game, &shared.queue.key).filter(|queue| queue.is_open());
        let is_loaded = shared.room().is_some();
        match queue {
            Some(queue) if is_loaded => self.change_rules(&queue).await,
            Some(queue) => {
                let waits = shared.recent_waits().await;
                *shared.room() = Some(Room::new(&queue, waits));
                self.after = ArrivalNumber::default();
            }
            None => {
                *shared.room() = None;
                shared.gauges.depth(0, 0);
                self.next_tick = None;
            }
        }
    }

    async fn change_rules(&mut self, queue: &QueueRules) {
        let now = self.shared.tools.ambient.now();
        let unfit = self.shared.room().as_mut().map(|room| room.follow(queue, now)).unwrap_or_default();
        let unfit: Vec<Uuid> = unfit.into_iter().map(|(ticket, _)| ticket.id).collect();
        self.shared.end(&unfit, EndReason::RulesChanged).await;
        self.plan_tick(now);
    }

    /// Reads what has arrived and makes the matches that follow at once.
    pub(super) async fn read_arrivals(&mut self) -> Result<(), Halt> {
        if self.shared.room().is_none() {
            // Tickets that could not be ended are still there.
            self.after = ArrivalNumber::default();
        }
        loop {
            let (shared, after) = (&self.shared, self.after);
            let read = || shared.tools.tickets.arrivals(&shared.queue, after, PAGE);
            let page = shared.persist("arrivals cannot be read", read).await?;
            let is_last = page.len() < PAGE;
            if let Some(last) = page.last() {
                self.after = last.number;
                self.take_in(page).await?;
            }
            if is_last {
                return Ok(());
            }
            if self.shared.stop.is_cancelled() {
                return Err(Halt::Stopped);
            }
        }
    }

    async fn take_in(&mut self, arrivals: Vec<Arrival>) -> Result<(), Halt> {
        let shared = self.shared.clone();
        let now = shared.tools.ambient.now();
        if let Some(newest) = arrivals.iter().map(|arrival| waited(&arrival.ticket, now)).min() {
            shared.gauges.lag(newest);
        }
        if shared.room().is_none() {
            let ids: Vec<Uuid> = arrivals.into_iter().map(|arrival| arrival.ticket.id).collect();
            shared.end(&ids, EndReason::QueueClosed).await;
            return Ok(());
        }
        // While none may be made, tickets are left to a tick.
        let at_once = shared.tools.dispatcher.is_free(shared.queue.game);
        let (proposals, unfit) = self.insert(arrivals.into_iter().map(|arrival| arrival.ticket), at_once, now);
        shared.end(&unfit, EndReason::RulesChanged).await;
        self.plan_tick(now);
        self.make(proposals).await
    }

    /// Lets tickets into the room; answers with what follows, and with those that can never be in a match.
    fn insert(
        &self,
        tickets: impl Iterator<Item = Arc<Ticket>>,
        at_once: bool,
        now: OffsetDateTime,
    ) -> (Vec<Proposal>, Vec<Uuid>) {
        let (mut proposals, mut unfit) = (Vec::new(), Vec::new());
        let mut room = self.shared.room();
        let Some(room) = room.as_mut() else { return (proposals, unfit) };
        let rules = room.rules();
        for ticket in tickets {
            if ticket.check(&rules).is_err() {
                unfit.push(ticket.id);
            } else if at_once {
                proposals.extend(room.insert(ticket, now));
            } else {
                room.restore(ticket, now);
            }
        }
        self.shared.gauges.depth(room.len(), room.players());
        (proposals, unfit)
    }

    /// Puts tickets back that came to nothing here; they are looked at by the next tick.
    pub(super) fn put_back(&mut self, tickets: impl IntoIterator<Item = Arc<Ticket>>) {
        let now = self.shared.tools.ambient.now();
        if let Some(room) = self.shared.room().as_mut() {
            for ticket in tickets {
                room.restore(ticket, now);
            }
        }
        self.plan_tick(now);
    }

    /// Looks for matches if it is time.
    pub(super) async fn tick_if_due(&mut self) -> Result<(), Halt> {
        let now = self.shared.tools.ambient.now();
        if self.next_tick.is_none_or(|at| now < at) {
            return Ok(());
        }
        let most = match self.shared.tools.dispatcher.allowance(self.shared.queue.game) {
            Allowance::All => usize::MAX,
            Allowance::One => 1,
            Allowance::NoneUntil(at) => {
                let wait = at.saturating_duration_since(tokio::time::Instant::now());
                self.next_tick = Some(now + wait.max(Duration::from_millis(1)));
                return Ok(());
            }
        };
        self.next_tick = None;
        let ticked = self.shared.room().as_mut().map(|room| room.tick(now)).unwrap_or_default();
        let mut proposals = ticked.proposals;
        let kept = proposals.split_off(proposals.len().min(most));
        self.put_back(kept.into_iter().flat_map(|proposal| proposal.tickets));
        if ticked.ran_out {
            self.next_tick = Some(now);
        }
        self.plan_tick(now);
        self.make(proposals).await
    }

    /// Ticks no later than the room says.
    fn plan_tick(&mut self, now: OffsetDateTime) {
        let next = self.shared.room().as_ref().and_then(|room| room.next_change(now));
        // What was planned stays: in a stream of arrivals the time of a tick would never come.
        self.next_tick = [self.next_tick, next].into_iter().flatten().min();
    }
}

impl super::Shared {
    /// Ends tickets that wait. What fails is tried again when the queue is compared with the room.
    pub(super) async fn end(&self, ids: &[Uuid], reason: EndReason) {
        if let Err(error) = self.tools.endings.end(ids, reason).await {
            self.warn(&error, "tickets cannot be ended now");
        }
    }

    /// Takes those of these tickets out of the room that wait no more.
    pub(super) async fn forget_gone(&self, ids: &[Uuid]) {
        let waiting = match self.tools.tickets.still_waiting(&self.queue, ids).await {
            Ok(waiting) => waiting,
            Err(error) => return self.warn(&error, "it is not known which tickets still wait"),
        };
        if let Some(room) = self.room().as_mut() {
            for (id, _) in ids.iter().zip(waiting).filter(|(_, waits)| !waits) {
                room.remove(*id);
            }
            self.gauges.depth(room.len(), room.players());
        }
    }

    /// How long those waited who were matched lately, by the worker before or by the records of matches.
    async fn recent_waits(&self) -> Waits {
        let told = self.tools.tickets.summary(&self.queue).await.ok().flatten();
        let told = told.and_then(|told| serde_json::from_slice::<Summary>(&told).ok());
        if let Some(told) = told {
            return told.recent;
        }
        let since = self.tools.ambient.now() - RECENT;
        let recorded = self.tools.matches.recent_waits(&self.queue, since, RECENT_MAX).await;
        recorded.map(|recent| Waits::of(&recent)).unwrap_or_default()
    }

    pub(super) fn warn(&self, error: &StoreError, what: &str) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(game = %self.queue.game, queue = %self.queue.key, error, "{what}");
    }
}

//! Tickets in the memory of this process.

mod entry;
mod queue;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pkg_ambient::Ambient;
use pkg_db::to_millis;
use pkg_definition::Key;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use self::entry::{Entry, Life};
use self::queue::Queue;
use self::state::State;
use super::ticket_news::NEWS_BUFFER;
use super::tickets::{
    Acknowledgement, Arrival, ArrivalNumber, Claim, Claimed, Created, EndOutcome, EndReason, Explanation, Fenced,
    GiveBack, MadeClaim, NewTicket, News, Sign, Signed, Stored, TicketStatus, TicketStore,
};
use super::{QueueId, StoreError};

/// The embedded store of tickets and claims.
#[derive(Debug)]
pub struct MemoryTickets {
    ambient: Ambient,
    state: Mutex<State>,
}

impl MemoryTickets {
    /// A store without tickets.
    #[must_use]
    pub fn new(ambient: Ambient) -> Self {
        Self { ambient, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(to_millis(self.ambient.now()));
        state
    }

    fn now_ms(&self) -> i64 {
        to_millis(self.ambient.now())
    }
}

#[async_trait]
impl TicketStore for MemoryTickets {
    async fn create(&self, new: &NewTicket) -> Result<Created, StoreError> {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let (ticket, game) = (&new.ticket, new.queue.game);
        if let Some(known) = state.load(ticket.id) {
            return Ok(new.repeated(known));
        }
        for player in &ticket.players {
            if let Some(holder) = state.holder(game, player.id) {
                return Ok(Created::AlreadyQueued { ticket: holder, player: player.id });
            }
        }
        if !state.has_room() {
            return Err(StoreError::unavailable("too many tickets"));
        }
        state.add(new, now_ms);
        state.tell(game, News::Arrived(new.queue.key.clone()));
        Ok(Created::Done)
    }

    async fn load(&self, ids: &[Uuid]) -> Result<Vec<Option<Stored>>, StoreError> {
        let state = self.lock();
        Ok(ids.iter().map(|id| state.load(*id)).collect())
    }

    async fn tickets_of(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<Option<Uuid>>, StoreError> {
        let state = self.lock();
        Ok(players.iter().map(|player| state.holder(game, *player)).collect())
    }

    async fn queues(&self, game: Uuid) -> Result<Vec<Key>, StoreError> {
        let state = self.lock();
        let used = state.queues.iter().filter(|(id, queue)| id.game == game && !queue.is_empty());
        Ok(used.map(|(id, _)| id.key.clone()).collect())
    }

    async fn arrivals(&self, queue: &QueueId, after: ArrivalNumber, max: usize) -> Result<Vec<Arrival>, StoreError> {
        let state = self.lock();
        let Some(waiting) = state.queues.get(queue) else { return Ok(Vec::new()) };
        let arrival = |(number, id): (u64, Uuid)| {
            let entry = state.tickets.get(&id)?;
            let expires = pkg_db::from_millis(entry.expires);
            Some(Arrival { number: ArrivalNumber(number), ticket: entry.ticket.clone(), expires })
        };
        Ok(waiting.after(after.0).filter_map(arrival).take(max).collect())
    }

    async fn still_waiting(&self, queue: &QueueId, tickets: &[Uuid]) -> Result<Vec<bool>, StoreError> {
        let state = self.lock();
        let waits = |entry: &Entry| *entry.queue == *queue && entry.status() == TicketStatus::Queued;
        Ok(tickets.iter().map(|id| state.tickets.get(id).is_some_and(|entry| waits(entry))).collect())
    }

    async fn waiting_count(&self, queue: &QueueId) -> Result<u64, StoreError> {
        let count = self.lock().queues.get(queue).map_or(0, Queue::count);
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn claim(
        &self,
        queue: &QueueId,
        epoch: i64,
        claims: &[Claim],
    ) -> Result<Result<Vec<Claimed>, Fenced>, StoreError> {
        let mut state = self.lock();
        if let Some(fenced) = state.queue(queue).fence(epoch) {
            return Ok(Err(fenced));
        }
        let (mut answers, mut changed) = (Vec::new(), Vec::new());
        for claim in claims {
            let (answer, claimed) = state.claim(queue, claim);
            answers.push(answer);
            changed.extend(claimed);
        }
        if !changed.is_empty() {
            state.tell(queue.game, News::Claimed(changed));
        }
        Ok(Ok(answers))
    }

    async fn overdue_claims(
        &self,
        queue: &QueueId,
        now: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<MadeClaim>, StoreError> {
        let state = self.lock();
        Ok(state.queues.get(queue).map(|queue| queue.overdue(to_millis(now), max)).unwrap_or_default())
    }

    async fn acknowledge(
        &self,
        queue: &QueueId,
        matches: &[Acknowledgement],
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let now_ms = to_millis(now);
        let mut state = self.lock();
        let mut changed = Vec::new();
        for made in matches {
            for id in &made.tickets {
                if matches!(state.status(*id), Some(TicketStatus::Queued | TicketStatus::Matching(_))) {
                    state.finish(*id, Life::Matched(made.match_id, now_ms), now_ms);
                    changed.push(*id);
                }
            }
            state.queue(queue).end_claim(made.match_id);
        }
        state.tell_changed(queue.game, changed);
        Ok(())
    }

    async fn give_back(
        &self,
        queue: &QueueId,
        epoch: i64,
        claims: &[GiveBack],
        now: OffsetDateTime,
    ) -> Result<Result<(), Fenced>, StoreError> {
        let (ended_ms, now_ms) = (to_millis(now), self.now_ms());
        let mut state = self.lock();
        if let Some(fenced) = state.queue(queue).fence(epoch) {
            return Ok(Err(fenced));
        }
        let back = claims.iter().flat_map(|claim| state.give_back(queue, claim, ended_ms, now_ms));
        let changed: Vec<Uuid> = back.collect();
        if changed.iter().any(|id| state.status(*id) == Some(TicketStatus::Queued)) {
            state.tell(queue.game, News::Arrived(queue.key.clone()));
        }
        state.tell_changed(queue.game, changed);
        Ok(Ok(()))
    }

    async fn end(&self, ids: &[Uuid], reason: EndReason, now: OffsetDateTime) -> Result<Vec<EndOutcome>, StoreError> {
        let now_ms = to_millis(now);
        let mut state = self.lock();
        let end = |id: &Uuid| match state.status(*id) {
            None => EndOutcome::NotFound,
            Some(TicketStatus::Matching(_)) => EndOutcome::Matching,
            Some(TicketStatus::Matched(_)) => EndOutcome::Matched,
            Some(TicketStatus::Ended(reason)) => EndOutcome::AlreadyEnded(reason),
            Some(TicketStatus::Queued) => {
                state.finish(*id, Life::Ended(reason, now_ms), now_ms);
                if let Some(game) = state.tickets.get(id).map(|entry| entry.queue.game) {
                    state.tell_changed(game, vec![*id]);
                }
                EndOutcome::Ended
            }
        };
        Ok(ids.iter().map(end).collect())
    }

    async fn sign(&self, signs: &[Sign], now: OffsetDateTime) -> Result<Vec<Option<Signed>>, StoreError> {
        let now_ms = to_millis(now);
        let mut state = self.lock();
        let State { tickets, queues, explained, .. } = &mut *state;
        let sign = |sign: &Sign| {
            let entry = tickets.get_mut(&sign.ticket)?;
            queues.get_mut(&entry.queue)?.sign(entry, now_ms, sign.asks);
            Some(Signed { status: entry.status(), why: explained.get(&sign.ticket).cloned() })
        };
        Ok(signs.iter().map(sign).collect())
    }

    async fn gone(&self, queue: &QueueId, before: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        let state = self.lock();
        Ok(state.queues.get(queue).map(|queue| queue.gone(to_millis(before), max)).unwrap_or_default())
    }

    async fn expired(&self, queue: &QueueId, now: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        let state = self.lock();
        Ok(state.queues.get(queue).map(|queue| queue.expired(to_millis(now), max)).unwrap_or_default())
    }

    async fn asked(&self, queue: &QueueId, since: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        Ok(self.lock().queue(queue).asked(to_millis(since), max))
    }

    async fn explain(&self, _queue: &QueueId, explanations: &[Explanation]) -> Result<(), StoreError> {
        let mut state = self.lock();
        for Explanation { ticket, why } in explanations {
            if state.status(*ticket) == Some(TicketStatus::Queued) {
                state.explained.insert(*ticket, why.clone());
            }
        }
        Ok(())
    }

    async fn put_summary(&self, queue: &QueueId, summary: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        let until = self.ambient.now() + lifetime;
        self.lock().queue(queue).summary = Some((summary, until));
        Ok(())
    }

    async fn summary(&self, queue: &QueueId) -> Result<Option<Bytes>, StoreError> {
        let now = self.ambient.now();
        let state = self.lock();
        let told = state.queues.get(queue).and_then(|queue| queue.summary.as_ref());
        Ok(told.filter(|(_, until)| now < *until).map(|(summary, _)| summary.clone()))
    }

    async fn news(&self, game: Uuid) -> Result<broadcast::Receiver<News>, StoreError> {
        let mut state = self.lock();
        state.news.retain(|of, sender| *of == game || sender.receiver_count() > 0);
        Ok(state.news.entry(game).or_insert_with(|| broadcast::channel(NEWS_BUFFER).0).subscribe())
    }
}

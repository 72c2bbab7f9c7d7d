//! Tickets in the memory of this process.

mod queue;

use std::collections::{BTreeSet, HashMap};
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

use self::queue::Queue;
use super::ticket_news::NEWS_BUFFER;
use super::tickets::{
    Acknowledgement, Arrival, ArrivalNumber, Claim, Claimed, Created, EndOutcome, EndReason, Explanation, Fenced,
    GiveBack, KEPT_AFTER_END, MadeClaim, NewTicket, News, Sign, Signed, Stored, TicketStatus, TicketStore,
};
use super::{QueueId, StoreError};

/// How many tickets there are at most, those that have ended among them: about 1 KiB each.
const MOST_TICKETS: usize = 1_000_000;

/// The embedded store of tickets and claims.
#[derive(Debug)]
pub struct MemoryTickets {
    ambient: Ambient,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tickets: HashMap<Uuid, Entry>,
    /// Which ticket holds a player of a game, for those that wait or are being matched.
    players: HashMap<(Uuid, Uuid), Uuid>,
    queues: HashMap<QueueId, Queue>,
    /// Tickets that were matched or have ended, by when that was.
    ended: BTreeSet<(i64, Uuid)>,
    news: HashMap<Uuid, broadcast::Sender<News>>,
}

#[derive(Debug)]
struct Entry {
    stored: Stored,
    seen_ms: i64,
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

impl State {
    fn forget(&mut self, now_ms: i64) {
        let kept = i64::try_from(KEPT_AFTER_END.as_millis()).unwrap_or(i64::MAX);
        while let Some((ended_ms, id)) = self.ended.first().copied().filter(|(at, _)| at.saturating_add(kept) <= now_ms)
        {
            self.ended.remove(&(ended_ms, id));
            self.tickets.remove(&id);
        }
    }

    /// Whether there is room for another ticket; those that ended first make some.
    fn has_room(&mut self) -> bool {
        if self.tickets.len() < MOST_TICKETS {
            return true;
        }
        let Some((_, id)) = self.ended.pop_first() else { return false };
        self.tickets.remove(&id);
        true
    }

    fn queue(&mut self, id: &QueueId) -> &mut Queue {
        self.queues.entry(id.clone()).or_default()
    }

    fn status(&self, id: Uuid) -> Option<TicketStatus> {
        self.tickets.get(&id).map(|entry| entry.stored.status)
    }

    fn arrive(&mut self, id: Uuid, now_ms: i64) {
        let Some(entry) = self.tickets.get(&id) else { return };
        let (queue, expires, seen) = (entry.stored.queue.clone(), to_millis(entry.stored.expires), entry.seen_ms);
        self.queue(&queue).arrive(id, expires, seen, now_ms);
    }

    /// The ticket is matched or has ended: its players are free.
    fn finish(&mut self, id: Uuid, status: TicketStatus, now: OffsetDateTime) {
        let Some(entry) = self.tickets.get_mut(&id) else { return };
        let stored = &mut entry.stored;
        (stored.status, stored.ended_at, stored.why) = (status, Some(pkg_db::from_millis(to_millis(now))), None);
        let game = stored.queue.game;
        for player in &stored.ticket.players {
            if self.players.get(&(game, player.id)) == Some(&id) {
                self.players.remove(&(game, player.id));
            }
        }
        self.ended.insert((to_millis(now), id));
        let queue = entry.stored.queue.clone();
        self.queue(&queue).leave(id);
    }

    fn claim(&mut self, queue: &QueueId, claim: &Claim) -> (Claimed, Vec<Uuid>) {
        let statuses: Vec<_> = claim.tickets.iter().map(|id| (*id, self.status(*id))).collect();
        let of = claim.match_id;
        let is_ours = |status| status == Some(TicketStatus::Matching(of)) || status == Some(TicketStatus::Matched(of));
        if statuses.iter().all(|(_, status)| is_ours(*status)) {
            return (Claimed::Done, Vec::new());
        }
        let waits = |status: Option<TicketStatus>| status == Some(TicketStatus::Queued);
        let not_waiting: Vec<Uuid> = statuses.iter().filter(|(_, status)| !waits(*status)).map(|(id, _)| *id).collect();
        if !not_waiting.is_empty() {
            return (Claimed::NotWaiting(not_waiting), Vec::new());
        }
        for id in &claim.tickets {
            if let Some(entry) = self.tickets.get_mut(id) {
                entry.stored.status = TicketStatus::Matching(of);
            }
            self.queue(queue).leave(*id);
        }
        self.queue(queue).claim(claim);
        (Claimed::Done, claim.tickets.clone())
    }

    fn give_back(&mut self, queue: &QueueId, claim: &GiveBack, now: OffsetDateTime, now_ms: i64) -> Vec<Uuid> {
        let mut changed = Vec::new();
        for id in self.queue(queue).end_claim(claim.match_id) {
            if self.status(id) != Some(TicketStatus::Matching(claim.match_id)) {
                continue;
            }
            if let Some((_, reason)) = claim.end.iter().find(|(ends, _)| *ends == id) {
                self.finish(id, TicketStatus::Ended(*reason), now);
            } else {
                if let Some(entry) = self.tickets.get_mut(&id) {
                    entry.stored.status = TicketStatus::Queued;
                }
                self.arrive(id, now_ms);
            }
            changed.push(id);
        }
        changed
    }

    fn tell(&self, game: Uuid, news: News) {
        if let Some(sender) = self.news.get(&game) {
            // Nobody may be there any more.
            drop(sender.send(news));
        }
    }

    fn tell_changed(&self, game: Uuid, changed: Vec<Uuid>) {
        if !changed.is_empty() {
            self.tell(game, News::Changed(changed));
        }
    }
}

#[async_trait]
impl TicketStore for MemoryTickets {
    async fn create(&self, new: &NewTicket) -> Result<Created, StoreError> {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let (ticket, game) = (&new.ticket, new.queue.game);
        if let Some(known) = state.tickets.get(&ticket.id) {
            return Ok(new.repeated(known.stored.clone()));
        }
        for player in &ticket.players {
            if let Some(holder) = state.players.get(&(game, player.id)) {
                return Ok(Created::AlreadyQueued { ticket: *holder, player: player.id });
            }
        }
        if !state.has_room() {
            return Err(StoreError::unavailable("too many tickets"));
        }
        for player in &ticket.players {
            state.players.insert((game, player.id), ticket.id);
        }
        let mut ticket = ticket.clone();
        ticket.created = pkg_db::from_millis(to_millis(ticket.created));
        let (id, seen_ms) = (ticket.id, to_millis(ticket.created));
        let stored = Stored {
            ticket,
            queue: new.queue.clone(),
            expires: pkg_db::from_millis(to_millis(new.expires)),
            status: TicketStatus::Queued,
            ended_at: None,
            why: None,
        };
        state.tickets.insert(id, Entry { stored, seen_ms });
        state.arrive(id, now_ms);
        state.tell(game, News::Arrived(new.queue.key.clone()));
        Ok(Created::Done)
    }

    async fn load(&self, ids: &[Uuid]) -> Result<Vec<Option<Stored>>, StoreError> {
        let state = self.lock();
        Ok(ids.iter().map(|id| state.tickets.get(id).map(|entry| entry.stored.clone())).collect())
    }

    async fn tickets_of(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<Option<Uuid>>, StoreError> {
        let state = self.lock();
        Ok(players.iter().map(|player| state.players.get(&(game, *player)).copied()).collect())
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
            let stored = &state.tickets.get(&id)?.stored;
            Some(Arrival { number: ArrivalNumber(number), ticket: stored.ticket.clone(), expires: stored.expires })
        };
        Ok(waiting.after(after.0).filter_map(arrival).take(max).collect())
    }

    async fn still_waiting(&self, queue: &QueueId, tickets: &[Uuid]) -> Result<Vec<bool>, StoreError> {
        let state = self.lock();
        let queue = state.queues.get(queue);
        Ok(tickets.iter().map(|id| queue.is_some_and(|queue| queue.has(*id))).collect())
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
        let mut state = self.lock();
        let mut changed = Vec::new();
        for made in matches {
            for id in &made.tickets {
                if matches!(state.status(*id), Some(TicketStatus::Queued | TicketStatus::Matching(_))) {
                    state.finish(*id, TicketStatus::Matched(made.match_id), now);
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
        let now_ms = self.now_ms();
        let mut state = self.lock();
        if let Some(fenced) = state.queue(queue).fence(epoch) {
            return Ok(Err(fenced));
        }
        let changed: Vec<Uuid> = claims.iter().flat_map(|claim| state.give_back(queue, claim, now, now_ms)).collect();
        if changed.iter().any(|id| state.status(*id) == Some(TicketStatus::Queued)) {
            state.tell(queue.game, News::Arrived(queue.key.clone()));
        }
        state.tell_changed(queue.game, changed);
        Ok(Ok(()))
    }

    async fn end(&self, ids: &[Uuid], reason: EndReason, now: OffsetDateTime) -> Result<Vec<EndOutcome>, StoreError> {
        let mut state = self.lock();
        let end = |id: &Uuid| match state.status(*id) {
            None => EndOutcome::NotFound,
            Some(TicketStatus::Matching(_)) => EndOutcome::Matching,
            Some(TicketStatus::Matched(_)) => EndOutcome::Matched,
            Some(TicketStatus::Ended(reason)) => EndOutcome::AlreadyEnded(reason),
            Some(TicketStatus::Queued) => {
                state.finish(*id, TicketStatus::Ended(reason), now);
                if let Some(game) = state.tickets.get(id).map(|entry| entry.stored.queue.game) {
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
        let sign = |sign: &Sign| {
            let entry = state.tickets.get_mut(&sign.ticket)?;
            entry.seen_ms = entry.seen_ms.max(now_ms);
            let signed = Signed { status: entry.stored.status, why: entry.stored.why.clone() };
            if signed.status == TicketStatus::Queued {
                let (queue, seen_ms) = (entry.stored.queue.clone(), entry.seen_ms);
                state.queue(&queue).sign(sign.ticket, seen_ms, sign.asks);
            }
            Some(signed)
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
        for explanation in explanations {
            let entry = state.tickets.get_mut(&explanation.ticket);
            if let Some(entry) = entry.filter(|entry| entry.stored.status == TicketStatus::Queued) {
                entry.stored.why = Some(explanation.why.clone());
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

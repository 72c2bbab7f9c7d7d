//! What the memory holds, and what becomes of it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use pkg_db::to_millis;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::super::QueueId;
use super::super::tickets::{Claim, Claimed, GiveBack, KEPT_AFTER_END, NewTicket, News, Stored, TicketStatus};
use super::entry::{Entry, Life};
use super::queue::Queue;
use crate::runs::Runs;
use crate::ticket::Ticket;

/// How many tickets there are at most, those that have ended among them: about half a KiB each.
const MOST_TICKETS: usize = 1_000_000;

/// What the store holds, behind its lock. Times are milliseconds.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Boxed, so that little is moved when the map grows, and no room for twice as many entries is made.
    pub(super) tickets: HashMap<Uuid, Box<Entry>>,
    /// By game and player: the ticket that holds them, as long as it waits or is being matched.
    holders: HashMap<Uuid, HashMap<Uuid, Uuid>>,
    pub(super) queues: HashMap<Arc<QueueId>, Queue>,
    /// Why tickets are not matched yet, of those of which it was asked.
    pub(super) explained: HashMap<Uuid, Bytes>,
    /// Tickets that were matched or have ended, by when that was.
    ended: Runs<(i64, Uuid)>,
    pub(super) news: HashMap<Uuid, broadcast::Sender<News>>,
}

impl State {
    pub(super) fn forget(&mut self, now_ms: i64) {
        let kept = i64::try_from(KEPT_AFTER_END.as_millis()).unwrap_or(i64::MAX);
        while let Some(ended) = self.ended.first().copied().filter(|(at, _)| at.saturating_add(kept) <= now_ms) {
            self.forget_ended(ended);
        }
    }

    fn forget_ended(&mut self, ended: (i64, Uuid)) {
        self.ended.remove(&ended);
        self.tickets.remove(&ended.1);
    }

    /// Whether there is room for another ticket; those that ended first make some.
    pub(super) fn has_room(&mut self) -> bool {
        if self.tickets.len() < MOST_TICKETS {
            return true;
        }
        let Some(ended) = self.ended.first().copied() else { return false };
        self.forget_ended(ended);
        true
    }

    pub(super) fn queue(&mut self, id: &QueueId) -> &mut Queue {
        let shared = self.shared(id);
        self.queues.entry(shared).or_default()
    }

    /// The id that all tickets of a queue share.
    fn shared(&self, id: &QueueId) -> Arc<QueueId> {
        self.queues.get_key_value(id).map_or_else(|| Arc::new(id.clone()), |(shared, _)| shared.clone())
    }

    pub(super) fn status(&self, id: Uuid) -> Option<TicketStatus> {
        self.tickets.get(&id).map(|entry| entry.status())
    }

    pub(super) fn load(&self, id: Uuid) -> Option<Stored> {
        self.tickets.get(&id).map(|entry| entry.stored(self.explained.get(&id).cloned()))
    }

    pub(super) fn holder(&self, game: Uuid, player: Uuid) -> Option<Uuid> {
        self.holders.get(&game)?.get(&player).copied()
    }

    pub(super) fn add(&mut self, new: &NewTicket, now_ms: i64) {
        let (id, seen, expires) = (new.ticket.id, to_millis(new.ticket.created), to_millis(new.expires));
        let ticket = Arc::new(Ticket { created: pkg_db::from_millis(seen), ..new.ticket.clone() });
        let held = self.holders.entry(new.queue.game).or_default();
        held.extend(ticket.players.iter().map(|player| (player.id, id)));
        let life = Life::Queued(self.queue(&new.queue).arrive(id, expires, seen, now_ms));
        let entry = Entry { ticket, queue: self.shared(&new.queue), expires, seen, life };
        self.tickets.insert(id, Box::new(entry));
    }

    /// The ticket is matched or has ended: its players are free.
    pub(super) fn finish(&mut self, id: Uuid, end: Life, now_ms: i64) {
        let Some(entry) = self.tickets.get_mut(&id) else { return };
        if let Some(queue) = self.queues.get_mut(&entry.queue) {
            queue.leave(entry);
        }
        entry.life = end;
        if let Some(held) = self.holders.get_mut(&entry.queue.game) {
            for player in &entry.ticket.players {
                if held.get(&player.id) == Some(&id) {
                    held.remove(&player.id);
                }
            }
        }
        self.explained.remove(&id);
        self.ended.insert((now_ms, id));
    }

    pub(super) fn claim(&mut self, queue: &QueueId, claim: &Claim) -> (Claimed, Vec<Uuid>) {
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
            let Some(entry) = self.tickets.get_mut(id) else { continue };
            if let Some(queue) = self.queues.get_mut(&entry.queue) {
                queue.leave(entry);
            }
            entry.life = Life::Matching(of);
        }
        self.queue(queue).claim(claim);
        (Claimed::Done, claim.tickets.clone())
    }

    pub(super) fn give_back(&mut self, queue: &QueueId, claim: &GiveBack, ended_ms: i64, now_ms: i64) -> Vec<Uuid> {
        let mut changed = Vec::new();
        for id in self.queue(queue).end_claim(claim.match_id) {
            if self.status(id) != Some(TicketStatus::Matching(claim.match_id)) {
                continue;
            }
            if let Some((_, reason)) = claim.end.iter().find(|(ends, _)| *ends == id) {
                self.finish(id, Life::Ended(*reason, ended_ms), ended_ms);
            } else {
                self.wait_again(id, now_ms);
            }
            changed.push(id);
        }
        changed
    }

    fn wait_again(&mut self, id: Uuid, now_ms: i64) {
        let Some(entry) = self.tickets.get_mut(&id) else { return };
        let queue = self.queues.entry(entry.queue.clone()).or_default();
        entry.life = Life::Queued(queue.arrive(id, entry.expires, entry.seen, now_ms));
    }

    pub(super) fn tell(&self, game: Uuid, news: News) {
        if let Some(sender) = self.news.get(&game) {
            // Nobody may be there any more.
            drop(sender.send(news));
        }
    }

    pub(super) fn tell_changed(&self, game: Uuid, changed: Vec<Uuid>) {
        if !changed.is_empty() {
            self.tell(game, News::Changed(changed));
        }
    }
}

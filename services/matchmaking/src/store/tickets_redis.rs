//! Tickets in Redis. Everything of a game lies in one slot, so that a script changes all of it in one step;
//! `ticket_library.lua` says what there is. Beside that, `queue_of/ID` leads from a ticket's id to its game and queue: it is
//! written before the ticket and kept for longer, so one that leads nowhere does no harm.

mod answers;
mod places;
#[cfg(test)]
mod real_redis;
mod scripts;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::KeysInterface;
use fred::types::{Expiration, Value};
use pkg_batching::Batcher;
use pkg_db::to_millis;
use pkg_definition::Key;
use pkg_redis::{ConnectError, Redis, Script};
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use self::answers::{ids, list, unexpected};
use self::places::Places;
use self::scripts::{Shared, id_value, kept, ms, steps, value};
use super::ticket_news::NewsHub;
use super::tickets::{
    Acknowledgement, Arrival, ArrivalNumber, Claim, Claimed, Created, EndOutcome, EndReason, Explanation, Fenced,
    GiveBack, MadeClaim, NewTicket, News, Sign, Signed, Stored, TicketStore,
};
use super::{QueueId, StoreError, ticket_body};

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {$(
        static $name: LazyLock<Script> =
            LazyLock::new(|| Script::with_library(include_str!("ticket_library.lua"), include_str!($file)));
    )*};
}

scripts! {
    CREATE = "ticket_create.lua",
    LOAD = "ticket_load.lua",
    ARRIVALS = "ticket_arrivals.lua",
    CLAIM = "ticket_claim.lua",
    OVERDUE = "ticket_overdue.lua",
    ACKNOWLEDGE = "ticket_acknowledge.lua",
    GIVE_BACK = "ticket_give_back.lua",
    END = "ticket_end.lua",
    SIGN = "ticket_sign.lua",
    DUE = "ticket_due.lua",
    EXPLAIN = "ticket_explain.lua",
}
static QUEUES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("ticket_queues.lua")));
static PLAYERS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("ticket_players.lua")));
/// For each member, its score or nothing.
static WAITING: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('ZMSCORE', KEYS[1], unpack(ARGV))"));
/// Those asked for since then; older ones are forgotten.
static ASKED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
         return redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1, 'REV')",
    )
});

/// How many tickets one script changes at most, unless one claim has more: it takes about 20 µs for each, and nothing else
/// happens in Redis meanwhile.
const CHANGED_AT_ONCE: usize = 150;
/// How many tickets one script reads or touches at most: 3–10 µs each.
const READ_AT_ONCE: usize = 300;

/// The real store of tickets and claims.
#[derive(Clone)]
pub struct RedisTickets {
    shared: Arc<Shared>,
    creates: Batcher<NewTicket, Result<Created, StoreError>>,
    loads: Batcher<Uuid, Result<Option<Stored>, StoreError>>,
}

impl RedisTickets {
    /// The tickets under the prefix of this connection. To be called on a runtime.
    pub async fn connect(redis: Redis) -> Result<Self, ConnectError> {
        let news = NewsHub::connect(&redis).await?;
        let shared = Arc::new(Shared { places: Places::new(redis.clone()), redis, news });
        let (creating, loading) = (shared.clone(), shared.clone());
        Ok(Self {
            shared,
            creates: Batcher::spawn(move |batch| {
                let shared = creating.clone();
                async move { shared.create(&batch).await }
            }),
            loads: Batcher::spawn(move |ids: Vec<Uuid>| {
                let shared = loading.clone();
                async move { shared.load_each(&ids).await }
            }),
        })
    }

    /// Ends the connection that news come on.
    pub async fn close(&self) {
        self.shared.news.close().await;
    }
}

#[async_trait]
impl TicketStore for RedisTickets {
    async fn create(&self, new: &NewTicket) -> Result<Created, StoreError> {
        self.creates.call(new.clone()).await?
    }

    async fn load(&self, ids: &[Uuid]) -> Result<Vec<Option<Stored>>, StoreError> {
        match ids {
            [id] => Ok(vec![self.loads.call(*id).await??]),
            _ => self.shared.load(ids).await,
        }
    }

    async fn tickets_of(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<Option<Uuid>>, StoreError> {
        let mut found = Vec::with_capacity(players.len());
        for step in players.chunks(READ_AT_ONCE) {
            let mut arguments = vec![value(self.shared.base(game))];
            arguments.extend(step.iter().map(|player| id_value(*player)));
            let keys = self.shared.game_keys(game).to_vec();
            let answer: Vec<String> = PLAYERS.run(&self.shared.redis, keys, arguments).await?;
            found.extend(answer.iter().map(|id| Uuid::try_parse(id).ok()));
        }
        Ok(found)
    }

    async fn queues(&self, game: Uuid) -> Result<Vec<Key>, StoreError> {
        let keys = self.shared.game_keys(game).to_vec();
        let names: Vec<String> = QUEUES.run(&self.shared.redis, keys, vec![self.shared.base(game)]).await?;
        names.iter().map(|name| Key::parse(name).ok_or_else(unexpected)).collect()
    }

    async fn arrivals(&self, queue: &QueueId, after: ArrivalNumber, max: usize) -> Result<Vec<Arrival>, StoreError> {
        let (mut found, mut after) = (Vec::new(), after.0);
        while found.len() < max {
            let step = READ_AT_ONCE.min(max - found.len());
            let arguments = [value(after.to_string()), value(step.to_string())];
            let answer = self.shared.run(&ARRIVALS, queue, None, arguments).await?;
            let answers::Arrivals { looked_at, last, found: arrivals } = answers::arrivals(answer)?;
            for (arrival, number) in arrivals {
                let NewTicket { ticket, expires, .. } = ticket_body::decode(&arrival)?;
                self.shared.places.learn(ticket.id, queue);
                found.push(Arrival { number: ArrivalNumber(number), ticket: Arc::new(ticket), expires });
            }
            if looked_at < step {
                break;
            }
            after = last;
        }
        Ok(found)
    }

    async fn still_waiting(&self, queue: &QueueId, tickets: &[Uuid]) -> Result<Vec<bool>, StoreError> {
        let mut waiting = Vec::with_capacity(tickets.len());
        for step in tickets.chunks(READ_AT_ONCE) {
            let keys = vec![self.shared.queue_key(queue, "waiting")];
            let members: Vec<Value> = step.iter().map(|id| id_value(*id)).collect();
            let scores: Value = WAITING.run(&self.shared.redis, keys, members).await?;
            waiting.extend(list(scores)?.iter().map(|score| !score.is_null()));
        }
        Ok(waiting)
    }

    async fn waiting_count(&self, queue: &QueueId) -> Result<u64, StoreError> {
        use fred::interfaces::SortedSetsInterface;
        let count = self.shared.redis.client()?.zcard(self.shared.queue_key(queue, "waiting")).await;
        Ok(count.map_err(pkg_redis::RedisError::from)?)
    }

    async fn claim(
        &self,
        queue: &QueueId,
        epoch: i64,
        claims: &[Claim],
    ) -> Result<Result<Vec<Claimed>, Fenced>, StoreError> {
        let mut claimed = Vec::with_capacity(claims.len());
        for step in steps(claims, CHANGED_AT_ONCE, |claim| claim.tickets.len()) {
            let mut arguments = vec![value(epoch.to_string())];
            for claim in step {
                arguments.extend([id_value(claim.match_id), ms(claim.deadline)]);
                arguments.push(value(claim.tickets.len().to_string()));
                arguments.extend(claim.tickets.iter().map(|id| id_value(*id)));
            }
            let answer = list(self.shared.run(&CLAIM, queue, None, arguments).await?)?;
            if let Some(fenced) = answers::fenced(&answer) {
                return Ok(Err(fenced));
            }
            for not_waiting in answer {
                let not_waiting = ids(not_waiting)?;
                claimed.push(if not_waiting.is_empty() { Claimed::Done } else { Claimed::NotWaiting(not_waiting) });
            }
        }
        Ok(Ok(claimed))
    }

    async fn overdue_claims(
        &self,
        queue: &QueueId,
        now: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<MadeClaim>, StoreError> {
        let most = value(max.min(READ_AT_ONCE).to_string());
        list(self.shared.run(&OVERDUE, queue, Some(now), [most]).await?)?.into_iter().map(answers::made_claim).collect()
    }

    async fn acknowledge(
        &self,
        queue: &QueueId,
        matches: &[Acknowledgement],
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        for step in steps(matches, CHANGED_AT_ONCE, |made| made.tickets.len()) {
            let mut arguments = vec![kept()];
            for made in step {
                arguments.extend([id_value(made.match_id), value(made.tickets.len().to_string())]);
                arguments.extend(made.tickets.iter().map(|id| id_value(*id)));
            }
            self.shared.run(&ACKNOWLEDGE, queue, Some(now), arguments).await?;
        }
        Ok(())
    }

    async fn give_back(
        &self,
        queue: &QueueId,
        epoch: i64,
        claims: &[GiveBack],
        now: OffsetDateTime,
    ) -> Result<Result<(), Fenced>, StoreError> {
        // The script says how many claims it came to: it counts their tickets.
        let mut rest = claims;
        while !rest.is_empty() {
            let most = value(CHANGED_AT_ONCE.to_string());
            let mut arguments = vec![value(epoch.to_string()), value(queue.key.as_str()), kept(), most];
            for claim in &rest[..rest.len().min(CHANGED_AT_ONCE)] {
                arguments.extend([id_value(claim.match_id), value(claim.end.len().to_string())]);
                let ends =
                    claim.end.iter().flat_map(|(id, reason)| [id_value(*id), value(answers::reason_text(*reason))]);
                arguments.extend(ends);
            }
            let answer = list(self.shared.run(&GIVE_BACK, queue, Some(now), arguments).await?)?;
            if let Some(fenced) = answers::fenced(&answer) {
                return Ok(Err(fenced));
            }
            let done = answers::count(&answer).filter(|done| (1..=rest.len()).contains(done)).ok_or_else(unexpected)?;
            rest = &rest[done..];
        }
        Ok(Ok(()))
    }

    async fn end(&self, ids: &[Uuid], reason: EndReason, now: OffsetDateTime) -> Result<Vec<EndOutcome>, StoreError> {
        let head = [value(answers::reason_text(reason)), kept()];
        let found = self
            .shared
            .run_for((&END, CHANGED_AT_ONCE), ids, Some(now), &head, |place| vec![id_value(ids[place])])
            .await?;
        found.into_iter().map(|answer| answer.map_or(Ok(EndOutcome::NotFound), answers::end_outcome)).collect()
    }

    async fn sign(&self, signs: &[Sign], now: OffsetDateTime) -> Result<Vec<Option<Signed>>, StoreError> {
        let tickets: Vec<Uuid> = signs.iter().map(|sign| sign.ticket).collect();
        let argument = |place: usize| {
            let asks = if signs[place].asks { "1" } else { "0" };
            vec![id_value(tickets[place]), value(asks)]
        };
        let found = self.shared.run_for((&SIGN, READ_AT_ONCE), &tickets, Some(now), &[], argument).await?;
        found.into_iter().map(|answer| answer.map_or(Ok(None), answers::signed)).collect()
    }

    async fn gone(&self, queue: &QueueId, before: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        let arguments =
            [value("3"), value(format!("({}", to_millis(before))), value(max.min(READ_AT_ONCE).to_string())];
        ids(self.shared.run(&DUE, queue, None, arguments).await?)
    }

    async fn expired(&self, queue: &QueueId, now: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        let arguments = [value("2"), ms(now), value(max.min(READ_AT_ONCE).to_string())];
        ids(self.shared.run(&DUE, queue, None, arguments).await?)
    }

    async fn asked(&self, queue: &QueueId, since: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let keys = vec![self.shared.queue_key(queue, "asked")];
        let arguments = vec![ms(since), value(max.min(READ_AT_ONCE).to_string())];
        ids(ASKED.run(&self.shared.redis, keys, arguments).await?)
    }

    async fn explain(&self, queue: &QueueId, explanations: &[Explanation]) -> Result<(), StoreError> {
        for step in explanations.chunks(READ_AT_ONCE) {
            let arguments = step.iter().flat_map(|it| [id_value(it.ticket), Value::from(it.why.clone())]);
            self.shared.run(&EXPLAIN, queue, None, arguments).await?;
        }
        Ok(())
    }

    async fn put_summary(&self, queue: &QueueId, summary: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX).max(1);
        let key = self.shared.queue_key(queue, "summary");
        let set = self.shared.redis.client()?.set(key, summary, Some(Expiration::PX(lifetime)), None, false).await;
        Ok(set.map_err(pkg_redis::RedisError::from)?)
    }

    async fn summary(&self, queue: &QueueId) -> Result<Option<Bytes>, StoreError> {
        let summary = self.shared.redis.client()?.get(self.shared.queue_key(queue, "summary")).await;
        Ok(summary.map_err(pkg_redis::RedisError::from)?)
    }

    async fn news(&self, game: Uuid) -> Result<broadcast::Receiver<News>, StoreError> {
        let [_, channel] = self.shared.game_keys(game);
        self.shared.news.follow(channel).await
    }
}

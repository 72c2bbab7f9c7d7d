//! How scripts are run: their keys, their arguments, and as many tickets at once as one of them may take.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::types::Value;
use pkg_db::to_millis;
use pkg_redis::{Redis, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::ticket_news::NewsHub;
use super::super::tickets::{Created, FORGOTTEN_AFTER_EXPIRY, KEPT_AFTER_END, NewTicket, Stored};
use super::super::{QueueId, StoreError, ticket_body};
use super::answers::{self, list, unexpected};
use super::places::Places;
use super::{CREATE, LOAD, READ_AT_ONCE};

/// What calls share.
pub(super) struct Shared {
    pub(super) redis: Redis,
    pub(super) places: Places,
    pub(super) news: Arc<NewsHub>,
}

impl Shared {
    pub(super) fn base(&self, game: Uuid) -> String {
        self.redis.key_in_slot(&game.as_hyphenated().to_string(), &["matchmaking"])
    }

    pub(super) fn queue_key(&self, queue: &QueueId, name: &str) -> String {
        format!("{}:{name}:{}", self.base(queue.game), queue.key)
    }

    pub(super) fn game_keys(&self, game: Uuid) -> [String; 2] {
        let base = self.base(game);
        [format!("{base}:queues"), format!("{base}:news")]
    }

    /// Runs a script with what the library needs, and these arguments after it.
    pub(super) async fn run(
        &self,
        script: &Script,
        queue: &QueueId,
        now: Option<OffsetDateTime>,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Value, StoreError> {
        const NAMES: [&str; 8] = ["waiting", "expiring", "seen", "asked", "claims", "claimed", "counter", "epoch"];
        let of_queue = NAMES.map(|name| self.queue_key(queue, name));
        let keys: Vec<String> = of_queue.into_iter().chain(self.game_keys(queue.game)).collect();
        let mut all = vec![value(self.base(queue.game)), ms(now.unwrap_or(OffsetDateTime::UNIX_EPOCH))];
        all.extend(arguments);
        Ok(script.run(&self.redis, keys, all).await?)
    }

    /// Runs a script for tickets wherever they are, `most` at once: `head` first, then what `argument` says of each. Answers in the order
    /// of the ids, with `None` for those that nothing leads to.
    pub(super) async fn run_for(
        &self,
        (script, most): (&Script, usize),
        tickets: &[Uuid],
        now: Option<OffsetDateTime>,
        head: &[Value],
        arguments: impl Fn(usize) -> Vec<Value>,
    ) -> Result<Vec<Option<Value>>, StoreError> {
        let mut answers = vec![None; tickets.len()];
        for (queue, places) in self.places.queues_of(tickets).await? {
            for step in places.chunks(most) {
                let arguments = head.iter().cloned().chain(step.iter().flat_map(|place| arguments(*place)));
                let answer = list(self.run(script, &queue, now, arguments).await?)?;
                if answer.len() != step.len() {
                    return Err(unexpected());
                }
                for (place, answer) in step.iter().zip(answer) {
                    answers[*place] = Some(answer);
                }
            }
        }
        Ok(answers)
    }

    pub(super) async fn load(&self, tickets: &[Uuid]) -> Result<Vec<Option<Stored>>, StoreError> {
        let answers =
            self.run_for((&LOAD, READ_AT_ONCE), tickets, None, &[], |place| vec![id_value(tickets[place])]).await?;
        answers.into_iter().map(|answer| answer.map_or(Ok(None), answers::stored)).collect()
    }

    pub(super) async fn load_each(&self, tickets: &[Uuid]) -> Vec<Result<Option<Stored>, StoreError>> {
        match self.load(tickets).await {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(error) => tickets.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    pub(super) async fn create(&self, batch: &[NewTicket]) -> Vec<Result<Created, StoreError>> {
        let failed = |error: StoreError| batch.iter().map(|_| Err(error.clone())).collect();
        let noted = match self.places.note(batch).await {
            Ok(noted) => noted,
            Err(error) => return failed(error),
        };
        let mut answers: Vec<Result<Created, StoreError>> = batch.iter().map(|_| Ok(Created::IdTaken)).collect();
        for (queue, places) in noted {
            let outcome = self.create_in(&queue, batch, &places).await;
            match outcome {
                Ok(created) => places.iter().zip(created).for_each(|(place, created)| answers[*place] = Ok(created)),
                Err(error) => places.iter().for_each(|place| answers[*place] = Err(error.clone())),
            }
        }
        answers
    }

    /// A batch is small enough for one script.
    async fn create_in(
        &self,
        queue: &QueueId,
        batch: &[NewTicket],
        places: &[usize],
    ) -> Result<Vec<Created>, StoreError> {
        let new = places.iter().map(|place| &batch[*place]);
        let now = new.clone().map(|new| new.ticket.created).max();
        let mut arguments = vec![value(queue.key.as_str())];
        for new in new.clone() {
            let players: Vec<String> = new.ticket.players.iter().map(|player| player.id.to_string()).collect();
            arguments.extend([
                id_value(new.ticket.id),
                Value::from(Bytes::from(ticket_body::encode(new))),
                ms(new.expires),
                ms(new.expires + FORGOTTEN_AFTER_EXPIRY),
                value(players.join(" ")),
            ]);
        }
        let answer = list(self.run(&CREATE, queue, now, arguments).await?)?;
        new.zip(answer).map(|(new, answer)| answers::created(new, answer)).collect()
    }
}

/// What becomes arguments of a script.
pub(super) fn value(text: impl Into<String>) -> Value {
    Value::from(text.into())
}

pub(super) fn id_value(id: Uuid) -> Value {
    value(id.as_hyphenated().to_string())
}

pub(super) fn millis(span: Duration) -> Value {
    value(span.as_millis().to_string())
}

pub(super) fn kept() -> Value {
    millis(KEPT_AFTER_END)
}

pub(super) fn ms(time: OffsetDateTime) -> Value {
    value(to_millis(time).to_string())
}

/// Cuts into steps of a total weight of `most`, or of one item.
pub(super) fn steps<T>(items: &[T], most: usize, weight: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut steps, mut begin, mut sum) = (Vec::new(), 0, 0);
    for (place, item) in items.iter().enumerate() {
        let weight = weight(item);
        if place > begin && sum + weight > most {
            steps.push(&items[begin..place]);
            (begin, sum) = (place, 0);
        }
        sum += weight;
    }
    if begin < items.len() {
        steps.push(&items[begin..]);
    }
    steps
}

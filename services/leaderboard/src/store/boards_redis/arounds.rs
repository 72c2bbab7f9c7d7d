//! Places around players of one board that are asked for at the same time, read by one script: most of what a script costs,
//! here and in Redis, does not depend on how many it reads.
//!
//! Nothing waits for others: whoever is free takes what is there.

use std::fmt;
use std::sync::Arc;

use fred::types::Value;
use futures::future::join_all;
use pkg_batching::Unanswered;
use pkg_redis::Redis;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::super::StoreError;
use super::super::boards::{BoardView, Place, Read};
use super::values::{Answer, view};
use super::{AROUND, bytes, keys_to_read};

/// How many one script reads at most: a few hundred microseconds in which Redis serves nobody else.
const AT_ONCE: usize = 8;
/// How many scripts are under way at once, at least if they are of one board.
const WORKERS: usize = 8;
/// How many wait for a script; further ones wait for a place.
const WAITING_MAX: usize = 4_096;

/// Who reads. Cloning shares it; the work ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Arounds {
    waiting: mpsc::Sender<Asked>,
}

struct Asked {
    place: Place,
    player: Uuid,
    count: usize,
    answer: oneshot::Sender<Result<Read<BoardView>, StoreError>>,
}

impl Arounds {
    /// Must be made on a runtime.
    pub(super) fn new(redis: &Redis) -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            tokio::spawn(work(redis.clone(), queue.clone()));
        }
        Self { waiting }
    }

    pub(super) async fn read(&self, place: &Place, player: Uuid, count: usize) -> Result<Read<BoardView>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { place: place.clone(), player, count, answer };
        self.waiting.send(asked).await.map_err(|_| Unanswered)?;
        answered.await.map_err(|_| Unanswered)?
    }
}

impl fmt::Debug for Arounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arounds").finish_non_exhaustive()
    }
}

async fn work(redis: Redis, queue: Arc<Mutex<mpsc::Receiver<Asked>>>) {
    loop {
        let mut asked = Vec::with_capacity(AT_ONCE);
        if queue.lock().await.recv_many(&mut asked, AT_ONCE).await == 0 {
            return;
        }
        join_all(of_one_place(asked).into_iter().map(|asked| answer(&redis, asked))).await;
    }
}

/// What one script can read, without those who went away meanwhile.
fn of_one_place(asked: Vec<Asked>) -> Vec<Vec<Asked>> {
    let mut places: Vec<Vec<Asked>> = Vec::with_capacity(1);
    for one in asked.into_iter().filter(|one| !one.answer.is_closed()) {
        match places.iter_mut().find(|others| others.first().is_some_and(|other| other.place == one.place)) {
            Some(others) => others.push(one),
            None => places.push(vec![one]),
        }
    }
    places
}

async fn answer(redis: &Redis, asked: Vec<Asked>) {
    let views: Vec<_> = match run(redis, &asked).await {
        Ok(Some(views)) => views.into_iter().map(Ok).collect(),
        Ok(None) => asked.iter().map(|_| Ok(Read::Missing)).collect(),
        Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
    };
    for (one, view) in asked.into_iter().zip(views) {
        // Who went away needs no answer.
        let _ = one.answer.send(view);
    }
}

/// `None` if the period is missing.
async fn run(redis: &Redis, asked: &[Asked]) -> Result<Option<Vec<Read<BoardView>>>, StoreError> {
    let Some(Asked { place, .. }) = asked.first() else { return Ok(None) };
    let (keys, period) = keys_to_read(redis, place);
    let mut arguments = Vec::with_capacity(1 + 2 * asked.len());
    arguments.push(Value::from(period));
    for one in asked {
        arguments.push(bytes(one.player.as_bytes()));
        arguments.push(Value::from(one.count.to_string()));
    }
    let views = match Answer::of(AROUND.run(redis, keys, arguments).await?)? {
        Answer::Code(_) => return Ok(None),
        Answer::List(views) => views,
    };
    let view = |parts: Value| match Answer::of(parts)? {
        Answer::List(parts) => view(place.order, parts).map(Read::Found),
        Answer::Code(_) => Err(StoreError::broken("a script answered something else")),
    };
    views.into_iter().map(view).collect::<Result<_, _>>().map(Some)
}

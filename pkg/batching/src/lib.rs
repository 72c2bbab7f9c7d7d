//! Calls that wait for the same at the same time, made as one: different ones by a [`Batcher`], equal ones by [`Sharing`].
//!
//! Nothing waits for a fuller batch: what has come in while the batch before was under way is the next one. So a single
//! call is as fast as without, and under load the cost of a round trip is shared. A batch that is slow, since a server
//! hangs, does not hold up the next one for long.

mod sharing;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

pub use sharing::Sharing;

/// The most calls in one batch.
pub const MAX_BATCH: usize = 128;

/// How long a batch may take before the next one is begun beside it. A round trip takes a fraction of that.
const PATIENCE: Duration = Duration::from_millis(20);

/// The most batches that are under way at once.
const MAX_AT_ONCE: usize = 16;

/// The most calls that wait for the next batch; further ones wait for a place.
const MAX_WAITING: usize = 4_096;

/// Makes calls in batches. Cloning shares it; the work ends when the last clone is dropped.
pub struct Batcher<I, O> {
    waiting: mpsc::Sender<Call<I, O>>,
}

struct Call<I, O> {
    input: I,
    answer: oneshot::Sender<O>,
}

/// A batch ended without an answer to this call: its work panicked, or answered too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of calls was not answered")
    }
}

impl std::error::Error for Unanswered {}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// Starts a batcher on the current runtime. `work` answers each input of a batch, in their order.
    pub fn spawn<W, F>(work: W) -> Self
    where
        W: Fn(Vec<I>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<O>> + Send + 'static,
    {
        let (waiting, queue) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(queue, work));
        Self { waiting }
    }

    /// Makes one call, together with others.
    pub async fn call(&self, input: I) -> Result<O, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.waiting.send(Call { input, answer }).await.map_err(|_| Unanswered)?;
        answered.await.map_err(|_| Unanswered)
    }
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

impl<I, O> fmt::Debug for Batcher<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

async fn run<I, O, W, F>(mut queue: mpsc::Receiver<Call<I, O>>, work: W)
where
    I: Send + 'static,
    O: Send + 'static,
    W: Fn(Vec<I>) -> F + Send + Sync + 'static,
    F: Future<Output = Vec<O>> + Send + 'static,
{
    let work = Arc::new(work);
    let (turn, places) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(MAX_AT_ONCE)));
    loop {
        // The turn first: what comes in meanwhile goes into one batch.
        let Ok(turn) = turn.clone().acquire_owned().await else { return };
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let mut calls = Vec::new();
        if queue.recv_many(&mut calls, MAX_BATCH).await == 0 {
            return;
        }
        let work = work.clone();
        tokio::spawn(async move {
            // Whoever went away while it waited is not worked for.
            let wanted = calls.into_iter().filter(|call| !call.answer.is_closed());
            let (inputs, answers): (Vec<I>, Vec<_>) = wanted.map(|call| (call.input, call.answer)).unzip();
            if inputs.is_empty() {
                return;
            }
            let mut outputs = pin!(work(inputs));
            let in_time = tokio::time::timeout(PATIENCE, outputs.as_mut()).await;
            drop(turn);
            let outputs = match in_time {
                Ok(outputs) => outputs,
                Err(_elapsed) => outputs.await,
            };
            for (output, answer) in outputs.into_iter().zip(answers) {
                // A caller that went away needs no answer.
                let _ = answer.send(output);
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn each_call_gets_its_own_answer() {
        let batcher = Batcher::spawn(async |numbers: Vec<u32>| numbers.into_iter().map(|number| number * 2).collect());
        let calls = (0..1_000).map(|number| batcher.call(number));
        assert_eq!(join_all(calls).await, (0..1_000).map(|number| Ok(number * 2)).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_hangs_does_not_hold_up_the_next_one() {
        let batcher =
            Batcher::spawn(async |batch: Vec<u32>| if batch == [1] { std::future::pending().await } else { batch });
        let hanging = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.call(1).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(batcher.call(2).await, Ok(2));
        assert!(!hanging.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_meanwhile_is_the_next_batch() {
        let (sizes, go) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let batcher = Batcher::spawn({
            let (sizes, go) = (sizes.clone(), go.clone());
            move |batch: Vec<u32>| {
                let (sizes, go) = (sizes.clone(), go.clone());
                async move {
                    sizes.lock().unwrap().push(batch.len());
                    go.notified().await;
                    batch
                }
            }
        });
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.call(0).await }
        });
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let rest = tokio::spawn(async move { join_all((1..=5).map(|number| batcher.call(number))).await });
        while !rest.is_finished() {
            go.notify_one();
            tokio::task::yield_now().await;
        }

        assert_eq!(first.await.unwrap(), Ok(0));
        assert_eq!(rest.await.unwrap(), [Ok(1), Ok(2), Ok(3), Ok(4), Ok(5)]);
        assert_eq!(*sizes.lock().unwrap(), [1, 5]);
    }

    #[tokio::test]
    async fn a_batch_that_panics_is_told_to_its_callers_alone() {
        let batcher = Batcher::spawn(async |numbers: Vec<u32>| {
            assert_ne!(numbers, [13], "for the test");
            numbers
        });
        assert_eq!(batcher.call(13).await, Err(Unanswered));
        assert_eq!(batcher.call(7).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_done_for_callers_that_went_away() {
        let (go, worked_for) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
        let batcher = Batcher::spawn({
            let (go, worked_for) = (go.clone(), worked_for.clone());
            move |batch: Vec<u32>| {
                let (go, worked_for) = (go.clone(), worked_for.clone());
                async move {
                    worked_for.lock().unwrap().extend_from_slice(&batch);
                    go.notified().await;
                    batch
                }
            }
        });
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.call(1).await }
        });
        while worked_for.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, batcher.call(2)).await;
        assert!(given_up.is_err());
        let last = tokio::spawn(async move { batcher.call(3).await });
        while !last.is_finished() {
            go.notify_one();
            tokio::task::yield_now().await;
        }

        assert_eq!((first.await.unwrap(), last.await.unwrap()), (Ok(1), Ok(3)));
        assert_eq!(*worked_for.lock().unwrap(), [1, 3]);
    }
}

//! Calls that ask for the same at the same time, answered by one.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::coop;

use crate::Unanswered;

/// Makes the calls. Cloning shares it.
///
/// A call is answered by work that was begun after it: so whoever calls after something was written sees that. While work for
/// a key is under way, those who call for the same key wait for the next one together.
pub struct Sharing<K, V> {
    waiting: Arc<Mutex<Waiting<K, V>>>,
}

/// Those who wait, by key. A key without any is one whose work is under way.
type Waiting<K, V> = HashMap<K, Vec<oneshot::Sender<V>>>;

impl<K, V> Clone for Sharing<K, V> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

/// Nothing is under way.
impl<K, V> Default for Sharing<K, V> {
    fn default() -> Self {
        Self { waiting: Arc::default() }
    }
}

impl<K, V> Sharing<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// What the work for a key answers; it goes on if this future is dropped. Whose `work` it is makes no difference: that of
    /// one key is always the same.
    pub async fn call<F>(&self, key: K, work: impl Fn() -> F + Send + 'static) -> Result<V, Unanswered>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut waiting = lock(&self.waiting);
            let idle = !waiting.contains_key(&key);
            waiting.entry(key.clone()).or_default().push(answer);
            idle
        };
        if idle {
            tokio::spawn(work_for(UnderWay { waiting: self.waiting.clone(), key }, work));
        }
        answered.await.map_err(|_| Unanswered)
    }
}

/// The work for a key. Whatever ends it, others can begin it again.
struct UnderWay<K: Eq + Hash, V> {
    waiting: Arc<Mutex<Waiting<K, V>>>,
    key: K,
}

impl<K: Clone + Eq + Hash, V> UnderWay<K, V> {
    /// Those who wait now; nobody means that this has ended.
    fn next(&self) -> Vec<oneshot::Sender<V>> {
        let mut waiting = lock(&self.waiting);
        let mut next = waiting.get_mut(&self.key).map(mem::take).unwrap_or_default();
        next.retain(|answer| !answer.is_closed());
        if next.is_empty() {
            waiting.remove(&self.key);
        }
        next
    }
}

impl<K: Eq + Hash, V> Drop for UnderWay<K, V> {
    fn drop(&mut self) {
        // After an ordinary end the key may be somebody else's already.
        if std::thread::panicking() {
            lock(&self.waiting).remove(&self.key);
        }
    }
}

async fn work_for<K, V, F>(under_way: UnderWay<K, V>, work: impl Fn() -> F + Send)
where
    K: Clone + Eq + Hash,
    V: Clone,
    F: Future<Output = V>,
{
    loop {
        let answers = under_way.next();
        if answers.is_empty() {
            return;
        }
        let answer = work().await;
        for waiting in answers {
            // Who went away needs no answer.
            let _ = waiting.send(answer.clone());
        }
        coop::consume_budget().await;
    }
}

fn lock<K, V>(waiting: &Mutex<Waiting<K, V>>) -> MutexGuard<'_, Waiting<K, V>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use std::time::Duration;

    use futures::future::join_all;
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    /// Counts how often it is worked, and is done when it is let go.
    #[derive(Clone)]
    struct Work {
        begun: Arc<AtomicU32>,
        go: Arc<Semaphore>,
    }

    impl Work {
        fn new() -> Self {
            Self { begun: Arc::default(), go: Arc::new(Semaphore::new(0)) }
        }

        async fn call(self, sharing: Sharing<&'static str, u32>, key: &'static str) -> Result<u32, Unanswered> {
            let work = move || {
                let Self { begun, go } = self.clone();
                async move {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    go.acquire().await.unwrap().forget();
                    assert_ne!(number, 13, "for the test");
                    number
                }
            };
            sharing.call(key, work).await
        }

        async fn until_begun(&self, times: u32) {
            while self.begun.load(Ordering::SeqCst) < times {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Broken promises fail, rather than wait for ever.
    async fn in_time(test: impl Future<Output = ()>) {
        timeout(Duration::from_secs(30), test).await.expect("in time");
    }

    #[tokio::test]
    async fn those_who_come_while_work_is_under_way_share_the_next_one() {
        in_time(async {
            let (sharing, work) = (Sharing::default(), Work::new());
            let first = tokio::spawn(work.clone().call(sharing.clone(), "a"));
            work.until_begun(1).await;
            let (shared, own) = (sharing.clone(), work.clone());
            let rest =
                tokio::spawn(async move { join_all((0..5).map(|_| own.clone().call(shared.clone(), "a"))).await });
            let other = tokio::spawn(work.clone().call(sharing.clone(), "b"));
            work.until_begun(2).await;
            while lock(&sharing.waiting).get("a").is_none_or(|waiting| waiting.len() < 5) {
                tokio::task::yield_now().await;
            }
            work.go.add_permits(3);

            assert_eq!((first.await.unwrap(), other.await.unwrap()), (Ok(1), Ok(2)));
            assert_eq!(rest.await.unwrap(), [Ok(3); 5]);
            work.go.add_permits(1);
            assert_eq!(work.call(sharing.clone(), "a").await, Ok(4));
            while !lock(&sharing.waiting).is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    #[tokio::test]
    async fn work_that_panics_is_begun_again() {
        in_time(async {
            let (sharing, work) = (Sharing::default(), Work::new());
            work.begun.store(12, Ordering::SeqCst);
            work.go.add_permits(2);
            assert_eq!(work.clone().call(sharing.clone(), "a").await, Err(Unanswered));
            assert_eq!(work.call(sharing, "a").await, Ok(14));
        })
        .await;
    }

    #[tokio::test]
    async fn who_gives_up_is_not_worked_for() {
        in_time(async {
            let (sharing, work) = (Sharing::default(), Work::new());
            let first = tokio::spawn(work.clone().call(sharing.clone(), "a"));
            work.until_begun(1).await;
            let given_up = timeout(Duration::ZERO, work.clone().call(sharing.clone(), "a")).await;
            assert!(given_up.is_err());
            work.go.add_permits(2);
            assert_eq!(first.await.unwrap(), Ok(1));
            assert_eq!(work.call(sharing, "a").await, Ok(2));
        })
        .await;
    }
}

//! What the store of leases promises on either database.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pkg_db::Database;
use uuid::Uuid;

use super::testing::{LIMIT, id, queue, queue_of, two_ids};
use super::*;

/// Over before anybody could look twice.
const MOMENT: Duration = Duration::from_millis(1);

/// Asks until the answer is there.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LIMIT, found).await.expect("it happens")
}

async fn epochs(store: &dyn LeaseStore, worker: Uuid, queues: &[QueueId]) -> Vec<i64> {
    let leases = store.acquire(worker, queues, LIMIT).await.unwrap();
    let epoch = |queue: &QueueId| leases.iter().find(|lease| lease.queue == *queue).map_or(0, |lease| lease.epoch);
    queues.iter().map(epoch).collect()
}

async fn a_queue_has_one_worker(store: &dyn LeaseStore) {
    let (one, other) = (id(), id());
    let game = id();
    let queues = ["a", "b"].map(|key| queue_of(game, key));
    assert_eq!(epochs(store, one, &queues[..1]).await, [1]);
    assert_eq!(epochs(store, other, &queues).await, [0, 1]);
    assert_eq!(epochs(store, one, &queues).await, [1, 0], "repeated");
    let held = store.renew(one, &queues, LIMIT).await.unwrap();
    assert_eq!(held, [Lease { queue: queues[0].clone(), epoch: 1 }]);
    assert_eq!(store.renew(one, &[], LIMIT).await.unwrap(), []);
    assert_eq!(store.acquire(one, &[], LIMIT).await.unwrap(), []);
}

async fn epochs_rise_with_every_owner(store: &dyn LeaseStore) {
    let (one, other) = (id(), id());
    let queues = [queue()];
    assert_eq!(epochs(store, one, &queues).await, [1]);
    store.release(other, &queues).await.unwrap();
    assert_eq!(epochs(store, other, &queues).await, [0], "only its owner lets it go");
    store.release(one, &queues).await.unwrap();
    assert_eq!(store.renew(one, &queues, LIMIT).await.unwrap(), []);
    assert_eq!(epochs(store, one, &queues).await, [2], "taken again, by the same one");
    store.leave(one).await.unwrap();
    assert_eq!(epochs(store, other, &queues).await, [3]);

    // Time that is over is as good as letting go, and a lease that is over is not renewed.
    store.acquire(other, &queues, MOMENT).await.unwrap();
    eventually(async || store.renew(other, &queues, MOMENT).await.unwrap().is_empty().then_some(())).await;
    assert_eq!(epochs(store, one, &queues).await, [4]);
    assert_eq!(epochs(store, other, &queues).await, [0]);
}

async fn of_many_workers_one_gets_it(store: &Arc<dyn LeaseStore>) {
    let game = id();
    let queues: Vec<QueueId> = (0..30).map(|number| queue_of(game, &format!("queue-{number}"))).collect();
    for round in 1..=5 {
        let workers = (0..8).map(|number| {
            let (store, mut queues) = (store.clone(), queues.clone());
            queues.rotate_left(number * 3);
            tokio::spawn(async move {
                let worker = id();
                let leases = store.acquire(worker, &queues, LIMIT).await.unwrap();
                (worker, leases)
            })
        });
        let taken: Vec<(Uuid, Vec<Lease>)> = join_all(workers).await.into_iter().map(Result::unwrap).collect();
        let leases: Vec<&Lease> = taken.iter().flat_map(|(_, leases)| leases).collect();
        assert_eq!(leases.len(), queues.len());
        assert_eq!(leases.iter().map(|lease| &lease.queue).collect::<HashSet<_>>().len(), queues.len());
        assert!(leases.iter().all(|lease| lease.epoch == round));
        for (worker, _) in taken {
            store.leave(worker).await.unwrap();
        }
    }
}

async fn workers_are_alive_while_they_beat(store: &dyn LeaseStore) {
    let [one, other] = two_ids();
    assert_eq!(store.beat(one, LIMIT).await.unwrap(), [one]);
    assert_eq!(store.beat(other, MOMENT).await.unwrap().first(), Some(&one));
    eventually(async || (store.beat(one, LIMIT).await.unwrap() == [one]).then_some(())).await;
    assert_eq!(store.beat(other, LIMIT).await.unwrap(), [one, other]);
    store.leave(one).await.unwrap();
    assert_eq!(store.beat(other, LIMIT).await.unwrap(), [other]);
    store.leave(other).await.unwrap();
}

async fn verify(database: &Database) {
    let store: Arc<dyn LeaseStore> = Arc::new(SqlLeases::new(database.clone()));
    a_queue_has_one_worker(&*store).await;
    epochs_rise_with_every_owner(&*store).await;
    of_many_workers_one_gets_it(&store).await;
    workers_are_alive_while_they_beat(&*store).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    verify(&*pkg_db::testing::sqlite().await).await;
}

mod real_postgres {
    #[tokio::test]
    async fn keeps_the_contract() {
        super::verify(&*pkg_db::testing::postgres().await).await;
    }
}

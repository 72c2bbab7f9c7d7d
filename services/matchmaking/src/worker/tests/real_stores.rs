//! The same over Redis and Postgres.

use super::*;
use crate::store::RedisTickets;

/// How many join at once.
const CROWD: u128 = 1_000;

async fn world() -> (World, pkg_redis::testing::TestRedis) {
    let redis = pkg_redis::testing::redis().await;
    let tickets = RedisTickets::connect(redis.clone()).await.expect("the test server serves");
    let database = pkg_db::testing::postgres().await;
    (World::over(Arc::new(tickets), database, World::clock()).await, redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_lost_and_nobody_is_in_two_matches() {
    let (world, _redis) = world().await;
    crashes::check(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_at_once_is_matched() {
    let (world, _redis) = world().await;
    let worker = Working::start(&world, 1);
    let players = (0..CROWD).map(async |number| {
        let began = Instant::now();
        let ticket = world.queue(number).await;
        let id = world.matched(ticket).await;
        (id, began.elapsed())
    });
    let mut matched = futures::future::join_all(players).await;
    worker.end().await;
    matched.sort_by_key(|(_, took)| *took);
    let at = |part: usize| matched[matched.len() * part / 100].1;
    println!("{CROWD} players at once: p50 {:?}, p99 {:?}", at(50), at(99));
    let ids: std::collections::BTreeSet<_> = matched.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len() * 2, matched.len());
    assert_eq!(world.sessions.created().len(), ids.len());
}

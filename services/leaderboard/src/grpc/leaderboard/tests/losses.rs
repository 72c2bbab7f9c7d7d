//! Boards that are lost are made of the history again, for who reads them.

use std::time::Duration;

use futures::future::join_all;
use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1 as api;
use prost_types::Timestamp;

use crate::grpc::harness::{Harness, around, entries, entry, on_both, places, score};

on_both! {
    every_reading_finds_a_lost_board_again
    scores_go_on_after_a_loss
}

async fn filled(harness: &Harness) -> Timestamp {
    let first = Timestamp { seconds: harness.ambient.now().unix_timestamp(), nanos: 0 };
    for number in 1..=20 {
        let value = i64::try_from(number).expect("a number");
        harness.player(number).submit(score("points", 1, value)).await.unwrap();
    }
    harness.clock.advance(Duration::from_hours(24));
    harness.player(7).submit(score("points", 2, 70)).await.unwrap();
    first
}

async fn every_reading_finds_a_lost_board_again(harness: Harness) {
    let first = filled(&harness).await;
    harness.lose_boards();
    let period = LeaderboardPeriod::Daily.into();
    let past = api::ListEntriesRequest { period, period_time: Some(first), ..entries("points", 3) };
    let readings = (0..20).map(|_| async {
        let mut one = harness.player(1);
        assert_eq!(one.top("points", 2).await, [(1, 7, 70), (2, 20, 20)]);
        let found = one.grpc.get_entry(entry("points", 7)).await.unwrap().into_inner();
        assert_eq!((found.entry.expect("an entry").rank, found.total_count), (1, 20));
        assert_eq!(places(&one.around(around("points", 20, 3)).await.unwrap()), [(1, 7, 70), (2, 20, 20), (3, 19, 19)]);
        let past = one.list(past.clone()).await.unwrap().view.expect("a view");
        assert_eq!((places(&past), past.total_count), (vec![(1, 20, 20), (2, 19, 19), (3, 18, 18)], 20));
        assert_eq!(one.top_of_today("points", 2).await, [(1, 7, 70)]);
    });
    join_all(readings).await;
}

async fn scores_go_on_after_a_loss(harness: Harness) {
    filled(&harness).await;
    harness.lose_boards();
    let submitted = harness.player(5).submit(score("points", 3, 100)).await.unwrap();
    let mut one = harness.player(1);
    let request = api::ListEntriesRequest { min_position: submitted.position, ..entries("points", 3) };
    let view = one.list(request).await.unwrap().view.expect("a view");
    assert_eq!(places(&view), [(1, 5, 100), (2, 7, 70), (3, 20, 20)]);
    assert_eq!(view.total_count, 20);
    assert_eq!(one.top_of_today("points", 3).await, [(1, 5, 100), (2, 7, 70)]);
}

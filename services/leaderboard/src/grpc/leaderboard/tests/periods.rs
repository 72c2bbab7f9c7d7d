//! Periods come and go.

use std::time::Duration;

use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1 as api;
use prost_types::Timestamp;

use crate::grpc::harness::{Client, GAME, Harness, entries, on_both, places, score, told};

on_both! {
    past_periods_stay_as_they_ended
    periods_are_listed
}

const DAY: Duration = Duration::from_hours(24);

fn now(harness: &Harness) -> Timestamp {
    Timestamp { seconds: harness.ambient.now().unix_timestamp(), nanos: 0 }
}

async fn day(client: &mut Client, time: Option<Timestamp>) -> api::BoardView {
    let period = LeaderboardPeriod::Daily.into();
    let request = api::ListEntriesRequest { period, period_time: time, ..entries("wins", 10) };
    client.list(request).await.expect("it is read").view.expect("a view")
}

async fn past_periods_stay_as_they_ended(harness: Harness) {
    let first = now(&harness);
    harness.player(1).submit(score("wins", 1, 10)).await.unwrap();
    harness.player(2).submit(score("wins", 1, 20)).await.unwrap();
    let daily = LeaderboardPeriod::Daily.into();
    let page = api::ListEntriesRequest { period: daily, ..entries("wins", 1) };
    let page = harness.player(1).list(page).await.unwrap();

    harness.clock.advance(DAY);
    let mut one = harness.player(1);
    let today = day(&mut one, None).await;
    assert_eq!((places(&today), today.total_count), (vec![], 0));
    let span = today.period.expect("a period");
    assert!(span.start_time.expect("a day").seconds > first.seconds);
    let again = one.submit(score("wins", 2, 5)).await.unwrap();
    let changed: Vec<_> = again.outcomes.iter().map(|it| (it.previous_value, it.new_value, it.rank)).collect();
    assert_eq!(changed, [(Some(10), 15, Some(2)), (None, 5, Some(1))]);

    assert_eq!(places(&day(&mut one, None).await), [(1, 1, 5)]);
    assert_eq!(places(&day(&mut one, Some(first)).await), [(1, 2, 20), (2, 1, 10)]);
    // A page goes on in the period of the first one.
    let next = api::ListEntriesRequest { period: daily, page_token: page.next_page_token, ..entries("wins", 1) };
    assert_eq!(places(&one.list(next.clone()).await.unwrap().view.expect("a view")), [(2, 1, 10)]);
    let named = api::ListEntriesRequest { period_time: Some(first), ..next.clone() };
    assert_eq!(places(&one.list(named).await.unwrap().view.expect("a view")), [(2, 1, 10)]);
    let other = api::ListEntriesRequest { period_time: Some(now(&harness)), ..next };
    assert_eq!(told(&one.list(other).await.unwrap_err()).2, ["page_token"]);

    // One that is kept no longer is made again.
    harness.clock.advance(100 * DAY);
    let mut one = harness.player(1);
    assert_eq!(places(&day(&mut one, Some(first)).await), [(1, 2, 20), (2, 1, 10)]);
    assert_eq!(places(&day(&mut one, Some(now(&harness))).await), []);
    assert_eq!(one.top("wins", 10).await, [(1, 2, 20), (2, 1, 15)]);
}

async fn periods_are_listed(harness: Harness) {
    for number in 1..=5 {
        harness.player(1).submit(score("wins", number, 1)).await.unwrap();
        harness.clock.advance(DAY);
    }
    let mut one = harness.player(1);
    let request = |kind: LeaderboardPeriod, page_token: &str| api::ListPeriodsRequest {
        game_id: GAME.to_string(),
        board_key: "wins".to_owned(),
        period: kind.into(),
        page_size: 2,
        page_token: page_token.to_owned(),
    };
    let all = one.grpc.list_periods(request(LeaderboardPeriod::Unspecified, "")).await.unwrap().into_inner();
    assert_eq!((all.periods.len(), all.next_page_token.as_str()), (1, ""));
    assert_eq!(all.periods[0].kind(), LeaderboardPeriod::AllTime);
    let (mut starts, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = one.grpc.list_periods(request(LeaderboardPeriod::Daily, &token)).await.unwrap().into_inner();
        starts.extend(page.periods.iter().map(|span| span.start_time.expect("a day").seconds));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((starts.len(), pages), (5, 3));
    assert!(starts.is_sorted_by(|one, other| one > other), "the newest first, each once");
    let refused = one.grpc.list_periods(request(LeaderboardPeriod::Monthly, "")).await.unwrap_err();
    assert_eq!(told(&refused).1, "PERIOD_NOT_FOUND");
}

//! Watching boards.

use std::time::{Duration, Instant};

use futures::future::join_all;
use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1 as api;
use pkg_api::leaderboard::v1::watch_board_response::Message;
use tonic::{Code, Status, Streaming};

use crate::grpc::harness::{GAME, Harness, definition, in_time, on_both, places, player, score, told};

on_both! {
    the_top_is_shown_as_it_is_and_whenever_it_changes
    a_player_sees_who_is_around
    many_changes_come_as_few_and_the_last_one_always
    the_next_period_follows
    a_loss_goes_unnoticed
}

type Stream = Streaming<api::WatchBoardResponse>;

fn request(count: i32) -> api::WatchBoardRequest {
    api::WatchBoardRequest { game_id: GAME.to_string(), board_key: "points".to_owned(), count, ..Default::default() }
}

/// What comes next but heartbeats.
async fn next(stream: &mut Stream) -> Result<Option<Message>, Status> {
    in_time(async {
        loop {
            match stream.message().await?.map(|told| told.message.expect("a message")) {
                Some(Message::Heartbeat(_)) => {}
                message => return Ok(message),
            }
        }
    })
    .await
}

async fn view(stream: &mut Stream) -> api::BoardView {
    match next(stream).await {
        Ok(Some(Message::View(view))) => view,
        other => panic!("{other:?} instead of a view"),
    }
}

async fn the_top_is_shown_as_it_is_and_whenever_it_changes(harness: Harness) {
    let mut stream = harness.player(1).watch(request(2)).await.unwrap();
    let empty = view(&mut stream).await;
    assert_eq!((places(&empty), empty.total_count), (vec![], 0));
    harness.player(1).submit(score("points", 1, 10)).await.unwrap();
    let first = view(&mut stream).await;
    assert_eq!((places(&first), first.total_count), (vec![(1, 1, 10)], 1));
    harness.player(2).submit(score("points", 1, 20)).await.unwrap();
    assert_eq!(places(&view(&mut stream).await), [(1, 2, 20), (2, 1, 10)]);
    harness.player(3).submit(score("points", 1, 5)).await.unwrap();
    let third = view(&mut stream).await;
    assert_eq!((places(&third), third.total_count), (vec![(1, 2, 20), (2, 1, 10)], 3));
    let mut more = harness.player(2).watch(request(3)).await.unwrap();
    assert_eq!(places(&view(&mut more).await).len(), 3);
    harness.player(4).submit(score("points", 1, 30)).await.unwrap();
    assert_eq!(places(&view(&mut more).await), [(1, 4, 30), (2, 2, 20), (3, 1, 10)]);
    assert_eq!(places(&view(&mut stream).await), [(1, 4, 30), (2, 2, 20)]);
}

async fn a_player_sees_who_is_around(harness: Harness) {
    for number in 1..=9 {
        harness.player(number).submit(score("points", 1, 100)).await.unwrap();
    }
    let around = api::WatchBoardRequest { around_player_id: player(10).to_string(), ..request(3) };
    let mut stream = harness.player(10).watch(around).await.unwrap();
    assert_eq!(
        places(&view(&mut stream).await),
        [(1, 1, 100), (2, 2, 100), (3, 3, 100)],
        "the top, until they are ranked"
    );
    harness.player(10).submit(score("points", 1, 1)).await.unwrap();
    assert_eq!(places(&view(&mut stream).await), [(8, 8, 100), (9, 9, 100), (10, 10, 1)]);
    harness.player(9).submit(score("points", 2, 101)).await.unwrap();
    assert_eq!(places(&view(&mut stream).await), [(8, 7, 100), (9, 8, 100), (10, 10, 1)]);
}

async fn many_changes_come_as_few_and_the_last_one_always(harness: Harness) {
    const LAST: i64 = 200;
    let mut streams = Vec::new();
    for number in 0..30 {
        let around = if number % 3 == 0 { player(1).to_string() } else { String::new() };
        let request = api::WatchBoardRequest { around_player_id: around, ..request(10) };
        streams.push(harness.player(100 + number).watch(request).await.unwrap());
    }
    let begun = Instant::now();
    let watching = streams.into_iter().map(|mut stream| async move {
        let mut seen = Vec::new();
        while seen.last() != Some(&LAST) {
            seen.push(view(&mut stream).await.entries.first().map_or(0, |entry| entry.value));
        }
        seen
    });
    let submitting = async {
        for value in 1..=LAST {
            harness.player(1).submit(score("points", value.unsigned_abs().into(), value)).await.unwrap();
        }
    };
    let (seen, ()) = tokio::join!(join_all(watching), submitting);
    // The view as it is, and four a second.
    let most = 2.0 + 4.0 * begun.elapsed().as_secs_f64();
    for seen in seen {
        assert!(seen.is_sorted(), "{seen:?}");
        assert!(f64::from(u32::try_from(seen.len()).unwrap()) <= most, "{seen:?} in {:?}", begun.elapsed());
    }
}

async fn the_next_period_follows(harness: Harness) {
    harness.player(1).submit(score("points", 1, 10)).await.unwrap();
    let daily = api::WatchBoardRequest { period: LeaderboardPeriod::Daily.into(), ..request(10) };
    let mut stream = harness.player(1).watch(daily).await.unwrap();
    let today = view(&mut stream).await;
    assert_eq!(places(&today), [(1, 1, 10)]);
    harness.clock.advance(Duration::from_hours(24));
    let tomorrow = view(&mut stream).await;
    assert_eq!(places(&tomorrow), []);
    let (before, after) = (today.period.expect("a period"), tomorrow.period.expect("a period"));
    assert_eq!(before.end_time, after.start_time);
    harness.player(1).submit(score("points", 2, 5)).await.unwrap();
    assert_eq!(places(&view(&mut stream).await), [(1, 1, 5)]);
}

async fn a_loss_goes_unnoticed(harness: Harness) {
    harness.player(1).submit(score("points", 1, 10)).await.unwrap();
    let mut stream = harness.player(1).watch(request(10)).await.unwrap();
    assert_eq!(places(&view(&mut stream).await), [(1, 1, 10)]);
    harness.lose_boards();
    harness.player(2).submit(score("points", 1, 20)).await.unwrap();
    assert_eq!(places(&view(&mut stream).await), [(1, 2, 20), (2, 1, 10)]);
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let harness = Harness::embedded().await;
    let mut one = harness.player(1);
    for (reason, request) in [
        ("LEADERBOARD_NOT_FOUND", api::WatchBoardRequest { board_key: "nothing".to_owned(), ..request(1) }),
        ("PERIOD_NOT_FOUND", api::WatchBoardRequest { period: LeaderboardPeriod::Weekly.into(), ..request(1) }),
        ("INVALID_FIELD", request(101)),
        ("INVALID_FIELD", api::WatchBoardRequest { around_player_id: "me".to_owned(), ..request(1) }),
    ] {
        assert_eq!(told(&one.watch(request).await.unwrap_err()).1, reason);
    }
}

#[tokio::test]
async fn a_board_that_is_removed_is_watched_no_longer() {
    let harness = Harness::embedded().await;
    let mut stream = harness.player(1).watch(request(10)).await.unwrap();
    view(&mut stream).await;
    harness.games.define(GAME, definition().into_iter().filter(|board| board.key != "points").collect());
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!((ended.code(), told(&ended).1.as_str()), (Code::NotFound, "LEADERBOARD_NOT_FOUND"));
}

#[tokio::test]
async fn who_watches_is_sent_elsewhere_when_the_server_drains() {
    let harness = Harness::embedded().await;
    let mut client = harness.connected_player(1).await;
    let mut stream = client.watch_board(request(10)).await.unwrap().into_inner();
    view(&mut stream).await;
    let drained = harness.drain();
    assert!(matches!(next(&mut stream).await, Ok(Some(Message::GoAway(_)))));
    assert_eq!(next(&mut stream).await.unwrap(), None);
    in_time(drained).await;
}

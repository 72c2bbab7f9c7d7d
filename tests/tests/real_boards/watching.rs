//! Many watch a board on which much happens: each sees how it ends, and nobody is flooded.

use std::time::Duration;

use pkg_api::events::v1::event::Payload;
use pkg_api::leaderboard::v1::watch_board_response::Message;
use pkg_api::leaderboard::v1::{BoardView, WatchBoardRequest};
use system_tests::{Client, Follower, LIMIT, SignedIn, bearer, board, new_score};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::system::System;

const WATCHERS: usize = 1_000;
const PLAYERS: usize = 40;
const UPDATES: usize = 1_000;
/// How many entries are watched.
const SHOWN: usize = 10;
/// 200 a second.
const PERIOD: Duration = Duration::from_millis(5);
/// More messages a second than that would be a flood.
const MOST_PER_SECOND: f64 = 6.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_see_the_same_end_and_are_not_flooded() {
    let system = System::start().await;
    let game = system.game_with(vec![board("best")]).await;
    let players: Vec<_> = (0..PLAYERS).map(|_| system.player()).collect();
    // Envoy takes a hundred streams of a connection.
    let connections: Vec<_> = (0..20).map(|_| system.client()).collect();
    let writing = system.client();
    // The last scores are of different players, and not applied in their order.
    let end: Vec<i64> = (1..=i64::try_from(UPDATES).unwrap()).rev().take(SHOWN).collect();
    let mut watchers = JoinSet::new();
    for number in 0..WATCHERS {
        let (client, who, game) = (connections[number % 20].clone(), system.player(), game.clone());
        let end = end.clone();
        watchers.spawn(async move { watch_until(&client, &who, &game, &end).await });
    }

    let mut clock = interval(PERIOD);
    let mut calls = JoinSet::new();
    for update in 1..=UPDATES {
        clock.tick().await;
        let (client, player) = (writing.clone(), players[update % PLAYERS].clone());
        let score = new_score(&game, "best", i64::try_from(update).unwrap());
        calls.spawn(async move { client.submit(&player, score).await.map(drop) });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap().unwrap();
    }

    let mut ends = Vec::new();
    while let Some(watched) = watchers.join_next().await {
        ends.push(watched.unwrap());
    }
    let expected = system.client().top(&players[0], &game, "best", "").await.unwrap();
    for end in &ends {
        assert_eq!(end.entries[..], expected.entries[..SHOWN]);
    }
}

/// The view that shows these values.
async fn watch_until(client: &Client, who: &SignedIn, game: &str, values: &[i64]) -> BoardView {
    let request =
        WatchBoardRequest { game_id: game.to_owned(), board_key: "best".to_owned(), ..WatchBoardRequest::default() };
    let mut stream = client.boards().watch_board(bearer(request, &who.token)).await.unwrap().into_inner();
    let (began, mut views) = (Instant::now(), 0_u32);
    loop {
        let told = timeout(LIMIT, stream.message()).await.unwrap().unwrap().unwrap();
        let Some(Message::View(view)) = told.message else { continue };
        views += 1;
        if view.entries.iter().map(|entry| entry.value).eq(values.iter().copied()) {
            let per_second = f64::from(views) / began.elapsed().as_secs_f64().max(1.0);
            assert!(per_second < MOST_PER_SECOND, "{per_second} views a second");
            return view;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_a_board_tells_of_it_on_the_stream_for_everything() {
    let system = System::start().await;
    let game = system.game_with(vec![board("best")]).await;
    let (client, player) = (system.client(), system.player());
    let mut follower = Follower::of(&client, &player, &format!("board/{game}/best"), "").await.unwrap();
    for value in 1..=3 {
        client.submit(&player, new_score(&game, "best", value)).await.unwrap();
    }
    loop {
        let Payload::LeaderboardUpdated(updated) = follower.next_payload().await else { panic!("another event") };
        assert_eq!((updated.game_id.as_str(), updated.board_key.as_str()), (game.as_str(), "best"));
        if updated.views[0].entries[0].value == 3 {
            break;
        }
    }
}

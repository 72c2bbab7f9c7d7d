//! Two players meet, play, and meet again.

use std::collections::BTreeSet;
use std::process::Command;

use pkg_api::events::v1::event::Payload;
use pkg_api::game::v1::{Session, SessionState};
use pkg_api::matchmaking::v1::get_active_match_response::Active;
use pkg_api::matchmaking::v1::{Match, Rating};
use system_tests::{
    Client, Follower, Process, SignedIn, duel, eventually, game_of, generate_javascript, node_client, players_of,
};

use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn two_players_meet_play_and_are_rated_once() {
    let system = System::start().await;
    let (client, server) = (system.client(), system.server());
    let game = system.game(game_of(vec![duel("duel")])).await;
    let players = [system.player(), system.player()];
    let mut news = Follower::of(&client, &players[0], &format!("player/{}", players[0].id), "").await.unwrap();

    let found = meet(&client, &players, &game).await;
    let Payload::MatchFound(told) = news.next_payload().await else { panic!("no match was told") };
    assert_eq!(told.r#match.as_ref(), Some(&found));
    for player in &players {
        assert_eq!(client.active_match(player, &game).await.unwrap(), Some(Active::Match(found.clone())));
        assert_seats(&client.get_session(player, &found.session_id).await.unwrap(), &found);
        // From its beginning.
        Follower::of(&client, player, &format!("session/{}", found.session_id), &found.session_cursor).await.unwrap();
        let refused = client.queue_up(player, &game, "duel").await.unwrap_err();
        assert_eq!(system_tests::refusal(&refused).1, "ALREADY_IN_MATCH");
    }

    let order = players.each_ref().map(|player| player.id.clone());
    for _ in 0..3 {
        client.play_out(&server, &found.session_id, &order).await.unwrap();
    }
    let first = rated(&client, &players, &game, 1).await;
    assert!(first[0].skill > first[1].skill && first[0].last_skill_change > 0.0, "{first:?}");
    assert!(first.iter().all(|rating| rating.last_session_id == found.session_id), "{first:?}");

    // Both are free, and what is said again of the first session counts no more.
    let second = meet(&client, &players, &game).await;
    assert_ne!(second.session_id, found.session_id);
    client.play_out(&server, &found.session_id, &order).await.unwrap();
    assert_eq!(client.play_out(&server, &second.session_id, &order).await.unwrap(), SessionState::Finished);
    let both = rated(&client, &players, &game, 2).await;
    assert!(both.iter().all(|rating| rating.last_session_id == second.session_id), "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_meets_a_native_client() {
    let system = System::start().await;
    let client = system.client();
    let game = system.game(game_of(vec![duel("duel")])).await;
    let [native, web] = [system.player(), system.player()];
    let generated = generate_javascript();
    let mut command = Command::new("node");
    command.arg(node_client().join("waiter.mjs")).arg(format!("http://{}", system.envoy.address())).arg(&web.token);
    command.arg(&game).arg("duel").arg(generated.path());
    let mut page = Process::start(command);

    let ticket = client.queue_up(&native, &game, "duel").await.unwrap();
    let found = client.match_of_ticket(&native, &ticket.ticket_id).await;
    let status = eventually("the page hears of it", async || page.ended()).await;
    assert!(status.success(), "{}", page.output());
    assert!(page.output().contains(&format!("matched: {}", found.session_id)), "{}", page.output());
    assert_seats(&client.get_session(&web, &found.session_id).await.unwrap(), &found);
}

/// Both wait as soon as they may, and are told of the same match.
async fn meet(client: &Client, players: &[SignedIn; 2], game: &str) -> Match {
    let mut matches = Vec::new();
    let tickets = [
        client.queue_up_again(&players[0], game, "duel").await,
        client.queue_up_again(&players[1], game, "duel").await,
    ];
    for (player, ticket) in players.iter().zip(&tickets) {
        matches.push(client.match_of_ticket(player, &ticket.ticket_id).await);
    }
    assert_eq!(matches[0], matches[1]);
    let ids: BTreeSet<_> = players.iter().map(|player| player.id.clone()).collect();
    assert_eq!(players_of(&matches[0]).into_iter().collect::<BTreeSet<_>>(), ids);
    matches.remove(0)
}

/// Their ratings, once so many matches have counted.
async fn rated(client: &Client, players: &[SignedIn; 2], game: &str, matches: i64) -> [Rating; 2] {
    eventually("the match counts", async || {
        let one = client.rating(&players[0], game, "duel").await.unwrap();
        let two = client.rating(&players[1], game, "duel").await.unwrap();
        assert!(one.match_count <= matches && two.match_count <= matches, "{one:?} {two:?}");
        (one.match_count == matches && two.match_count == matches).then_some([one, two])
    })
    .await
}

fn assert_seats(session: &Session, found: &Match) {
    assert_eq!((&session.session_id, &session.match_id), (&found.session_id, &found.match_id));
    let seated: BTreeSet<_> = session.seats.iter().map(|seat| seat.player_id.clone()).collect();
    assert_eq!(seated, players_of(found).into_iter().collect());
}

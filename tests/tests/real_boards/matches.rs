//! What was played is kept: each session once, with its results and what they mean for its players.

use std::time::Duration;

use pkg_api::leaderboard::v1::{
    GetPlayerStatsRequest, GetSessionMatchRequest, ListPlayerMatchesRequest, ListSessionResultsRequest, MatchOutcome,
    PlayerStats,
};
use system_tests::{Client, SignedIn, bearer, eventually, refusal};
use tokio::time::sleep;
use tonic::Code;

use crate::system::System;

const GAMES: i64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn finished_sessions_are_counted_once_over_kills() {
    let mut system = System::start().await;
    let game = system.game_with(Vec::new()).await;
    let (client, server) = (system.client(), system.server());
    let (winner, loser) = (system.player(), system.player());
    let mut sessions = Vec::new();
    for number in 0..GAMES {
        if number % 4 == 3 {
            let which = usize::try_from(number).unwrap() / 4 % 2;
            system.kill(which);
            sleep(Duration::from_millis(200)).await;
            system.revive(which).await;
        }
        sessions.push(play(&client, &server, &game, [&winner, &loser]).await);
    }

    let stats = eventually("all games are counted", async || {
        let stats = total(&client, &winner, &game).await;
        (stats.game_count == GAMES).then_some(stats)
    })
    .await;
    assert_eq!((stats.win_count, stats.loss_count, stats.draw_count), (GAMES, 0, 0), "{stats:?}");
    let stats = total(&client, &loser, &game).await;
    assert_eq!((stats.game_count, stats.win_count, stats.loss_count), (GAMES, 0, GAMES), "{stats:?}");

    let listed = matches_of(&client, &loser, &game).await;
    let newest_first: Vec<_> = sessions.iter().rev().cloned().collect();
    assert_eq!(listed, newest_first);
    let request = ListSessionResultsRequest { session_id: sessions[0].clone(), ..Default::default() };
    let results = client.history().list_session_results(bearer(request, &winner.token)).await.unwrap().into_inner();
    let outcomes: Vec<_> = results
        .results
        .iter()
        .map(|result| (result.result.as_ref().unwrap().player_id.as_str(), result.outcome()))
        .collect();
    assert_eq!(outcomes, [(winner.id.as_str(), MatchOutcome::Won), (loser.id.as_str(), MatchOutcome::Lost)]);

    let request = GetSessionMatchRequest { session_id: pkg_ambient::Ambient::system().id().to_string() };
    let missing = client.history().get_session_match(bearer(request, &winner.token)).await.unwrap_err();
    assert_eq!(refusal(&missing), (Code::NotFound, "MATCH_NOT_FOUND".to_owned()));
}

async fn play(client: &Client, server: &SignedIn, game: &str, players: [&SignedIn; 2]) -> String {
    let session = client.create_session(players[0], game).await.session.unwrap().session_id;
    client.join_session(players[1], &session).await.unwrap();
    let ids = players.map(|player| player.id.clone());
    client.play_out(server, &session, &ids).await.unwrap();
    session
}

async fn total(client: &Client, of: &SignedIn, game: &str) -> PlayerStats {
    let request = GetPlayerStatsRequest { game_id: game.to_owned(), player_id: of.id.clone() };
    let answer = client.history().get_player_stats(bearer(request, &of.token)).await;
    answer.unwrap().into_inner().total.unwrap()
}

/// The sessions that a player finished, page by page.
async fn matches_of(client: &Client, of: &SignedIn, game: &str) -> Vec<String> {
    let (mut sessions, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPlayerMatchesRequest {
            player_id: of.id.clone(),
            game_id: game.to_owned(),
            page_size: 5,
            page_token,
            ..ListPlayerMatchesRequest::default()
        };
        let answer = client.history().list_player_matches(bearer(request, &of.token)).await.unwrap().into_inner();
        sessions.extend(answer.matches.into_iter().map(|played| played.r#match.unwrap().session_id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return sessions;
        }
    }
}

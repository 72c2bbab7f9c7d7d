//! Who was answered sees what was answered, on whichever replica they ask.

use pkg_api::leaderboard::v1::{BatchGetEntriesRequest, ListEntriesAroundRequest, SubmissionStatus};
use system_tests::{bearer, board, new_score, refusal};
use tonic::Code;

use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn a_score_is_seen_on_every_replica_once_it_was_answered() {
    let system = System::start().await;
    let game = system.game_with(vec![board("best")]).await;
    let players: Vec<_> = (0..20).map(|_| system.player()).collect();
    for round in 0..10 {
        for (number, player) in players.iter().enumerate() {
            let value = round * 100 + i64::try_from(number).unwrap();
            let written = system.client_of(number % 2).submit(player, new_score(&game, "best", value)).await.unwrap();
            assert_eq!(written.status(), SubmissionStatus::Accepted);
            let outcome = &written.outcomes[0];
            // Later ones of a round are higher than all before.
            assert_eq!((outcome.new_value, outcome.rank), (value, Some(1)), "{written:?}");
            assert_eq!(outcome.previous_value, (round > 0).then_some(value - 100));
            for which in 0..2 {
                let read = system.client_of(which).entry(player, &game, "best", &player.id, &written.position).await;
                let entry = read.unwrap().entry.unwrap();
                assert_eq!((entry.value, entry.rank), (value, 1));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_around_a_player_and_among_friends_are_those_on_the_whole_board() {
    let system = System::start().await;
    let (client, game) = (system.client(), system.game_with(vec![board("best")]).await);
    let players: Vec<_> = (0..30).map(|_| system.player()).collect();
    let mut position = String::new();
    for (player, value) in players.iter().zip(0..) {
        position = client.submit(player, new_score(&game, "best", value)).await.unwrap().position;
    }
    let me = &players[14];
    let request = ListEntriesAroundRequest {
        game_id: game.clone(),
        board_key: "best".to_owned(),
        player_id: me.id.clone(),
        count: 5,
        min_position: position.clone(),
        ..ListEntriesAroundRequest::default()
    };
    let view =
        client.boards().list_entries_around(bearer(request, &me.token)).await.unwrap().into_inner().view.unwrap();
    let ranks: Vec<_> = view.entries.iter().map(|entry| (entry.rank, entry.value)).collect();
    assert_eq!(ranks, [(14, 16), (15, 15), (16, 14), (17, 13), (18, 12)]);
    assert_eq!(view.total_count, 30);

    let stranger = system.player();
    let friends = [&players[3], &stranger, &players[29]];
    let request = BatchGetEntriesRequest {
        game_id: game.clone(),
        board_key: "best".to_owned(),
        player_ids: friends.iter().map(|friend| friend.id.clone()).collect(),
        min_position: position,
        ..BatchGetEntriesRequest::default()
    };
    let view = client.boards().batch_get_entries(bearer(request, &me.token)).await.unwrap().into_inner().view.unwrap();
    let ranks: Vec<_> = view.entries.iter().map(|entry| (entry.player_id.as_str(), entry.rank)).collect();
    assert_eq!(ranks, [(players[29].id.as_str(), 1), (players[3].id.as_str(), 27)]);

    let missing = client.entry(&stranger, &game, "best", &stranger.id, "").await.unwrap_err();
    assert_eq!(refusal(&missing), (Code::NotFound, "NOT_RANKED".to_owned()));
}

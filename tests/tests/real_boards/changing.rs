//! What a board means cannot change once it has scores.

use pkg_api::game::v1::{
    ApplyGameRequest, Game, GameDefinition, GetGameRequest, LeaderboardDefinition, LeaderboardOperator,
    LeaderboardOrder,
};
use system_tests::{bearer, board, game_with_boards, new_score, refusal};
use tonic::{Code, Status};

use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn order_and_operator_stay_once_there_are_scores() {
    let system = System::start().await;
    let game = system.game_with(vec![board("best")]).await;
    let low = LeaderboardDefinition { order: LeaderboardOrder::LowWins.into(), ..board("best") };
    let sum = LeaderboardDefinition { operator: LeaderboardOperator::Sum.into(), ..board("best") };
    apply(&system, &game, vec![low]).await.unwrap();
    apply(&system, &game, vec![board("best")]).await.unwrap();

    let (client, player) = (system.client(), system.player());
    client.submit(&player, new_score(&game, "best", 3)).await.unwrap();
    let refused = apply(&system, &game, vec![sum.clone()]).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::FailedPrecondition, "LEADERBOARD_HAS_SCORES".to_owned()));
    // Nor does it if the board was away meanwhile.
    apply(&system, &game, Vec::new()).await.unwrap();
    let refused = apply(&system, &game, vec![sum]).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::FailedPrecondition, "LEADERBOARD_HAS_SCORES".to_owned()));
    apply(&system, &game, vec![board("best")]).await.unwrap();
    let top = client.top(&player, &game, "best", "").await.unwrap();
    assert_eq!(top.entries.len(), 1);
}

/// Brings a game to these boards.
async fn apply(system: &System, game: &str, boards: Vec<LeaderboardDefinition>) -> Result<(), Status> {
    let (client, token) = (system.client(), system.deployment.admin_token());
    let request = GetGameRequest { game_id: game.to_owned() };
    let found = client.catalog().get_game(bearer(request, &token)).await?.into_inner().game.unwrap();
    let definition: GameDefinition = game_with_boards(boards);
    let game = Game { key: found.key, name: found.name, ..Game::default() };
    let request = ApplyGameRequest { game: Some(game), definition: Some(definition), ..ApplyGameRequest::default() };
    client.catalog().apply_game(bearer(request, &token)).await.map(drop)
}

//! Boards that were lost, wholly or in part, are made of the history again.

use system_tests::{Deployment, RedisServer, SignedIn, board, new_score, run_muster};

use crate::checker::{LogOfScores, Shown};
use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_was_lost_is_right_from_the_first_answer_on() {
    let redis = RedisServer::start();
    let system = System::on(Deployment::of_matches_with_redis(redis.url()).await);
    let game = system.game_with(vec![board("best"), board("other")]).await;
    let (client, players) = (system.client(), players(&system));
    for key in ["best", "other"] {
        for (player, value) in players.iter().zip(0..) {
            client.submit(player, new_score(&game, key, value)).await.unwrap();
        }
    }
    let before = client.top(&players[0], &game, "best", "").await.unwrap();

    redis.empty();
    assert_eq!(client.top(&players[0], &game, "best", "").await.unwrap().entries, before.entries);

    redis.empty();
    let mut environment = system.deployment.caller_environment(&[system.game.api()]);
    environment.retain(|(name, _)| !name.starts_with("MUSTER_KAFKA"));
    let rebuilt = run_muster(&["boards", "rebuild", "--game", &game], &environment);
    assert!(rebuilt.status.success(), "{}", rebuilt.stderr);
    assert!(rebuilt.stdout.contains(&format!("{game}/best")) && rebuilt.stdout.contains(&format!("{game}/other")));

    let log = LogOfScores::read(&system.deployment, &game);
    let (server, client) = (system.server(), system.client());
    let shown = Shown { client: &client, by: &server, game: &game };
    for key in ["best", "other"] {
        shown.assert_is(&board(key), &log, &std::collections::HashSet::new()).await;
    }
}

fn players(system: &System) -> Vec<SignedIn> {
    (0..50).map(|_| system.player()).collect()
}

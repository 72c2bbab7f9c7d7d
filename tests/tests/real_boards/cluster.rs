//! Three Redis masters do as well as one.

use pkg_redis::testing::CLUSTER_VARIABLE;
use system_tests::{Deployment, board, new_score, test_variable};

use crate::checker::{LogOfScores, Shown};
use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn boards_are_kept_on_a_cluster() {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let system = System::on(Deployment::of_matches_with_redis(test_variable(CLUSTER_VARIABLE)).await);
    // Several, so that they lie on all masters.
    let game = system.game_with(KEYS.iter().map(|key| board(key)).collect()).await;
    let players: Vec<_> = (0..10).map(|_| system.player()).collect();
    for key in KEYS {
        for (number, player) in players.iter().enumerate() {
            let score = new_score(&game, key, i64::try_from(number % 7).unwrap());
            system.client_of(number % 2).submit(player, score).await.unwrap();
        }
    }
    let log = LogOfScores::read(&system.deployment, &game);
    let (server, client) = (system.server(), system.client());
    let shown = Shown { client: &client, by: &server, game: &game };
    for key in KEYS {
        shown.assert_is(&board(key), &log, &std::collections::HashSet::new()).await;
    }
}

//! `muster dev` keeps boards and history over a restart, and over a kill.

use pkg_auth::Role;
use system_tests::{Client, Muster, SignedIn, Signer, board, game_with_boards, new_score, run_muster};
use tempfile::TempDir;

use crate::checker::{LogOfScores, Shown};

#[tokio::test(flavor = "multi_thread")]
async fn boards_and_history_are_there_again() {
    let data = TempDir::new().unwrap();
    let mut muster = Muster::dev(data.path(), &[]);
    let folder = data.path().display().to_string();
    let admin = run_muster(&["token", "--data", &folder], &[]).stdout.trim().to_owned();
    let signer = signer(&data);
    let client = Client::of(muster.api());
    let game = client.create_defined_game(&admin, game_with_boards(vec![board("best")])).await;
    let players: Vec<_> = (0..10).map(|_| signer.sign_in(Role::Player)).collect();
    write(&client, &players, &game, 0).await;

    muster.terminate();
    assert!(muster.finish().status.success());
    muster = Muster::dev(data.path(), &[]);
    assert_whole(&muster, &signer, &folder, &game, 20).await;
    write(&Client::of(muster.api()), &players, &game, 100).await;
    muster.kill();
    muster = Muster::dev(data.path(), &[]);
    assert_whole(&muster, &signer, &folder, &game, 40).await;
}

fn signer(data: &TempDir) -> Signer {
    let key = std::fs::read_to_string(data.path().join("signing-key.pem")).unwrap();
    Signer::new(pkg_auth::SigningKey::from_pem(&key).unwrap())
}

async fn write(client: &Client, players: &[SignedIn], game: &str, from: i64) {
    for round in [0, 7] {
        for (player, value) in players.iter().zip(from + round..) {
            client.submit(player, new_score(game, "best", value)).await.unwrap();
        }
    }
}

async fn assert_whole(muster: &Muster, signer: &Signer, data: &str, game: &str, scores: usize) {
    let log = LogOfScores::of(&[("MUSTER_DATA", data.to_owned())], game);
    assert_eq!(log.of_board("best").len(), scores);
    let (client, server) = (Client::of(muster.api()), signer.sign_in(Role::Server));
    let shown = Shown { client: &client, by: &server, game };
    shown.assert_is(&board("best"), &log, &std::collections::HashSet::new()).await;
}

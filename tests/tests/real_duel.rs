//! The example game, played by two people in a real browser: behind Envoy, and on `muster dev`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use system_tests::{
    Curl, Deployment, Edge, Envoy, Muster, Process, eventually_blocking, node_client, run_muster, test_variable,
};
use tempfile::TempDir;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/duel/game.toml");
/// Where pictures of the last run are kept.
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.stack/log/duel");
const BEHIND_ENVOY: [&str; 2] = ["--trusted-hops", "1"];
/// Two people with a browser each, and two windows of one.
const KINDS: [&str; 2] = ["contexts", "windows"];
/// How far the players say they have come, each within the time that a condition may take.
const STAGES: [&str; 7] = ["matched", "first hit", "resumed", "reloaded", "finished", "seen by both", "rematch"];
/// How it goes on with two windows, one of which is closed.
const LAST_STAGES: [&str; 2] = ["one is gone", "won alone"];

#[tokio::test(flavor = "multi_thread")]
async fn two_people_play_behind_envoy() {
    let deployment = Deployment::of_matches().await;
    let auth = deployment.unlimited_replica(&BEHIND_ENVOY);
    let game = deployment.game_replica(&[BEHIND_ENVOY[0], BEHIND_ENVOY[1], "--examples", "true"]);
    let games = [game.api()];
    let matchmaking = deployment.matchmaking_replica(&games, &BEHIND_ENVOY);
    let leaderboard = deployment.leaderboard_replica_at(deployment.leaderboard_address(), &games, &BEHIND_ENVOY);
    let mut edge = Edge::of(&[auth.api()]);
    edge.game = games.to_vec();
    edge.matchmaking = vec![matchmaking.api()];
    edge.leaderboard = vec![leaderboard.api()];
    edge.examples = true;
    let envoy = Envoy::start(&edge);

    let address = format!("http://{}", envoy.address());
    let token = deployment.admin_token();
    let applied = run_muster(&["apply", RULES, "--address", &address], &[("MUSTER_TOKEN", token)]);
    assert!(applied.status.success(), "{}", applied.stderr);
    for kind in KINDS {
        play(envoy.address(), kind, "envoy");
    }
}

#[test]
fn two_people_play_on_what_a_newcomer_starts() {
    let data = TempDir::new().unwrap();
    let muster = Muster::dev(data.path(), &[]);
    let address = format!("http://{}/duel/", muster.api());
    eventually_blocking("it says where to play", || muster.output().contains(&address).then_some(()));
    for kind in KINDS {
        play(muster.api(), kind, "dev");
    }
}

#[test]
fn the_page_and_the_game_are_there_if_they_are_wanted_and_stay_as_they_are() {
    let data = TempDir::new().unwrap();
    let muster = Muster::dev(data.path(), &["--examples", "false"]);
    assert_eq!(Curl::to(muster.api()).status("/duel/"), Some(404));
    let token = run_muster(&["token", "--data", data.path().to_str().unwrap()], &[]).stdout.trim().to_owned();
    let find = |muster: &Muster| Curl::to(muster.api()).get("/v1/games:find?key=duel", &token);
    assert_eq!(find(&muster).refusal(), (404, "GAME_NOT_FOUND"));

    // Somebody has a game of this key already.
    let own = data.path().join("own.toml");
    std::fs::write(&own, "key = \"duel\"\nname = \"Another duel\"\n").unwrap();
    let address = format!("http://{}", muster.api());
    let arguments = ["apply", own.to_str().unwrap(), "--address", &address];
    let applied = run_muster(&arguments, &[("MUSTER_TOKEN", token.clone())]);
    assert!(applied.status.success(), "{}", applied.stderr);
    muster.terminate();
    assert!(muster.finish().status.success());

    let muster = Muster::dev(data.path(), &[]);
    let page = Curl::to(muster.api()).call("/duel/", &[]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(find(&muster).text("game/name"), "Another duel");
}

/// Has two people play at this address.
fn play(at: SocketAddr, kind: &str, server: &str) {
    let mut command = Command::new("node");
    command.arg(node_client().join("duel.mjs")).arg(format!("http://{at}/")).arg(kind);
    command.arg(test_variable("MUSTER_TEST_CHROMIUM")).arg(Path::new(PICTURES).join(server));
    let mut players = Process::start(command);
    let last = if kind == "windows" { &LAST_STAGES[..] } else { &[] };
    for stage in STAGES.iter().chain(last) {
        let said = format!("so far: {stage}\n");
        eventually_blocking(&format!("{kind} on {server}: {stage}"), || {
            let ended = players.ended().is_some_and(|status| !status.success());
            assert!(!ended, "{kind} on {server}, before {stage}: {}", players.output());
            players.output().contains(&said).then_some(())
        });
    }
    let finished = players.finish();
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
}

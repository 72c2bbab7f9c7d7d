//! A session that is finished is recorded once, whatever is killed meanwhile.

use std::collections::HashSet;

use pkg_api::game::v1::{FinishSessionRequest, PlayerResult, SessionResults, SessionState, StartSessionRequest};
use pkg_auth::Role;
use pkg_log::testing::KafkaServer;
use serde_json::Value;
use system_tests::{Client, Deployment, LIMIT, SignedIn, bearer, eventually, run_muster};
use tokio::time::Instant;

use crate::system::generous;

/// A replica that was killed while it worked on a session may keep others from it for so long, beside the usual.
const CLAIM: std::time::Duration = std::time::Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_replica_is_killed_before_it_was_recorded_is_recorded_once() {
    let mut kafka = KafkaServer::start();
    let deployment = Deployment::with_kafka(kafka.brokers()).await;
    let (mut killed, survivor) = (deployment.game_replica(&[]), deployment.game_replica(&[]));
    let (client, player) = (Client::of(killed.api()), deployment.signer().sign_in(Role::Player));
    let game = client.create_game(&deployment.admin_token(), generous()).await;
    let session = start(&client, &player, &game).await;

    kafka.kill();
    let finishing = finish(&client, &player, &session).await;
    assert_eq!(finishing, SessionState::Finishing);
    killed.kill();
    kafka.start_again();

    let client = Client::of(survivor.api());
    let until = Instant::now() + CLAIM + LIMIT;
    while client.get_session(&player, &session).await.unwrap().state() != SessionState::Finished {
        assert!(Instant::now() < until, "it is not finished");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_recorded_once(&deployment, &player, &session).await;
    // Said again, it is as it was.
    assert_eq!(finish(&client, &player, &session).await, SessionState::Finished);
    assert_recorded_once(&deployment, &player, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_finished_while_their_replica_is_killed_are_recorded_once() {
    const SESSIONS: usize = 8;
    let deployment = Deployment::new().await;
    let (mut killed, survivor) = (deployment.game_replica(&[]), deployment.game_replica(&[]));
    let (client, player) = (Client::of(killed.api()), deployment.signer().sign_in(Role::Player));
    let game = client.create_game(&deployment.admin_token(), generous()).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(start(&client, &player, &game).await);
    }

    let mut finishing = tokio::task::JoinSet::new();
    for session in sessions.clone() {
        let (client, player) = (client.clone(), player.clone());
        finishing.spawn(async move { try_to_finish(&client, &player, &session).await });
    }
    // Whichever is the first: the others are somewhere on their way.
    finishing.join_next().await.unwrap().unwrap().unwrap();
    killed.kill();
    drop(finishing);

    let client = Client::of(survivor.api());
    for session in &sessions {
        eventually("it is finished", async || {
            (try_to_finish(&client, &player, session).await.ok()? == SessionState::Finished).then_some(())
        })
        .await;
        assert_recorded_once(&deployment, &player, session).await;
    }
}

async fn start(client: &Client, player: &SignedIn, game: &str) -> String {
    let session = client.create_session(player, game).await.session.unwrap().session_id;
    let request = StartSessionRequest { session_id: session.clone() };
    client.sessions().start_session(bearer(request, &player.token)).await.unwrap();
    session
}

async fn finish(client: &Client, player: &SignedIn, session: &str) -> SessionState {
    try_to_finish(client, player, session).await.unwrap()
}

async fn try_to_finish(client: &Client, player: &SignedIn, session: &str) -> Result<SessionState, tonic::Status> {
    let result = PlayerResult { player_id: player.id.clone(), placement: 1, ..PlayerResult::default() };
    let results = SessionResults { players: vec![result], ..SessionResults::default() };
    let request = FinishSessionRequest { session_id: session.to_owned(), results: Some(results) };
    let answer = client.sessions().finish_session(bearer(request, &player.token)).await?;
    Ok(answer.into_inner().session.unwrap().state())
}

/// Whoever reads the log counts the first of two records with one id: so there is one.
async fn assert_recorded_once(deployment: &Deployment, player: &SignedIn, session: &str) {
    let environment = deployment.environment();
    let arguments = ["log", "tail", "matches", "--from-beginning", "--no-follow"];
    let printed = tokio::task::spawn_blocking(move || run_muster(&arguments, &environment)).await.unwrap();
    assert!(printed.status.success(), "{}", printed.stderr);
    let records = printed.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take());
    let ended: Vec<_> = records.filter(|record| record["session_ended"]["session_id"] == session).collect();
    let ids: HashSet<_> = ended.iter().map(|record| record["record_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "{ended:?}");
    for record in &ended {
        assert_eq!(record["session_ended"]["results"]["players"][0]["player_id"], player.id.as_str(), "{record}");
    }
}

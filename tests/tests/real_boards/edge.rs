//! Scores as JSON through Envoy, and what is refused.

use pkg_ambient::Ambient;
use pkg_api::game::v1::{LeaderboardDefinition, LeaderboardWriters};
use serde_json::{Value, json};
use system_tests::{Curl, board, new_score, refusal};
use tonic::Code;

use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_written_and_read_as_json() {
    let system = System::start().await;
    let game = system.game_with(vec![board("best")]).await;
    let (curl, player) = (Curl::to(system.envoy.address()), system.player());
    let path = format!("/v1/games/{game}/boards/best");
    let submission = Ambient::system().id().to_string();

    // More than a double can tell from its neighbour.
    let value = (1_i64 << 53) + 1;
    let body = json!({ "submissionId": submission, "value": value.to_string() });
    let answer = curl.post_as(&player.token, &format!("{path}/scores"), &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let written = &answer.body["submission"];
    assert_eq!(written["status"], "SUBMISSION_STATUS_ACCEPTED", "{written}");
    assert_eq!(written["outcomes"][0]["newValue"], value.to_string());
    assert_eq!(written["outcomes"][0]["rank"], "1");

    let position = written["position"].as_str().unwrap();
    let entries = curl.get(&format!("{path}/entries?minPosition={position}"), &player.token);
    let first = &entries.body["view"]["entries"][0];
    assert_eq!((&first["playerId"], &first["value"]), (&json!(player.id), &json!(value.to_string())));
    let entry = curl.get(&format!("{path}/entries/{}", player.id), &player.token);
    assert_eq!((entry.status, &entry.body["percentile"]), (200, &json!(100)), "{}", entry.body);
    let again = curl.get(&format!("{path}/submissions/{submission}"), &player.token);
    assert_eq!(again.body["submission"]["value"], value.to_string());
    let scores = curl.get(&format!("{path}/players/{}/scores", player.id), &player.token);
    assert_eq!(scores.body["submissions"].as_array().map(Vec::len), Some(1));

    let other = json!({ "submissionId": submission, "value": "7" });
    assert_eq!(curl.post_as(&player.token, &format!("{path}/scores"), &other).refusal(), (409, "SUBMISSION_DIFFERS"));
    let unknown = curl.get(&format!("/v1/games/{game}/boards/none/entries"), &player.token);
    assert_eq!(unknown.refusal(), (404, "LEADERBOARD_NOT_FOUND"));
    let nameless: Value = json!({ "value": "7" });
    let refused = curl.post_as(&player.token, &format!("{path}/scores"), &nameless);
    assert_eq!(refused.refusal(), (400, "INVALID_FIELD"));
    assert_eq!(refused.violated_fields(), ["score.submission_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_is_told_why() {
    let system = System::start().await;
    let servers = LeaderboardDefinition { writers: LeaderboardWriters::Servers.into(), ..board("servers") };
    let bounded = LeaderboardDefinition { min_value: Some(-5), max_value: Some(5), ..board("bounded") };
    let seated = LeaderboardDefinition { require_seat: true, ..board("seated") };
    let game = system.game_with(vec![servers, bounded, seated]).await;
    let (client, player, server) = (system.client(), system.player(), system.server());
    let refused = async |score| refusal(&client.submit(&player, score).await.unwrap_err());

    assert_eq!(refused(new_score(&game, "servers", 1)).await, (Code::PermissionDenied, "SCORE_NOT_ALLOWED".to_owned()));
    let mut foreign = new_score(&game, "bounded", 1);
    foreign.player_id = system.player().id;
    assert_eq!(refused(foreign).await, (Code::PermissionDenied, "SCORE_NOT_ALLOWED".to_owned()));
    assert_eq!(
        refused(new_score(&game, "bounded", 6)).await,
        (Code::InvalidArgument, "SCORE_OUT_OF_BOUNDS".to_owned())
    );
    assert_eq!(refused(new_score(&game, "seated", 6)).await, (Code::FailedPrecondition, "SEAT_REQUIRED".to_owned()));

    // 0 and negative scores are scores.
    for value in [0, -5] {
        client.submit(&player, new_score(&game, "bounded", value)).await.unwrap();
    }
    let mut named = new_score(&game, "servers", 1);
    named.player_id.clone_from(&player.id);
    client.submit(&server, named).await.unwrap();

    // A seat in a running session is enough.
    let session = client.create_session(&player, &game).await.session.unwrap().session_id;
    let request = pkg_api::game::v1::StartSessionRequest { session_id: session.clone() };
    client.sessions().start_session(system_tests::bearer(request, &player.token)).await.unwrap();
    let mut score = new_score(&game, "seated", 6);
    score.session_id = session;
    client.submit(&player, score).await.unwrap();
}

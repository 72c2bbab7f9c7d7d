//! The scores of a player.

use std::collections::HashMap;

use pkg_api::game::v1::AttributeValue;
use pkg_api::game::v1::attribute_value::Kind;
use pkg_api::leaderboard::v1::{self as api, SubmissionStatus};
use pkg_auth::Role;
use uuid::Uuid;

use crate::grpc::harness::{Client, GAME, Harness, on_both, player, score};

on_both! {
    scores_are_listed_the_newest_first
    refused_ones_are_not_for_everyone
}

async fn page(client: &mut Client, board: &str, size: i32, token: &str) -> api::ListPlayerScoresResponse {
    let request = api::ListPlayerScoresRequest {
        game_id: GAME.to_string(),
        board_key: board.to_owned(),
        player_id: player(1).to_string(),
        page_size: size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    client.grpc.list_player_scores(request).await.expect("they are read").into_inner()
}

async fn scores_are_listed_the_newest_first(harness: Harness) {
    let mut one = harness.player(1);
    let attributes = |value| HashMap::from([("map".to_owned(), AttributeValue { kind: Some(Kind::IntValue(value)) })]);
    for value in 1..=7_i64 {
        let new =
            api::NewScore { attributes: attributes(value), ..score("points", value.unsigned_abs().into(), value) };
        one.submit(new).await.unwrap();
        harness.player(2).submit(score("points", value.unsigned_abs().into(), 100)).await.unwrap();
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let answer = page(&mut harness.player(2), "points", 3, &token).await;
        for submission in &answer.submissions {
            assert_eq!(submission.status(), SubmissionStatus::Accepted);
            assert_eq!(submission.submission_id, Uuid::from_u128(submission.value.unsigned_abs().into()).to_string());
            assert_eq!(submission.attributes, attributes(submission.value));
            let changed: Vec<_> =
                submission.outcomes.iter().map(|it| (it.previous_value, it.new_value, it.rank)).collect();
            let before = (submission.value > 1).then_some(submission.value - 1);
            assert_eq!(changed, [(before, submission.value, None); 2]);
            seen.push(submission.value);
        }
        (token, pages) = (answer.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, pages), (vec![7, 6, 5, 4, 3, 2, 1], 3));
    assert_eq!(page(&mut one, "wins", 3, "").await, api::ListPlayerScoresResponse::default());
}

async fn refused_ones_are_not_for_everyone(harness: Harness) {
    let mut one = harness.player(1);
    for (id, value) in [(1, i64::MAX), (2, 1), (3, -1)] {
        one.submit(score("wins", id, value)).await.unwrap();
    }
    let values = async |user, role| {
        let answer = page(&mut harness.client(user, role), "wins", 10, "").await;
        answer.submissions.iter().map(|submission| submission.value).collect::<Vec<i64>>()
    };
    for (user, role) in [(player(1), Role::Player), (player(9), Role::Server), (player(9), Role::Admin)] {
        assert_eq!(values(user, role).await, [-1, 1, i64::MAX]);
    }
    assert_eq!(values(player(2), Role::Player).await, [-1, i64::MAX]);
}

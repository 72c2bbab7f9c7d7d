//! What is refused before anything is recorded or read.

use std::collections::HashMap;

use pkg_api::game::v1::attribute_value::Kind;
use pkg_api::game::v1::{AttributeValue, LeaderboardPeriod};
use pkg_api::leaderboard::v1 as api;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::grpc::harness::{GAME, Harness, around, entries, entry, fact, player, score, told};

fn fields(status: &Status) -> (Code, Vec<String>) {
    let (code, reason, fields) = told(status);
    assert_eq!(reason, "INVALID_FIELD");
    (code, fields)
}

#[tokio::test]
async fn who_may_not_write_does_not() {
    let harness = Harness::embedded().await;
    let mut one = harness.player(1);
    let of = |number: u128, score| api::NewScore { player_id: player(number).to_string(), ..score };
    for not_allowed in [score("times", 1, 5), of(2, score("points", 1, 5))] {
        let refused = one.submit(not_allowed).await.unwrap_err();
        assert_eq!((refused.code(), told(&refused).1.as_str()), (Code::PermissionDenied, "SCORE_NOT_ALLOWED"));
    }
    one.submit(of(1, score("points", 1, 5))).await.expect("the caller's own name is no other");
    let refused = harness.server().submit(score("points", 1, 5)).await.unwrap_err();
    assert_eq!(fields(&refused).1, ["score.player_id"]);
    let refused = harness.server().submit(of(1, score("times", 2, 1_001))).await.unwrap_err();
    assert_eq!((refused.code(), told(&refused).1.as_str()), (Code::InvalidArgument, "SCORE_OUT_OF_BOUNDS"));
    assert_eq!((fact(&refused, "min_value").as_str(), fact(&refused, "max_value").as_str()), ("0", "1000"));
    assert_eq!(told(&refused).2, ["score.value"]);
}

#[tokio::test]
async fn a_board_may_demand_a_seat() {
    let harness = Harness::embedded().await;
    let (mut one, session) = (harness.player(1), Uuid::from_u128(77));
    let seated = |id| api::NewScore { session_id: session.to_string(), ..score("seated", id, 5) };
    for without in [score("seated", 1, 5), seated(1)] {
        let refused = one.submit(without).await.unwrap_err();
        assert_eq!((refused.code(), told(&refused).1.as_str()), (Code::FailedPrecondition, "SEAT_REQUIRED"));
    }
    harness.games.seat(session, player(2));
    let submitted = harness.player(2).submit(seated(2)).await.expect("a seat is all it takes");
    assert_eq!(submitted.session_id, session.to_string());
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let harness = Harness::embedded().await;
    let mut one = harness.player(1);
    let nowhere = api::NewScore { game_id: Uuid::from_u128(3).to_string(), ..score("points", 1, 5) };
    assert_eq!(told(&one.submit(nowhere).await.unwrap_err()).1, "GAME_NOT_FOUND");
    assert_eq!(told(&one.submit(score("nothing", 1, 5)).await.unwrap_err()).1, "LEADERBOARD_NOT_FOUND");
    assert_eq!(told(&one.list(entries("nothing", 5)).await.unwrap_err()).1, "LEADERBOARD_NOT_FOUND");
    let weekly = api::ListEntriesRequest { period: LeaderboardPeriod::Weekly.into(), ..entries("points", 5) };
    let refused = one.list(weekly).await.unwrap_err();
    assert_eq!((refused.code(), told(&refused).1.as_str()), (Code::NotFound, "PERIOD_NOT_FOUND"));
    harness.games.archive(GAME);
    let refused = loop {
        match one.submit(score("points", harness.ambient.id().as_u128(), 5)).await {
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.code(), told(&refused).1.as_str()), (Code::FailedPrecondition, "GAME_ARCHIVED"));
    one.list(entries("points", 5)).await.expect("it can still be read");
}

#[tokio::test]
async fn fields_are_checked() {
    let harness = Harness::embedded().await;
    let mut one = harness.player(1);
    let attribute = |bytes| AttributeValue { kind: Some(Kind::StringValue("x".repeat(bytes))) };
    let many: HashMap<_, _> = (0..17).map(|number| (number.to_string(), attribute(1))).collect();
    let long: HashMap<_, _> = (0..3).map(|number| (number.to_string(), attribute(1_000))).collect();
    let good = score("points", 1, 5);
    for (field, bad) in [
        ("score.submission_id", api::NewScore { submission_id: "1".to_owned(), ..good.clone() }),
        ("score.game_id", api::NewScore { game_id: String::new(), ..good.clone() }),
        ("score.board_key", api::NewScore { board_key: "A".to_owned(), ..good.clone() }),
        ("score.player_id", api::NewScore { player_id: "me".to_owned(), ..good.clone() }),
        ("score.session_id", api::NewScore { session_id: "here".to_owned(), ..good.clone() }),
        ("score.attributes", api::NewScore { attributes: many, ..good.clone() }),
        ("score.attributes", api::NewScore { attributes: long, ..good.clone() }),
    ] {
        assert_eq!(fields(&one.submit(bad).await.unwrap_err()), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let refused = one.grpc.submit_score(api::SubmitScoreRequest { score: None }).await.unwrap_err();
    assert_eq!(fields(&refused).1, ["score"]);
    let refused = one.submit_many(vec![good.clone(), api::NewScore { submission_id: String::new(), ..good }]).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (fields(&refused).1, fact(&refused, "index").as_str()),
        (vec!["scores[1].submission_id".to_owned()], "1")
    );
    for number in [0, 101] {
        let refused = one.submit_many((0..number).map(|id| score("points", id, 1)).collect()).await.unwrap_err();
        assert_eq!(fields(&refused).1, ["scores"]);
    }

    for size in [-1, 1_001] {
        assert_eq!(fields(&one.list(entries("points", size)).await.unwrap_err()).1, ["page_size"]);
    }
    for count in [-1, 102] {
        assert_eq!(fields(&one.around(around("points", 1, count)).await.unwrap_err()).1, ["count"]);
    }
    let bad = |change: fn(&mut api::ListEntriesRequest)| {
        let mut request = entries("points", 5);
        change(&mut request);
        request
    };
    for (field, request) in [
        ("period", bad(|it| it.period = 9)),
        ("period_time", bad(|it| it.period_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }))),
        ("period_time", bad(|it| it.period_time = Some(prost_types::Timestamp { seconds: 0, nanos: -1 }))),
        ("page_token", bad(|it| it.page_token = "next".to_owned())),
        ("min_position", bad(|it| it.min_position = "first".to_owned())),
    ] {
        assert_eq!(fields(&one.list(request).await.unwrap_err()).1, [field]);
    }
    let request = api::GetEntryRequest { player_id: String::new(), ..entry("points", 1) };
    assert_eq!(fields(&one.grpc.get_entry(request).await.unwrap_err()).1, ["player_id"]);
}

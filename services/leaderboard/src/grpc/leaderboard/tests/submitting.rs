//! Submitting scores, and what has become of them.

use pkg_api::leaderboard::v1::{self as api, SubmissionRefusal, SubmissionStatus};
use pkg_auth::Role;
use tonic::Code;
use uuid::Uuid;

use crate::grpc::harness::{GAME, Harness, fact, on_both, player, score, told};

on_both! {
    a_score_is_answered_with_what_it_changed
    a_repeated_score_changes_nothing
    many_scores_have_outcomes_of_their_own
    a_sum_that_overflows_is_refused_and_stays_so
    a_submission_is_shown_to_whom_it_concerns
}

/// Before, after, and the rank, of each period.
fn outcomes(submission: &api::Submission) -> Vec<(Option<i64>, i64, Option<i64>)> {
    assert_eq!(submission.status(), SubmissionStatus::Accepted);
    submission.outcomes.iter().map(|outcome| (outcome.previous_value, outcome.new_value, outcome.rank)).collect()
}

async fn a_score_is_answered_with_what_it_changed(harness: Harness) {
    let (mut one, mut two) = (harness.player(1), harness.player(2));
    let first = one.submit(score("points", 1, 0)).await.unwrap();
    assert_eq!(outcomes(&first), [(None, 0, Some(1)), (None, 0, Some(1))]);
    assert_eq!((first.player_id.clone(), first.value), (player(1).to_string(), 0));
    assert!((1..=64).contains(&first.position.len()));
    let time = first.record_time.expect("a time");
    assert_eq!(time.seconds, harness.ambient.now().unix_timestamp());
    let spans: Vec<_> = first.outcomes.iter().map(|outcome| outcome.period.expect("a period")).collect();
    assert_eq!((spans[0].start_time, spans[0].end_time), (None, None));
    let (start, end) = (spans[1].start_time.expect("a day"), spans[1].end_time.expect("a day"));
    assert!(start.seconds <= time.seconds && time.seconds < end.seconds);
    assert_eq!(end.seconds - start.seconds, 24 * 60 * 60);

    let higher = two.submit(score("points", 1, i64::MAX)).await.unwrap();
    assert_eq!(outcomes(&higher)[0], (None, i64::MAX, Some(1)));
    assert_eq!(
        outcomes(&one.submit(score("points", 2, i64::MAX - 1)).await.unwrap())[0],
        (Some(0), i64::MAX - 1, Some(2))
    );
    let worse = one.submit(score("points", 3, i64::MIN)).await.unwrap();
    assert_eq!(outcomes(&worse)[0], (Some(i64::MAX - 1), i64::MAX - 1, Some(2)), "the best one counts");

    let mut server = harness.server();
    let of = |number, id, value| api::NewScore { player_id: player(number).to_string(), ..score("times", id, value) };
    assert_eq!(outcomes(&server.submit(of(1, 7, 30)).await.unwrap()), [(None, 30, Some(1))]);
    assert_eq!(outcomes(&server.submit(of(2, 7, 20)).await.unwrap()), [(None, 20, Some(1))]);
    assert_eq!(
        outcomes(&server.submit(of(1, 8, 20)).await.unwrap()),
        [(Some(30), 20, Some(2))],
        "the first to reach it"
    );
}

async fn a_repeated_score_changes_nothing(harness: Harness) {
    let (mut one, mut two) = (harness.player(1), harness.player(2));
    let first = one.submit(score("wins", 1, 5)).await.unwrap();
    two.submit(score("wins", 1, 9)).await.unwrap();
    let again = one.submit(score("wins", 1, 5)).await.unwrap();
    assert_eq!((again.position.clone(), again.record_time), (first.position, first.record_time));
    assert_eq!(outcomes(&again)[0], (None, 5, Some(2)), "what it was, and the rank as of now");
    let differs = one.submit(score("wins", 1, 6)).await.unwrap_err();
    assert_eq!(told(&differs).0, Code::AlreadyExists);
    assert_eq!(told(&differs).1, "SUBMISSION_DIFFERS");
    assert_eq!(outcomes(&one.submit(score("wins", 2, 5)).await.unwrap())[0].1, 10);
    assert_eq!(two.top("wins", 10).await, [(1, 1, 10), (2, 2, 9)]);
}

async fn many_scores_have_outcomes_of_their_own(harness: Harness) {
    let mut server = harness.server();
    let of = |number, id, value| api::NewScore { player_id: player(number).to_string(), ..score("points", id, value) };
    let low = api::NewScore { board_key: "times".to_owned(), ..of(1, 9, 40) };
    let many = vec![of(1, 1, 10), of(2, 1, 30), of(3, 1, 20), of(2, 1, 31), low, of(1, 1, 10)];
    let submissions = server.submit_many(many).await.unwrap();
    let told: Vec<_> = submissions.iter().map(|it| (it.status(), it.refusal(), it.value)).collect();
    let accepted = |value| (SubmissionStatus::Accepted, SubmissionRefusal::Unspecified, value);
    let differs = (SubmissionStatus::Refused, SubmissionRefusal::SubmissionDiffers, 31);
    assert_eq!(told, [accepted(10), accepted(30), accepted(20), differs, accepted(40), accepted(10)]);
    assert_eq!(submissions[5].position, submissions[0].position);
    assert_eq!(server.top("points", 10).await, [(1, 2, 30), (2, 3, 20), (3, 1, 10)]);
    assert_eq!(server.top("times", 10).await, [(1, 1, 40)]);

    let refused =
        server.submit_many(vec![of(4, 1, 1), api::NewScore { board_key: "times".to_owned(), ..of(1, 2, -1) }]);
    let refused = refused.await.unwrap_err();
    assert_eq!((refused.code(), fact(&refused, "index").as_str()), (Code::InvalidArgument, "1"));
    assert_eq!(server.top("points", 10).await.len(), 3, "nothing was recorded");
}

async fn a_sum_that_overflows_is_refused_and_stays_so(harness: Harness) {
    let mut one = harness.player(1);
    one.submit(score("wins", 1, i64::MAX)).await.unwrap();
    for _ in 0..2 {
        let refused = one.submit(score("wins", 2, 1)).await.unwrap();
        assert_eq!((refused.status(), refused.refusal()), (SubmissionStatus::Refused, SubmissionRefusal::SumOverflow));
        assert_eq!(refused.outcomes, []);
    }
    assert_eq!(outcomes(&one.submit(score("wins", 3, -1)).await.unwrap())[0].1, i64::MAX - 1);
}

async fn a_submission_is_shown_to_whom_it_concerns(harness: Harness) {
    let mut one = harness.player(1);
    let submitted = one.submit(score("points", 1, 10)).await.unwrap();
    let request = |id: u128, of: &str| api::GetSubmissionRequest {
        game_id: GAME.to_string(),
        board_key: "points".to_owned(),
        submission_id: Uuid::from_u128(id).to_string(),
        player_id: of.to_owned(),
        min_position: submitted.position.clone(),
    };
    let own = one.grpc.get_submission(request(1, "")).await.unwrap().into_inner().submission.expect("a submission");
    assert_eq!((own.position.clone(), own.value), (submitted.position.clone(), 10));
    assert_eq!(outcomes(&own)[0].1, 10);
    let of = player(1).to_string();
    for role in [Role::Server, Role::Admin] {
        let shown = harness.client(player(9), role).grpc.get_submission(request(1, &of)).await.unwrap().into_inner();
        assert_eq!(shown.submission.expect("a submission").position, submitted.position);
    }
    let refused = harness.player(2).grpc.get_submission(request(1, &of)).await.unwrap_err();
    assert_eq!(told(&refused).0, Code::PermissionDenied);
    let missing = one.grpc.get_submission(request(2, "")).await.unwrap_err();
    assert_eq!(told(&missing).1, "SUBMISSION_NOT_FOUND");
}

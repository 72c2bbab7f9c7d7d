//! What who submits is answered.

use std::time::Duration;

use pkg_api::game::v1::{LeaderboardDefinition, LeaderboardOperator, LeaderboardWriters, SubmissionRate};
use tokio::time::Instant;
use uuid::Uuid;

use super::world::{GAME, definition};
use super::*;
use crate::board::PeriodId;
use crate::submission::{LookError, NewScore, Submission};
use crate::testing::{PATIENCE, until};

const SERVER: Actor = Actor::Server(Uuid::from_u128(99));

/// Why it was refused, in each period the value before and after, and the ranks.
type Outcome = (Option<Refusal>, Vec<(Option<i64>, i64)>, Vec<Option<u64>>);

fn applied(submission: Submission) -> Outcome {
    let State::Applied { row, ranks } = submission.state else { panic!("not applied: {submission:?}") };
    let changes = row.standings.0.iter().map(|standing| (standing.previous, standing.entry.value)).collect();
    (row.refusal, changes, ranks)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(400)
}

#[tokio::test]
async fn a_score_is_answered_with_what_it_changed_and_the_ranks() {
    let world = World::start().await;
    let process = world.process().await;
    let submit = async |number, id, points| {
        applied(process.submit(player(number), value(&board("sum"), id, points)).await.unwrap())
    };
    assert_eq!(submit(1, 1, 5).await, (None, vec![(None, 5); 2], vec![Some(1); 2]));
    assert_eq!(submit(2, 1, 7).await, (None, vec![(None, 7); 2], vec![Some(1); 2]));
    assert_eq!(submit(1, 2, 1).await, (None, vec![(Some(5), 6); 2], vec![Some(2); 2]));
    // Once more: what was recorded, and the rank now.
    assert_eq!(submit(2, 1, 7).await, (None, vec![(None, 7); 2], vec![Some(1); 2]));
    assert_eq!(submit(1, 1, 5).await, (None, vec![(None, 5); 2], vec![Some(2); 2]));
    // The same id with another content.
    let differs = process.submit(player(1), value(&board("sum"), 1, 6)).await.unwrap();
    assert!(matches!(differs.state, State::Differs(_)), "{differs:?}");
    assert_eq!(submit(3, 1, i64::MAX).await.0, None);
    assert_eq!(submit(3, 2, 1).await.0, Some(Refusal::SumOverflow));
    assert_eq!(submit(3, 3, -1).await, (None, vec![(Some(i64::MAX), i64::MAX - 1); 2], vec![Some(1); 2]));
    process.end().await;
}

#[tokio::test]
async fn who_submits_elsewhere_is_answered_as_well() {
    let world = World::start().await;
    let worker = world.process().await;
    let (other, _projector, _keeper) = world.idle_process().await;
    other.submit(player(1), value(&board("best"), 1, 5)).await.unwrap();
    let second = other.submit(player(2), value(&board("best"), 1, 3)).await.unwrap();
    assert_eq!(applied(second), (None, vec![(None, 3); 2], vec![Some(2); 2]));
    let differs = other.submit(player(2), value(&board("best"), 1, 4)).await.unwrap();
    assert!(matches!(differs.state, State::Differs(_)));
    let many = vec![value(&board("best"), 2, 9), value(&board("sum"), 2, 9), value(&board("best"), 2, 9)];
    let many = other.submissions.submit_many(many, Actor::Player(player(2)), Some(Instant::now() + PATIENCE)).await;
    let many: Vec<_> = many.unwrap().into_iter().map(applied).collect();
    assert_eq!(many[0], (None, vec![(Some(3), 9); 2], vec![Some(1); 2]));
    assert_eq!(many[1], (None, vec![(None, 9); 2], vec![Some(1); 2]));
    assert_eq!(many[2], many[0]);
    other.end().await;
    worker.end().await;
}

#[tokio::test]
async fn what_is_not_applied_yet_is_pending() {
    let world = World::start().await;
    let (process, projector, _keeper) = world.idle_process().await;
    let submissions = &process.submissions;
    let owner = Actor::Player(player(1));
    let best = board("best");
    let pending = submissions.submit(value(&best, 1, 5), owner, Some(soon())).await.unwrap();
    let State::Pending(pending) = pending.state else { panic!("{pending:?}") };
    assert_eq!((pending.offset, pending.score.player), (0, Some(player(1))));
    let id = Uuid::from_u128(1);
    let look = async |actor| submissions.look(&best, Some(player(1)), id, actor).await;
    for actor in [owner, SERVER, Actor::Admin(player(7))] {
        assert_eq!(look(actor).await.unwrap().state, State::Pending(pending.clone()));
    }
    assert!(matches!(look(Actor::Player(player(2))).await, Err(LookError::NotAllowed)));
    let nobody = submissions.look(&best, None, Uuid::from_u128(2), owner).await;
    assert!(matches!(nobody, Err(LookError::NotFound)));

    let working = world.zombie(projector, "later").await;
    process.parts.watermarks.reached(&best, 0).await;
    let found = until(async || match look(owner).await.unwrap().state {
        State::Applied { row, ranks } => Some((row, ranks)),
        _ => None,
    });
    let (row, ranks) = found.await;
    assert_eq!((row.offset, ranks), (0, vec![Some(1); 2]));
    working.end().await;
    process.end().await;
}

#[tokio::test]
async fn scores_are_checked_before_they_are_recorded() {
    let world = World::start().await;
    let servers = LeaderboardDefinition {
        writers: LeaderboardWriters::Servers.into(),
        min_value: Some(0),
        max_value: Some(10),
        ..definition("servers", LeaderboardOperator::Best)
    };
    let rate = SubmissionRate { count: 2, per: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }) };
    let slow = LeaderboardDefinition { rate: Some(rate), ..definition("slow", LeaderboardOperator::Best) };
    world.games.define(GAME, vec![definition("best", LeaderboardOperator::Best), servers, slow]);
    let process = world.process().await;
    let submit = async |score, actor| process.submissions.submit(score, actor, None).await;
    let owner = Actor::Player(player(1));
    let of = |score: NewScore, number| NewScore { player: Some(player(number)), ..score };

    let outcome = submit(value(&board("servers"), 1, 5), owner).await;
    assert!(matches!(outcome, Err(SubmitError::NotAllowed(_))));
    let outcome = submit(of(value(&board("best"), 1, 5), 2), owner).await;
    assert!(matches!(outcome, Err(SubmitError::NotAllowed(_))));
    let outcome = submit(value(&board("servers"), 1, 5), SERVER).await;
    assert!(matches!(outcome, Err(SubmitError::Field { path: "player_id", .. })));
    for points in [-1, 11, i64::MIN, i64::MAX] {
        let outcome = submit(of(value(&board("servers"), 1, points), 1), SERVER).await;
        assert!(matches!(outcome, Err(SubmitError::OutOfBounds { min: 0, max: 10 })));
    }
    assert_eq!(applied(submit(of(value(&board("servers"), 1, 10), 1), SERVER).await.unwrap()).0, None);
    let outcome = submit(value(&board("nobody-knows"), 1, 5), owner).await;
    assert!(matches!(outcome, Err(SubmitError::Board(crate::catalog::BoardError::BoardNotFound))));

    // The rate is one for each player and board.
    for id in 1..3 {
        submit(value(&board("slow"), id, 5), owner).await.unwrap();
    }
    assert!(matches!(submit(value(&board("slow"), 3, 5), owner).await, Err(SubmitError::Limited { .. })));
    submit(value(&board("slow"), 3, 5), Actor::Player(player(2))).await.unwrap();
    submit(of(value(&board("slow"), 3, 5), 1), SERVER).await.unwrap();

    // One of many is at fault: nothing was recorded.
    let many = vec![value(&board("best"), 5, 1), value(&board("servers"), 5, 1)];
    let outcome = process.submissions.submit_many(many, owner, None).await.unwrap_err();
    assert!(outcome.index == 1 && matches!(outcome.error, SubmitError::NotAllowed(_)));
    assert_eq!(world.logged(&board("best")).await, []);

    // What was recorded is answered, also when it could not be submitted any more.
    world.games.archive(GAME);
    let archived = async || {
        let fresh = world.ambient.id().as_u128();
        matches!(submit(value(&board("best"), fresh, 1), owner).await, Err(SubmitError::GameArchived)).then_some(())
    };
    until(archived).await;
    assert_eq!(applied(submit(of(value(&board("servers"), 1, 10), 1), SERVER).await.unwrap()).0, None);
    process.end().await;
}

#[tokio::test]
async fn seats_are_asked_for_and_believed_for_a_while() {
    let world = World::start().await;
    let seated = LeaderboardDefinition { require_seat: true, ..definition("best", LeaderboardOperator::Best) };
    world.games.define(GAME, vec![seated]);
    let process = world.process().await;
    let session = world.ambient.id();
    world.games.seat(session, player(1));
    let in_session = |id| NewScore { session: Some(session), ..value(&board("best"), id, 5) };

    let outcome = process.submit(player(1), value(&board("best"), 1, 5)).await;
    assert!(matches!(outcome, Err(SubmitError::SeatRequired)));
    assert_eq!(world.games.seats_asked(), 0);
    for id in 1..4 {
        process.submit(player(1), in_session(id)).await.unwrap();
        assert!(matches!(process.submit(player(2), in_session(id)).await, Err(SubmitError::SeatRequired)));
    }
    assert_eq!(world.games.seats_asked(), 2);
    world.games.be_unavailable(true);
    assert!(matches!(process.submit(player(3), in_session(1)).await, Err(SubmitError::Unavailable(_))));
    world.games.be_unavailable(false);
    process.end().await;
}

#[tokio::test]
async fn one_player_may_submit_much_at_once() {
    const SCORES: u128 = 500;
    let world = World::start().await;
    let process = world.process().await;
    let submitted = (0..SCORES).map(|id| process.submit(player(1), value(&board("sum"), id, 1)));
    let mut seen: Vec<_> =
        futures::future::join_all(submitted).await.into_iter().map(|one| applied(one.unwrap())).collect();
    seen.sort_by_key(|(_, changes, _)| changes[0].1);
    for ((_, changes, ranks), number) in seen.into_iter().zip(1..) {
        assert_eq!((changes[0], ranks[0]), ((Some(number - 1).filter(|before| *before > 0), number), Some(1)));
    }
    let view = world.view(&board("sum"), PeriodId::ALL_TIME, 499).await;
    assert_eq!((view.total, view.entries[0].entry.value), (1, 500));
    process.end().await;
}

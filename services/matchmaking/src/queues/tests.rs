use std::sync::Mutex;

use pkg_middleware::Service;

use super::*;
use crate::grpc::harness::{GAME, Harness, definition, in_time, until};

/// Follows the games of a test.
async fn start() -> (Harness, Queues) {
    let built = Mutex::new(None);
    let harness = Harness::start(|ground| {
        let (queues, follower) = Queues::new(ground.game);
        *built.lock().unwrap() = Some(queues);
        Service::new("matchmaking").task("definitions", |shutdown| follower.run(shutdown))
    })
    .await;
    (harness, built.into_inner().unwrap().expect("it was built"))
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

#[tokio::test]
async fn queues_come_change_and_go_as_they_are_defined() {
    let (harness, queues) = start().await;
    in_time(queues.caught_up()).await;
    assert!(queues.all().is_empty());
    let mut changes = queues.changes();
    harness.game.define(GAME, definition());
    in_time(changes.changed()).await.unwrap();
    let duel = queues.known(GAME, &key("duel")).unwrap();
    assert_eq!((duel.revision, duel.state, queues.all().len()), (1, QueueState::Open, 3));

    let mut shorter = definition();
    shorter.queues.retain(|queue| queue.key != "duel");
    harness.game.define(GAME, shorter);
    in_time(changes.changed()).await.unwrap();
    let gone = queues.known(GAME, &key("duel")).unwrap();
    assert_eq!((gone.revision, gone.state), (1, QueueState::Removed));
    assert_eq!(queues.known(GAME, &key("casual")).unwrap().revision, 2);
    assert!(matches!(queues.find(GAME, &key("duel")).await, Err(QueueError::QueueNotFound)));
    assert_eq!(queues.all().len(), 3, "a queue that is gone has tickets to end");

    harness.game.archive(GAME);
    in_time(changes.changed()).await.unwrap();
    assert_eq!(queues.find(GAME, &key("casual")).await.unwrap().state, QueueState::Archived);
    assert_eq!(queues.known(GAME, &key("duel")).unwrap().state, QueueState::Removed);

    harness.game.define(GAME, definition());
    in_time(changes.changed()).await.unwrap();
    assert_eq!(queues.known(GAME, &key("duel")).unwrap().revision, 3, "it is there again");
}

#[tokio::test]
async fn what_was_just_made_is_found_before_anybody_is_told() {
    let (harness, queues) = start().await;
    in_time(queues.caught_up()).await;
    harness.game.be_silent(true);
    assert!(matches!(queues.find(GAME, &key("duel")).await, Err(QueueError::GameNotFound)));
    assert!(matches!(queues.check_game(GAME).await, Err(QueueError::GameNotFound)));
    harness.game.define(GAME, definition());
    let found = until(async || queues.find(GAME, &key("duel")).await.ok()).await;
    assert_eq!(found.revision, 1);
    queues.check_game(GAME).await.unwrap();
    assert!(matches!(queues.find(GAME, &key("chess")).await, Err(QueueError::QueueNotFound)));

    let mut more = definition();
    more.queues[0].key = "chess".to_owned();
    harness.game.define(GAME, more);
    until(async || queues.find(GAME, &key("chess")).await.ok()).await;
    assert_eq!(queues.known(GAME, &key("duel")).unwrap().state, QueueState::Removed);
}

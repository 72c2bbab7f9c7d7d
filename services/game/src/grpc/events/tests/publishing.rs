//! What may be published, and what becomes of it.

use pkg_api::events::v1::{GameEvent, NewEvent, game_event};
use pkg_auth::Role;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::world::{Client, World, addressed, error, failure, name, retained, unretained};

#[tokio::test]
async fn an_event_happens_once_however_often_it_is_published() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let mut stream = player.follow(session, "").await;
    let event = retained("once");
    let first = player.publish(session, vec![event.clone()]).await.unwrap().events.remove(0);
    assert!(!first.repeated_id && !first.cursor.is_empty());
    let again = player.publish(session, vec![event.clone(), retained("next")]).await.unwrap().events;
    assert_eq!((again[0].repeated_id, &again[0].cursor, &again[0].time), (true, &first.cursor, &first.time));
    assert!(!again[1].repeated_id);
    let seen = stream.next_game_event().await;
    assert_eq!((seen.event_id, seen.cursor, seen.player_id), (event.event_id, first.cursor, player.id.to_string()));
    assert_eq!(name(&stream.next_game_event().await), "next");
}

#[tokio::test]
async fn both_kinds_go_in_one_publication() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let mut stream = player.follow(session, "").await;
    let events = vec![retained("a"), unretained("b"), retained("c"), unretained("d")];
    let outcomes = player.publish(session, events).await.unwrap().events;
    assert_eq!(
        outcomes.iter().map(|outcome| outcome.cursor.is_empty()).collect::<Vec<_>>(),
        [false, true, false, true]
    );
    assert!(outcomes.iter().all(|outcome| outcome.time.is_some()));
    assert_eq!(stream.names(4).await, ["a", "c", "b", "d"]);
}

#[tokio::test]
async fn what_is_not_valid_is_refused_as_a_whole() {
    let world = World::start().await;
    let (player, stranger) = (world.player().await, world.player().await);
    let game = world.make_game("tight", 1_000, 100).await;
    let session = world.session_of(game, &[(&player, Some("red"))]).await;
    let mut stream = player.follow(session, "").await;

    let refused = async |event: NewEvent| failure(player.publish(session, vec![retained("good"), event]).await);
    let invalid = error(Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(refused(NewEvent { event_id: String::new(), ..retained("x") }).await, invalid);
    assert_eq!(refused(NewEvent { event_id: "7".to_owned(), ..unretained("x") }).await, invalid);
    assert_eq!(refused(NewEvent { event: None, ..retained("x") }).await, invalid);
    assert_eq!(refused(retained("")).await, invalid);
    assert_eq!(refused(retained("x".repeat(65))).await, invalid);
    assert_eq!(refused(addressed("x", game_event::Audience::ToPlayerId("7".to_owned()))).await, invalid);
    let large = GameEvent { name: "x".to_owned(), data: vec![0; 101], ..GameEvent::default() };
    let large = NewEvent { event: Some(large), ..retained("x") };
    assert_eq!(refused(large).await, error(Code::InvalidArgument, "EVENT_TOO_LARGE"));
    let green = addressed("x", game_event::Audience::Team("green".to_owned()));
    assert_eq!(refused(green).await, error(Code::NotFound, "TEAM_NOT_FOUND"));

    let publish = async |session: Uuid, events: Vec<NewEvent>| failure(player.publish(session, events).await);
    assert_eq!(publish(session, vec![]).await, invalid);
    assert_eq!(publish(session, vec![unretained("x"); 101]).await, invalid);
    assert_eq!(publish(Uuid::from_u128(1), vec![retained("x")]).await, error(Code::NotFound, "SESSION_NOT_FOUND"));
    let not_in = error(Code::PermissionDenied, "NOT_IN_SESSION");
    for outsider in [stranger, world.client(Role::Admin).await] {
        assert_eq!(failure(outsider.publish(session, vec![retained("x")]).await), not_in);
    }
    player.publish(session, vec![retained("the first")]).await.unwrap();
    assert_eq!(stream.names(1).await, ["the first"]);
}

#[tokio::test]
async fn who_publishes_too_much_waits() {
    let world = World::start().await;
    let (player, other) = (world.player().await, world.player().await);
    let game = world.make_game("slow", 200, 1_000).await;
    let session = world.session_of(game, &[(&player, None), (&other, None)]).await;
    let publish = async |client: &Client| client.publish(session, vec![unretained("x"); 100]).await;
    publish(&player).await.unwrap();
    publish(&player).await.unwrap();
    let refused = publish(&player).await.expect_err("200 a second");
    assert_eq!(refused.get_details_error_info().unwrap().reason, "RATE_LIMITED");
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    publish(&other).await.unwrap();
    for _ in 0..20 {
        publish(&world.server).await.unwrap();
    }
    // Some are let through by the time that this takes.
    let mut last = Ok(());
    for _ in 0..100 {
        last = last.and(publish(&world.server).await.map(drop));
    }
    assert_eq!(failure(last).1, "RATE_LIMITED");
}

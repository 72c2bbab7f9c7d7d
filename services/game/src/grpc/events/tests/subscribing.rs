//! Who may follow what, and how streams begin, go on and end.

use std::time::Duration;

use futures::FutureExt;
use pkg_api::events::v1::TopicCloseReason;
use pkg_api::events::v1::event_service_client::EventServiceClient;
use pkg_api::events::v1::game_event::Audience;
use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::game::v1::GoAwayReason;
use pkg_auth::Role;
use pkg_bus::Bus;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::world::{
    BOARD, Client, Stream, World, addressed, error, eventually, failure, name, retained, session_topic, wanted,
};

#[tokio::test]
async fn topics_are_refused_by_name() {
    let world = World::start().await;
    let (player, stranger) = (world.player().await, world.player().await);
    let session = session_topic(world.session(&[(&player, None)]).await);
    let (gone, own) = (session_topic(Uuid::from_u128(1)), format!("player/{}", player.id));
    let (board, no_board) = (format!("board/{}/{BOARD}", world.game), format!("board/{}/deaths", world.game));

    let refused = async |client: &Client, topic: &str, cursor: &str| {
        let outcome = client.try_subscribe(&[("announcements", ""), (topic, cursor)]).await;
        let status = outcome.err().expect("it is refused");
        let info = status.get_details_error_info().expect("there is a reason");
        assert_eq!(info.metadata.get("topic").map(String::as_str), Some(topic));
        (status.code(), info.reason)
    };
    let not_allowed = error(Code::PermissionDenied, "TOPIC_NOT_ALLOWED");
    assert_eq!(refused(&stranger, &session, "").await, not_allowed);
    assert_eq!(refused(&stranger, &own, "").await, not_allowed);
    let not_found = error(Code::NotFound, "TOPIC_NOT_FOUND");
    assert_eq!(refused(&player, &gone, "").await, not_found);
    assert_eq!(refused(&player, &no_board, "").await, not_found);
    let invalid = error(Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(refused(&player, "rumours", "").await, invalid);
    assert_eq!(refused(&player, &board, "no cursor").await, invalid);
    assert_eq!(refused(&player, "announcements", "").await, invalid);
    assert_eq!(failure(player.try_subscribe(&[]).await), invalid);

    let all = [&*session, &own, &board, "announcements"].map(|topic| (topic, ""));
    let mut stream = player.try_subscribe(&all).await.expect("all of them may be followed");
    for (topic, _) in all {
        let Message::Subscribed(subscribed) = stream.next().await else { panic!("subscribed first") };
        assert_eq!(subscribed.topic, topic);
        assert!(!subscribed.cursor.is_empty());
    }
}

#[tokio::test]
async fn a_stream_keeps_the_seat_and_its_end_is_told() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let first = player.follow(session, "").await;
    assert!(world.connected(session, &player).await);
    let second = player.follow(session, "").await;
    drop(first);
    drop(second);
    eventually("the seat is not connected", async || !world.connected(session, &player).await).await;
}

#[tokio::test]
async fn who_loses_the_seat_is_told_and_the_others_go_on() {
    let world = World::start().await;
    let (leaver, stayer) = (world.player().await, world.player().await);
    let session = world.session(&[(&leaver, Some("red")), (&stayer, Some("red"))]).await;
    let topic = session_topic(session);
    let mut left = leaver.try_subscribe(&[(&topic, ""), ("announcements", "")]).await.unwrap();
    let mut others = stayer.follow(session, "").await;
    leaver.leave(session).await;
    stayer.publish(session, vec![retained("secret")]).await.unwrap();

    loop {
        match left.next().await {
            Message::TopicClosed(closed) => {
                assert_eq!((closed.reason(), &closed.topic), (TopicCloseReason::NotAllowed, &topic));
                break;
            }
            Message::Event(event) => assert!(!format!("{event:?}").contains("secret")),
            Message::Subscribed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(others.names(1).await, ["secret"]);
    assert_eq!(
        failure(leaver.try_subscribe(&[(&topic, "")]).await),
        error(Code::PermissionDenied, "TOPIC_NOT_ALLOWED")
    );
    drop(left);
}

#[tokio::test]
async fn who_comes_back_resumes_across_their_own_leaving() {
    let world = World::start().await;
    let (player, other) = (world.player().await, world.player().await);
    let session = world.session(&[(&player, Some("red")), (&other, Some("red"))]).await;
    let cursor = other.publish_one(session, "before").await;
    player.leave(session).await;
    other.publish(session, vec![retained("meanwhile")]).await.unwrap();
    world.seat(session, &player, "blue").await;
    other.publish(session, vec![retained("after")]).await.unwrap();
    let mut stream = player.follow(session, &cursor).await;
    assert_eq!(stream.names(2).await, ["meanwhile", "after"]);
}

#[tokio::test]
async fn an_ended_session_closes_its_topic_after_the_last_event() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let mut stream = player.follow(session, "").await;
    let cursor = player.publish_one(session, "first").await;
    player.publish_one(session, "last").await;
    world.finish(session).await;
    assert_eq!(stream.names(2).await, ["first", "last"]);
    let closed = |message| {
        let Message::TopicClosed(closed) = message else { panic!("{message:?}") };
        assert_eq!(closed.reason(), TopicCloseReason::Ended);
    };
    closed(stream.next_of_game().await);
    closed(player.follow(session, "").await.next_of_game().await);
    let mut late = player.follow(session, &cursor).await;
    assert_eq!(late.names(1).await, ["last"]);
    closed(late.next_of_game().await);
    let refused = player.publish(session, vec![retained("more")]).await;
    assert_eq!(failure(refused), error(Code::FailedPrecondition, "SESSION_STATE"));
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_lives() {
    let world = World::start().await;
    let channel = world.harness.signed_in_process(Uuid::from_u128(1), Role::Player);
    let request = wanted(&[("announcements", "")]);
    let mut stream = Stream(EventServiceClient::new(channel).subscribe(request).await.unwrap().into_inner());
    assert!(matches!(stream.next().await, Message::Subscribed(_)));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        assert!(matches!(stream.next().await, Message::Heartbeat(_)));
    }
    let took = begun.elapsed();
    assert!((Duration::from_secs(44)..Duration::from_secs(47)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_drain_sends_everybody_away_and_their_seats_wait() {
    let world = World::start().await;
    let players = [world.player().await, world.player().await];
    let session = world.session(&[(&players[0], None), (&players[1], None)]).await;
    let mut streams = Vec::new();
    for player in &players {
        streams.push(player.follow(session, "").await);
    }
    let mut reader = world.bus.reader();
    reader.follow(&crate::sessions::topic(session), None).await.unwrap();
    let ended = world.harness.drain();
    for mut stream in streams {
        let Message::GoAway(go_away) = stream.next_of_game().await else { panic!("sent away") };
        assert_eq!(go_away.reason(), GoAwayReason::Drain);
        assert!(go_away.retry_delay.is_some());
        stream.end().await.expect("in good order");
    }
    ended.await;
    assert!(reader.next().now_or_never().is_none(), "nobody is told that a connection was lost");
}

#[tokio::test]
async fn a_server_sees_all_and_an_admin_what_is_for_everyone() {
    let world = World::start().await;
    let (red, blue) = (world.player().await, world.player().await);
    let (server, admin) = (world.client(Role::Server).await, world.client(Role::Admin).await);
    let session = world.session(&[(&red, Some("red")), (&blue, Some("blue"))]).await;
    let mut streams = Vec::new();
    for client in [&red, &blue, &server, &admin] {
        streams.push(client.follow(session, "").await);
    }
    let to_team = |team: &str| Audience::Team(team.to_owned());
    let events = [
        addressed("for red", to_team("red")),
        addressed("for blue", to_team("blue")),
        addressed("to blue", Audience::ToPlayerId(blue.id.to_string())),
        addressed("to nobody", Audience::ToPlayerId(Uuid::from_u128(5).to_string())),
        retained("for all"),
    ];
    red.publish(session, events.to_vec()).await.unwrap();
    let expected: [&[&str]; 4] = [
        &["for red", "for all"],
        &["for blue", "to blue", "for all"],
        &["for red", "for blue", "to blue", "to nobody", "for all"],
        &["for all"],
    ];
    for (stream, expected) in streams.iter_mut().zip(expected) {
        assert_eq!(stream.names(expected.len()).await, expected);
    }
    let event = {
        server.publish(session, vec![retained("by the server")]).await.unwrap();
        streams[0].next_game_event().await
    };
    assert_eq!((name(&event).as_str(), event.player_id.as_str()), ("by the server", ""));
}

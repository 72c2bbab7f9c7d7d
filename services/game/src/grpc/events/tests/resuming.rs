//! Order, cursors, gaps, slow readers.

use std::time::Duration;

use futures::future::join_all;
use pkg_api::events::v1::subscribe_response::Message;

use super::world::{BOARD, TOO_MANY, World, name, retained, session_topic, unretained};

const MANY: usize = 60;

#[tokio::test]
async fn everybody_sees_one_order() {
    let world = World::start().await;
    let players = join_all((0..4).map(|_| world.player())).await;
    let seats: Vec<_> = players.iter().map(|player| (player, None)).collect();
    let session = world.session(&seats).await;
    let mut streams = join_all(players.iter().map(|player| player.follow(session, ""))).await;
    let publishing = players.iter().enumerate().map(|(number, player)| async move {
        for event in 0..MANY {
            player.publish(session, vec![retained(format!("{number}-{event}"))]).await.unwrap();
        }
    });
    join_all(publishing).await;
    let mut seen = Vec::new();
    for stream in &mut streams {
        seen.push(stream.names(4 * MANY).await);
    }
    assert!(seen.iter().all(|names| names == &seen[0]));
    for number in 0..4 {
        let of_one = seen[0].iter().filter(|name| name.starts_with(&format!("{number}-"))).cloned();
        let expected = (0..MANY).map(|event| format!("{number}-{event}"));
        assert_eq!(of_one.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_stream_resumes_from_every_cursor_without_loss_or_repetition() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let begin = {
        let topic = session_topic(session);
        let mut stream = player.try_subscribe(&[(&topic, "")]).await.unwrap();
        let Message::Subscribed(subscribed) = stream.next().await else { panic!("subscribed first") };
        subscribed.cursor
    };
    let events: Vec<_> = (0..MANY).map(retained).collect();
    let published = player.publish(session, events).await.unwrap().events;
    let cursors: Vec<_> = std::iter::once(begin).chain(published.into_iter().map(|event| event.cursor)).collect();
    for (seen, cursor) in cursors.iter().enumerate() {
        let mut stream = player.follow(session, cursor).await;
        let rest: Vec<_> = (seen..MANY).map(|number| number.to_string()).collect();
        let mut last = cursor.clone();
        for expected in rest {
            let event = stream.next_game_event().await;
            assert_eq!(name(&event), expected);
            assert_ne!(event.cursor, last);
            last = event.cursor;
        }
        assert_eq!(last, cursors[MANY]);
    }
}

#[tokio::test]
async fn a_cursor_that_is_too_old_is_told_of_one_gap_with_the_session() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let old = player.publish_one(session, "first").await;
    for _ in 0..TOO_MANY / 100 {
        world.server.publish(session, (0..100).map(retained).collect()).await.unwrap();
    }
    let foreign = {
        let other = world.session(&[(&player, None)]).await;
        player.publish_one(other, "there").await
    };
    for cursor in [old, foreign] {
        let mut stream = player.follow(session, &cursor).await;
        let Message::Gap(gap) = stream.next().await else { panic!("a gap") };
        assert_eq!(gap.topic, session_topic(session));
        let snapshot = gap.session.expect("the state of the session").session.expect("the session");
        assert_eq!(snapshot.session_id, session.to_string());
        let after = player.publish_one(session, "after the gap").await;
        let mut event = stream.next_game_event().await;
        while name(&event) != "after the gap" {
            // What is still retained after the gap.
            event = stream.next_game_event().await;
        }
        assert_eq!(event.cursor, after);
    }
}

#[tokio::test]
async fn a_gap_elsewhere_says_what_to_call() {
    let world = World::start().await;
    let player = world.player().await;
    let other = world.session(&[(&player, None)]).await;
    let foreign = player.publish_one(other, "there").await;
    let (own, board) = (format!("player/{}", player.id), format!("board/{}/{BOARD}", world.game));
    let mut stream = player.try_subscribe(&[(&own, &foreign), (&board, &foreign)]).await.unwrap();
    let mut gaps = 0;
    while gaps < 2 {
        if let Message::Gap(gap) = stream.next().await {
            assert!(gap.session.is_none() && !gap.methods.is_empty(), "{gap:?}");
            gaps += 1;
        }
    }
}

#[tokio::test]
async fn a_reader_that_slept_gets_all_that_is_retained_in_order() {
    let world = World::start().await;
    let (sleeper, other) = (world.player().await, world.player().await);
    let session = world.session(&[(&sleeper, None), (&other, None)]).await;
    let (mut slow, mut quick) = (sleeper.follow(session, "").await, other.follow(session, "").await);
    let count = 4_000;
    for first in (0..count).step_by(100) {
        let events = (first..first + 100).map(retained).collect();
        world.server.publish(session, events).await.unwrap();
        other.publish(session, vec![unretained(format!("u{first}"))]).await.unwrap();
    }
    let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    for stream in [&mut slow, &mut quick] {
        let (mut kept, mut passing) = (Vec::new(), Vec::new());
        while kept.len() < count {
            let event = stream.next_game_event().await;
            let list = if event.cursor.is_empty() { &mut passing } else { &mut kept };
            list.push(name(&event));
        }
        assert_eq!(kept, expected);
        let numbers: Vec<u32> = passing.iter().map(|name| name[1..].parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "unretained events may be missing, but are in order");
    }
}

#[tokio::test]
async fn one_that_does_not_read_does_not_hold_up_the_others() {
    let world = World::start().await;
    let (sleeper, other) = (world.player().await, world.player().await);
    let session = world.session(&[(&sleeper, None), (&other, None)]).await;
    let (_asleep, mut awake) = (sleeper.follow(session, "").await, other.follow(session, "").await);
    for number in 0..900 {
        other.publish(session, vec![unretained(number)]).await.unwrap();
        assert_eq!(name(&awake.next_game_event().await), number.to_string());
    }
    tokio::time::timeout(Duration::from_secs(1), other.publish(session, vec![retained("end")])).await.unwrap().unwrap();
}

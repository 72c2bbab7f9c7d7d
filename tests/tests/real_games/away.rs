//! A client that was away goes on where it was, or is told that it cannot.

use std::time::Duration;

use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::game::v1::entity_operation::Operation;
use pkg_api::game::v1::{
    BatchChangeEntitiesRequest, EntityOperation, EventLimits, ListEntitiesRequest, NewEntity, SessionRules,
};
use system_tests::{Client, Follower, SignedIn, bearer, game_event};

use crate::system::{System, generous, topic_of};

/// How many events are published at once.
const BATCH: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_hears_all_that_happened_meanwhile() {
    const EVENTS: usize = 3_000;
    let system = System::start().await;
    let (client, player) = (system.client(), system.player());
    // Whoever is away for long keeps their seat if the game wants it so.
    let grace = prost_types::Duration { seconds: 120, nanos: 0 };
    let rules = SessionRules { reconnect_grace: Some(grace), ..generous() };
    let session = open(&client, &player, &system.game(rules).await).await;
    let topic = topic_of(&session);
    let mut follower = Follower::of(&client, &player, &topic, "").await.unwrap();
    publish(&client, &player, &session, 0..BATCH).await;
    for number in 0..BATCH {
        assert_eq!(follower.next_data().await, number.to_string().into_bytes());
    }
    let cursor = follower.cursor.clone();
    drop(follower);

    // In the long form as long as a phone that changes its network.
    if std::env::var_os("MUSTER_TEST_LONG").is_some() {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    publish(&client, &player, &session, BATCH..EVENTS).await;
    // At whichever replica.
    for replica in &system.games {
        let mut follower = Follower::of(&Client::of(replica.api()), &player, &topic, &cursor).await.unwrap();
        for number in BATCH..EVENTS {
            assert_eq!(follower.next_data().await, number.to_string().into_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_too_long_is_told_so_and_given_the_session_as_it_is() {
    const EVENTS: usize = 2_000;
    /// More than the 1 MiB that comes with a gap.
    const ENTITIES: usize = 320;
    const ENTITY_BYTES: usize = 4 * 1024;
    const AT_ONCE: usize = 40;
    let system = System::start().await;
    let (client, player) = (system.client(), system.player());
    let limits = EventLimits { retained_events: 16, ..generous().event_limits.unwrap() };
    let rules = SessionRules { event_limits: Some(limits), ..generous() };
    let session = open(&client, &player, &system.game(rules).await).await;
    let topic = topic_of(&session);
    let cursor = Follower::of(&client, &player, &topic, "").await.unwrap().cursor;

    for _ in 0..ENTITIES / AT_ONCE {
        let entity = NewEntity { r#type: "crate".to_owned(), data: vec![7; ENTITY_BYTES], ..NewEntity::default() };
        let operation = EntityOperation { operation: Some(Operation::Create(entity)) };
        let operations = vec![operation; AT_ONCE];
        let request = BatchChangeEntitiesRequest { session_id: session.clone(), operations, ..Default::default() };
        client.entities().batch_change_entities(bearer(request, &player.token)).await.unwrap();
    }
    publish(&client, &player, &session, 0..EVENTS).await;
    let mut follower = Follower::of(&client, &player, &topic, &cursor).await.unwrap();
    let Some(Message::Gap(gap)) = follower.next().await.unwrap() else { panic!("no gap") };
    let snapshot = gap.session.expect("the session comes with it");
    assert_eq!(snapshot.session.unwrap().session_id, session);
    assert!(!snapshot.entities_complete && snapshot.entities.len() > ENTITIES / 2, "{}", snapshot.entities.len());
    // The rest is asked for, as much as goes into one answer.
    let request = ListEntitiesRequest { session_id: session.clone(), page_size: 1_000, ..Default::default() };
    let listed = client.entities().list_entities(bearer(request, &player.token)).await.unwrap().into_inner();
    assert!(listed.entities.len() > ENTITIES / 2, "{}", listed.entities.len());

    // From there on nothing is missing.
    publish(&client, &player, &session, EVENTS..EVENTS + BATCH).await;
    for number in EVENTS..EVENTS + BATCH {
        assert_eq!(follower.next_data().await, number.to_string().into_bytes());
    }
}

async fn open(client: &Client, player: &SignedIn, game: &str) -> String {
    client.create_session(player, game).await.session.unwrap().session_id
}

/// Publishes numbers, no faster than one player may.
async fn publish(client: &Client, player: &SignedIn, session: &str, numbers: std::ops::Range<usize>) {
    let numbers: Vec<_> = numbers.collect();
    for batch in numbers.chunks(BATCH) {
        let events: Vec<_> = batch.iter().map(|number| game_event(number.to_string())).collect();
        while let Err(status) = client.publish(player, session, events.clone()).await {
            assert_eq!(system_tests::refusal(&status).1, "RATE_LIMITED");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

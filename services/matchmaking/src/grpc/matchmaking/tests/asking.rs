//! Statistics of queues, and ratings.

use std::time::Duration;

use pkg_api::game::v1::Region as ApiRegion;
use pkg_api::matchmaking::v1 as api;
use pkg_auth::Role;
use pkg_definition::Region;
use tonic::Status;
use uuid::Uuid;

use crate::grpc::harness::{Client, GAME, World, definition, player, queue, told, until, wish};
use crate::rating::Rating;
use crate::store::{Applied, RatingChange, Results, TicketStore};
use crate::waits::{Summary, Waits};

async fn stats(client: &mut Client, key: &str) -> Result<api::QueueStats, Status> {
    let request = api::GetQueueStatsRequest { game_id: GAME.to_string(), queue_key: key.to_owned() };
    client.get_queue_stats(request).await.map(|answer| answer.into_inner().stats.unwrap())
}

async fn rating(client: &mut Client, key: &str, number: u128) -> Result<api::Rating, Status> {
    let player_id = player(number).to_string();
    let request = api::GetRatingRequest { game_id: GAME.to_string(), queue_key: key.to_owned(), player_id };
    client.get_rating(request).await.map(|answer| answer.into_inner().rating.unwrap())
}

fn seed(key: &str, number: u128, skill: f64, uncertainty: Option<f64>) -> api::SeedRatingRequest {
    let (game_id, player_id) = (GAME.to_string(), player(number).to_string());
    api::SeedRatingRequest { game_id, queue_key: key.to_owned(), player_id, skill, uncertainty }
}

#[tokio::test]
async fn a_queue_is_told_as_its_worker_counted_it() {
    let world = World::start().await;
    let mut client = world.harness.player(1);
    world.queued(2).await;
    let counted = stats(&mut client, "duel").await.unwrap();
    assert_eq!((counted.ticket_count, counted.match_count, counted.median_wait), (1, 0, None), "nobody has counted");
    assert_eq!(told(&stats(&mut client, "poker").await.unwrap_err()).1, "QUEUE_NOT_FOUND");

    let mut recent = Waits::default();
    recent.record(Region::Global, [Duration::from_secs(10); 20], world.now());
    let counted_at = pkg_db::to_millis(world.now());
    let place = u8::try_from(Region::ALL.len() - 1).unwrap();
    let summary = Summary {
        counted_at,
        tickets: 3,
        players: 4,
        oldest: Some(counted_at - 7_000),
        regions: [(place, 4)].into_iter().collect(),
        recent,
    };
    let written = serde_json::to_vec(&summary).unwrap().into();
    world.store.put_summary(&queue("duel"), written, Duration::from_mins(1)).await.unwrap();
    let counted = until(async || stats(&mut client, "duel").await.ok().filter(|stats| stats.match_count == 1)).await;
    assert_eq!((counted.ticket_count, counted.player_count), (3, 4));
    assert_eq!(counted.oldest_wait.unwrap().seconds, 7);
    assert!((9..=11).contains(&counted.median_wait.unwrap().seconds));
    assert!((9..=11).contains(&counted.p95_wait.unwrap().seconds));
    assert_eq!(counted.regions, [api::RegionCount { region: ApiRegion::Global.into(), player_count: 4 }]);
    let created = client.create_ticket(wish("duel")).await.unwrap().into_inner().ticket.unwrap();
    assert!((9..=11).contains(&created.estimated_wait.unwrap().seconds));
}

#[tokio::test]
async fn who_has_not_played_has_the_initial_rating_or_a_seed() {
    let world = World::start().await;
    let mut client = world.harness.player(2);
    let initial = rating(&mut client, "duel", 1).await.unwrap();
    assert_eq!((initial.skill, initial.match_count, initial.update_time), (25.0, 0, None));
    assert_eq!(told(&rating(&mut client, "casual", 1).await.unwrap_err()).1, "QUEUE_NOT_RATED");
    assert_eq!(told(&rating(&mut client, "poker", 1).await.unwrap_err()).1, "QUEUE_NOT_FOUND");

    let refused = client.seed_rating(seed("duel", 2, 50.0, None)).await.unwrap_err();
    assert_eq!(told(&refused).1, "ROLE_NOT_ALLOWED", "a player does not seed");
    let mut server = world.harness.client(player(9), Role::Server);
    let seeded = server.seed_rating(seed("duel", 1, 40.0, None)).await.unwrap().into_inner().rating.unwrap();
    assert_eq!((seeded.skill, seeded.uncertainty), (40.0, initial.uncertainty));
    let again = server.seed_rating(seed("duel", 1, 40.0, None)).await.unwrap().into_inner().rating.unwrap();
    assert_eq!((again.skill, again.match_count), (40.0, 0), "it is safe to repeat");
    let seeded = server.seed_rating(seed("duel", 1, 30.0, Some(2.0))).await.unwrap().into_inner().rating.unwrap();
    assert_eq!((seeded.skill, seeded.uncertainty), (30.0, 2.0));
    assert_eq!(rating(&mut client, "duel", 1).await.unwrap(), seeded);
    for (skill, uncertainty, field) in [
        (f64::NAN, None, "skill"),
        (f64::INFINITY, None, "skill"),
        (-1e10, None, "skill"),
        (1.0, Some(0.0), "uncertainty"),
        (1.0, Some(f64::NAN), "uncertainty"),
        (1.0, Some(f64::INFINITY), "uncertainty"),
    ] {
        let refused = server.seed_rating(seed("duel", 1, skill, uncertainty)).await.unwrap_err();
        assert_eq!((told(&refused).1.as_str(), told(&refused).2), ("INVALID_FIELD", vec![field.to_owned()]));
    }
    let refused = server.seed_rating(seed("casual", 1, 1.0, None)).await.unwrap_err();
    assert_eq!(told(&refused).1, "QUEUE_NOT_RATED");
}

/// A match has changed the rating of a player.
async fn play(world: &World, key: &str, number: u128, offset: i64) {
    let session = Uuid::from_u128(70 + u128::try_from(offset).unwrap());
    let change = RatingChange {
        player: player(number),
        queue: queue(key),
        from_version: 0,
        rating: Rating::new(27.0, 7.0).unwrap(),
        match_count: 1,
        session,
        skill_change: 2.0,
        at: world.now() + Duration::from_secs(u64::try_from(offset).unwrap()),
    };
    let expected = (offset > 0).then_some(offset);
    let (changes, counted) = (vec![change], vec![session]);
    let results = Results { expected, next_offset: offset + 1, changes, counted, ..Results::default() };
    assert_eq!(world.ratings.apply(&results, world.now()).await.unwrap(), Applied::Done);
}

#[tokio::test]
async fn ratings_that_matches_changed_are_listed_and_not_seeded() {
    let world = World::start().await;
    play(&world, "duel", 1, 0).await;
    let refused = world.harness.client(player(9), Role::Admin).seed_rating(seed("duel", 1, 1.0, None)).await;
    assert_eq!(told(&refused.unwrap_err()).1, "RATING_IN_USE");
    let mut client = world.harness.player(1);
    let shown = rating(&mut client, "duel", 1).await.unwrap();
    assert_eq!((shown.skill, shown.match_count, shown.last_skill_change), (27.0, 1, 2.0));
    assert_eq!(shown.last_session_id, Uuid::from_u128(70).to_string());

    for (offset, key) in ["siege", "casual", "old-1", "old-2"].into_iter().enumerate() {
        play(&world, key, 1, i64::try_from(offset).unwrap() + 1).await;
    }
    let mut request = api::ListRatingsRequest { player_id: player(1).to_string(), page_size: 2, ..Default::default() };
    let mut listed = Vec::new();
    loop {
        let page = client.list_ratings(request.clone()).await.unwrap().into_inner();
        assert!(page.ratings.len() <= 2);
        listed.extend(page.ratings.into_iter().map(|rating| rating.queue_key));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, ["old-2", "old-1", "casual", "siege", "duel"]);
    let elsewhere = api::ListRatingsRequest { game_id: Uuid::from_u128(4).to_string(), ..request.clone() };
    assert!(client.list_ratings(elsewhere).await.unwrap().into_inner().ratings.is_empty());
    let bad = api::ListRatingsRequest { page_token: "!".to_owned(), ..request.clone() };
    assert_eq!(told(&client.list_ratings(bad).await.unwrap_err()).2, ["page_token"]);
    let bad = api::ListRatingsRequest { page_size: 101, ..request };
    assert_eq!(told(&client.list_ratings(bad).await.unwrap_err()).2, ["page_size"]);
}

#[tokio::test]
async fn a_ticket_waits_with_its_ratings() {
    let world = World::start().await;
    world.harness.game.define(GAME, definition());
    let mut server = world.harness.client(player(9), Role::Server);
    server.seed_rating(seed("duel", 1, 40.0, Some(3.0))).await.unwrap();
    let (one, two) = (world.queued(1).await, world.queued(2).await);
    let stored = world.store.load(&[one, two]).await.unwrap();
    let ratings = stored.into_iter().map(|stored| stored.unwrap().ticket.players[0].rating);
    let expected = [Rating::new(40.0, 3.0), Rating::new(25.0, 25.0 / 3.0)].map(Option::unwrap);
    assert_eq!(ratings.collect::<Vec<_>>(), expected);
}

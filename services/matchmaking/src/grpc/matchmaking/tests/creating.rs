//! Creating tickets.

use std::collections::HashMap;

use pkg_api::game::v1::attribute_value::Kind;
use pkg_api::game::v1::{AttributeValue, Region};
use pkg_api::matchmaking::v1::{self as api, TicketEndReason, TicketStatus};
use pkg_auth::Role;
use tonic::Code;
use uuid::Uuid;

use crate::grpc::harness::{Client, GAME, World, fact, player, told, until, wish};

const SERVER: Uuid = Uuid::from_u128(900);
const ADMIN: Uuid = Uuid::from_u128(901);

async fn create(client: &mut Client, request: api::CreateTicketRequest) -> api::Ticket {
    client.create_ticket(request).await.expect("it is created").into_inner().ticket.expect("a ticket")
}

async fn refused(client: &mut Client, request: api::CreateTicketRequest) -> (Code, String, Vec<String>) {
    told(&client.create_ticket(request).await.expect_err("it is refused"))
}

fn invalid(field: &str) -> (Code, String, Vec<String>) {
    (Code::InvalidArgument, "INVALID_FIELD".to_owned(), vec![field.to_owned()])
}

fn reason(code: Code, reason: &str) -> (Code, String, Vec<String>) {
    (code, reason.to_owned(), Vec::new())
}

fn latency(region: Region, millis: i64) -> api::RegionLatency {
    let nanos = i32::try_from(millis % 1_000 * 1_000_000).unwrap();
    let latency = Some(prost_types::Duration { seconds: millis / 1_000, nanos });
    api::RegionLatency { region: region.into(), latency }
}

fn level(number: i64) -> HashMap<String, AttributeValue> {
    HashMap::from([("level".to_owned(), AttributeValue { kind: Some(Kind::IntValue(number)) })])
}

/// A player who may play a siege.
fn besieger(id: Option<Uuid>) -> api::TicketPlayer {
    let latencies = vec![latency(Region::EuWest, 20)];
    api::TicketPlayer { player_id: id.map(|id| id.to_string()).unwrap_or_default(), latencies, properties: level(7) }
}

fn siege(players: Vec<api::TicketPlayer>) -> api::CreateTicketRequest {
    api::CreateTicketRequest { players, ..wish("siege") }
}

#[tokio::test]
async fn a_ticket_says_what_it_waits_for() {
    let world = World::start().await;
    let regions = vec![Region::EuWest.into()];
    let request = api::CreateTicketRequest { regions: regions.clone(), ..siege(vec![besieger(None)]) };
    let ticket = create(&mut world.harness.player(1), request).await;
    assert_eq!((ticket.status(), ticket.end_reason()), (TicketStatus::Queued, TicketEndReason::Unspecified));
    assert_eq!((ticket.game_id, ticket.queue_key.as_str()), (GAME.to_string(), "siege"));
    assert_eq!(ticket.players, [besieger(Some(player(1)))]);
    assert_eq!((ticket.regions, ticket.definition_revision), (regions, 1));
    let (created, expires) = (ticket.create_time.unwrap(), ticket.expire_time.unwrap());
    assert_eq!(created.seconds, world.now().unix_timestamp());
    assert_eq!(expires.seconds - created.seconds, 300);
    assert_eq!((ticket.end_time, ticket.r#match, ticket.estimated_wait), (None, None, None));
    until(async || world.harness.game.queued(player(1), GAME).filter(|queued| *queued)).await;
}

#[tokio::test]
async fn a_repeated_call_has_the_same_answer_whatever_came_of_it() {
    let world = World::start().await;
    let mut client = world.harness.player(1);
    let id = world.harness.ambient.id();
    let request = api::CreateTicketRequest { ticket_id: id.to_string(), ..wish("duel") };
    let ticket = create(&mut client, request.clone()).await;
    assert_eq!(create(&mut client, request.clone()).await, ticket);

    let other = api::CreateTicketRequest { queue_key: "casual".to_owned(), ..request.clone() };
    let taken = (Code::AlreadyExists, "TICKET_ID_TAKEN".to_owned(), vec!["ticket_id".to_owned()]);
    assert_eq!(refused(&mut client, other).await, taken);
    assert_eq!(refused(&mut world.harness.player(2), request.clone()).await, taken, "it is another player's");

    let second = world.queued(2).await;
    let made = world.claim(&[(1, id), (2, second)]).await;
    world.record(&made).await;
    world.acknowledge(&made).await;
    let matched = create(&mut client, request.clone()).await;
    assert_eq!(matched.status(), TicketStatus::Matched);
    assert_eq!(matched.r#match.unwrap().session_id, made.session.to_string());

    let error = client.create_ticket(wish("duel")).await.unwrap_err();
    assert_eq!(told(&error), reason(Code::FailedPrecondition, "ALREADY_IN_MATCH"));
    assert_eq!(fact(&error, "session_id"), made.session.to_string());
    assert_eq!(fact(&error, "player_id"), player(1).to_string());

    world.harness.game.archive(GAME);
    until(async || {
        let refused = world.harness.player(9).create_ticket(wish("duel")).await.err();
        refused.filter(|status| told(status) == reason(Code::FailedPrecondition, "GAME_ARCHIVED"))
    })
    .await;
    assert_eq!(create(&mut client, request).await.status(), TicketStatus::Matched);
}

#[tokio::test]
async fn a_player_has_one_ticket_in_a_game() {
    let world = World::start().await;
    let ticket = world.queued(1).await;
    let error = world.harness.player(1).create_ticket(wish("casual")).await.unwrap_err();
    assert_eq!(told(&error), reason(Code::FailedPrecondition, "ALREADY_QUEUED"));
    assert_eq!(fact(&error, "ticket_id"), ticket.to_string());
    assert_eq!(fact(&error, "player_id"), player(1).to_string());
}

#[tokio::test]
async fn who_may_name_whom() {
    let world = World::start().await;
    let mut client = world.harness.player(1);
    let not_allowed = reason(Code::PermissionDenied, "PLAYERS_NOT_ALLOWED");
    assert_eq!(refused(&mut client, siege(vec![besieger(Some(player(2)))])).await, not_allowed);
    assert_eq!(
        refused(&mut client, siege(vec![besieger(Some(player(1))), besieger(Some(player(2)))])).await,
        not_allowed
    );
    let mut admin = world.harness.client(ADMIN, Role::Admin);
    assert_eq!(refused(&mut admin, siege(vec![besieger(Some(player(2)))])).await, not_allowed);

    let mut server = world.harness.client(SERVER, Role::Server);
    assert_eq!(refused(&mut server, siege(Vec::new())).await, invalid("players"));
    assert_eq!(refused(&mut server, siege(vec![besieger(None)])).await, invalid("players[0].player_id"));
    let twice = siege(vec![besieger(Some(player(1))), besieger(Some(player(1)))]);
    assert_eq!(refused(&mut server, twice).await, invalid("players[1].player_id"));
    let too_many = siege((1..=3).map(|number| besieger(Some(player(number)))).collect());
    assert_eq!(refused(&mut server, too_many).await, invalid("players"));
    let far_too_many = siege((1..=101).map(|number| besieger(Some(player(number)))).collect());
    assert_eq!(refused(&mut server, far_too_many).await, invalid("players"));

    let party = create(&mut server, siege(vec![besieger(Some(player(1))), besieger(Some(player(2)))])).await;
    assert_eq!(party.players.len(), 2);
    let error = world.harness.player(2).create_ticket(wish("duel")).await.unwrap_err();
    assert_eq!(fact(&error, "ticket_id"), party.ticket_id);
    let own = create(&mut admin, wish("duel")).await;
    assert_eq!(own.players[0].player_id, ADMIN.to_string());
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let world = World::start().await;
    let mut client = world.harness.player(1);
    let no_game = api::CreateTicketRequest { game_id: Uuid::from_u128(1).to_string(), ..wish("duel") };
    assert_eq!(refused(&mut client, no_game).await, reason(Code::NotFound, "GAME_NOT_FOUND"));
    assert_eq!(refused(&mut client, wish("poker")).await, reason(Code::NotFound, "QUEUE_NOT_FOUND"));
    assert_eq!(refused(&mut client, wish("No queue")).await, invalid("queue_key"));
    let no_id = api::CreateTicketRequest { game_id: "duel".to_owned(), ..wish("duel") };
    assert_eq!(refused(&mut client, no_id).await, invalid("game_id"));
    let old_id = api::CreateTicketRequest { ticket_id: Uuid::from_u128(7).to_string(), ..wish("duel") };
    assert_eq!(refused(&mut client, old_id).await, invalid("ticket_id"));
}

#[tokio::test]
async fn what_the_rules_need_must_be_there() {
    let world = World::start().await;
    // Game servers have no limit of calls.
    let mut server = world.harness.client(SERVER, Role::Server);
    let with = |change: fn(&mut api::CreateTicketRequest)| {
        let mut request = siege(vec![besieger(Some(player(1))), besieger(Some(player(2)))]);
        change(&mut request);
        request
    };
    let float = |number: f64| AttributeValue { kind: Some(Kind::FloatValue(number)) };
    let mut nan = with(|_| {});
    nan.players[0].properties.insert("level".to_owned(), float(f64::NAN));
    let mut crowded = with(|_| {});
    crowded.players[1].properties.extend((0..16).map(|number| (format!("p{number}"), float(1.0))));
    let cases = [
        (with(|it| it.players[1].latencies.clear()), "players[1].latencies"),
        (with(|it| it.players[1].latencies[0] = latency(Region::EuWest, 101)), "players[1].latencies"),
        (with(|it| it.players[1].latencies[0] = latency(Region::NaEast, 20)), "players"),
        (with(|it| it.players[1].latencies[0] = latency(Region::EuWest, 10_001)), "players[1].latencies[0].latency"),
        (with(|it| it.players[1].latencies[0] = latency(Region::EuWest, -1)), "players[1].latencies[0].latency"),
        (with(|it| it.players[1].latencies[0].latency = None), "players[1].latencies[0].latency"),
        (with(|it| it.players[1].latencies[0].region = 99), "players[1].latencies[0].region"),
        (with(|it| it.players[1].latencies.push(latency(Region::EuWest, 1))), "players[1].latencies[1].region"),
        (with(|it| it.players[1].latencies = vec![latency(Region::Sa, 1); 14]), "players[1].latencies"),
        (with(|it| it.players[1].properties.clear()), "players[1].properties[level]"),
        (nan, "players[0].properties[level]"),
        (crowded, "players[1].properties"),
        (with(|it| it.players[0].player_id = "neo".to_owned()), "players[0].player_id"),
        (with(|it| it.regions = vec![Region::Sa.into()]), "regions"),
        (with(|it| it.regions = vec![0]), "regions[0]"),
        (with(|it| it.regions = vec![Region::Sa.into(), Region::Sa.into()]), "regions[1]"),
        (with(|it| it.regions = vec![1; 14]), "regions"),
    ];
    for (request, field) in cases {
        assert_eq!(refused(&mut server, request).await, invalid(field));
    }
    create(&mut server, with(|_| {})).await;
}

#[tokio::test]
async fn a_flood_of_tickets_is_slowed_down() {
    let world = World::start().await;
    let mut client = world.harness.player(1);
    let mut refusals = 0;
    for _ in 0..40 {
        match client.create_ticket(wish("duel")).await {
            Ok(_) => {}
            Err(status) if told(&status).1 == "RATE_LIMITED" => refusals += 1,
            Err(status) => assert_eq!(told(&status).1, "ALREADY_QUEUED"),
        }
    }
    assert!(refusals > 0);
    world.queued(2).await;
}

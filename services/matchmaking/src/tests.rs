//! The whole service in process, its workers included, beside a game service of the test's own.

use std::collections::BTreeSet;

use pkg_api::game::v1 as game_api;
use pkg_api::matchmaking::v1::get_active_match_response::Active;
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_api::matchmaking::v1::{self as api, TicketEndReason, TicketStatus};
use pkg_bus::{MemoryBus, Retentions};
use pkg_db::Database;
use pkg_log::sqlite::{Settings, SqliteLog};

use super::*;
use crate::grpc::harness::{Client, GAME, Ground, Harness, definition, in_time, player, until, wish};

fn embedded(ground: Ground) -> Service {
    let Ground { database, game, ambient } = ground;
    let Database::Sqlite(pool) = &database else { panic!("the embedded log is in SQLite") };
    build(Deps {
        tickets: Arc::new(MemoryTickets::new(ambient.clone())),
        matches: SqlMatches::new(database.clone()),
        ratings: SqlRatings::new(database.clone()),
        leases: SqlLeases::new(database.clone()),
        positions: SqlPositions::new(database.clone()),
        game,
        bus: Arc::new(MemoryBus::new(ambient.clone(), Retentions::default())),
        log: Arc::new(SqliteLog::start(pool.clone(), ambient.clone(), Settings::default())),
        stores: Vec::new(),
        ambient,
    })
}

async fn start() -> Harness {
    let harness = Harness::start(|ground| {
        let service = embedded(ground);
        service.verify_access(pkg_api::descriptors()).expect("the table fits the proto");
        service
    })
    .await;
    harness.game.define(GAME, definition());
    harness
}

async fn create(client: &mut Client, key: &str) -> api::Ticket {
    client.create_ticket(wish(key)).await.expect("it is created").into_inner().ticket.expect("a ticket")
}

/// Watches a ticket to its end.
async fn last(mut client: Client, ticket: api::Ticket) -> api::Ticket {
    in_time(async {
        let request = api::WatchTicketRequest { ticket_id: ticket.ticket_id.clone() };
        let mut stream = client.watch_ticket(request).await.expect("it is watched").into_inner();
        let mut last = ticket;
        while let Some(told) = stream.message().await.expect("it ends in order") {
            if let Some(Message::Ticket(ticket)) = told.message {
                last = ticket;
            }
        }
        last
    })
    .await
}

#[tokio::test]
async fn two_who_fit_are_matched_and_have_a_session() {
    let harness = start().await;
    let (mut one, mut two) = (harness.player(1), harness.player(2));
    let (first, second) = (create(&mut one, "duel").await, create(&mut two, "duel").await);
    let (first, second) = tokio::join!(last(one.clone(), first), last(two.clone(), second));
    assert_eq!((first.status(), second.status()), (TicketStatus::Matched, TicketStatus::Matched));
    let found = first.r#match.expect("a match");
    assert_eq!(second.r#match.as_ref(), Some(&found));
    let seated: BTreeSet<String> = found.teams.iter().flat_map(|team| team.player_ids.clone()).collect();
    assert_eq!(seated, BTreeSet::from([player(1), player(2)].map(|id| id.to_string())));
    assert_eq!(found.session_cursor, "begin");
    assert_eq!(found.teams[0].win_probability, Some(0.5));
    let session = harness.game.sessions().remove(&found.session_id).expect("the session is there");
    assert_eq!((session.match_id, session.queue_key.as_str()), (found.match_id.clone(), "duel"));

    let request = api::GetActiveMatchRequest { game_id: GAME.to_string(), ..Default::default() };
    let active = one.get_active_match(request).await.unwrap().into_inner().active;
    assert_eq!(active, Some(Active::Match(found)));
    let request = api::GetQueueStatsRequest { game_id: GAME.to_string(), queue_key: "duel".to_owned() };
    let stats = until(async || {
        let stats = harness.player(3).get_queue_stats(request.clone()).await.ok()?.into_inner().stats?;
        (stats.match_count == 1).then_some(stats)
    })
    .await;
    assert_eq!((stats.ticket_count, stats.player_count), (0, 0));
    in_time(harness.drain()).await;
}

#[tokio::test]
async fn a_queue_that_is_removed_ends_its_tickets() {
    let harness = start().await;
    let mut client = harness.player(1);
    let ticket = create(&mut client, "duel").await;
    let watching = tokio::spawn(last(client, ticket));
    let mut without: game_api::GameDefinition = definition();
    without.queues.retain(|queue| queue.key != "duel");
    harness.game.define(GAME, without);
    let ended = in_time(watching).await.unwrap();
    assert_eq!((ended.status(), ended.end_reason()), (TicketStatus::Refused, TicketEndReason::QueueClosed));
}

#[tokio::test]
async fn hundreds_at_once_are_all_matched_once() {
    const PLAYERS: u128 = 300;
    let harness = start().await;
    let players = (1..=PLAYERS).map(|number| {
        let mut client = harness.player(number);
        async move {
            let ticket = create(&mut client, "duel").await;
            last(client, ticket).await
        }
    });
    let ended = in_time(futures::future::join_all(players)).await;
    let mut sessions: Vec<String> = Vec::new();
    for ticket in ended {
        assert_eq!(ticket.status(), TicketStatus::Matched);
        sessions.push(ticket.r#match.expect("a match").session_id);
    }
    sessions.sort();
    for pair in sessions.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 150);
    assert_eq!(harness.game.sessions().into_keys().collect::<Vec<_>>(), sessions);
}

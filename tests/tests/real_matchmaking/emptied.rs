//! Redis forgets everything: who waited is told so by name, and may wait again.

use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::game::v1::queue_definition::Format;
use pkg_api::game::v1::{FreeForAllFormat, QueueDefinition};
use pkg_api::matchmaking::v1::{TicketEndReason, TicketStatus};
use system_tests::{Deployment, RedisServer, duel, eventually, game_of, refusal};
use tokio::time::sleep;
use tonic::Code;

use crate::checker::Wipes;
use crate::storm::Storm;
use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn tickets_that_were_lost_end_by_name_and_nobody_is_locked_out() {
    const WAITING: usize = 12;
    const CROWD: i32 = 16;
    let redis = RedisServer::start();
    let system = System::on(Deployment::of_matches_with_redis(redis.url()).await);
    let client = system.client();
    // More than there are.
    let format = Format::FreeForAll(FreeForAllFormat { min_players: CROWD, max_players: CROWD });
    let crowd = QueueDefinition { key: "crowd".to_owned(), format: Some(format), ..QueueDefinition::default() };
    let game = system.game(game_of(vec![crowd, duel("duel")])).await;
    let players: Vec<_> = (0..WAITING).map(|_| system.player()).collect();
    let mut tickets = Vec::new();
    for player in &players {
        tickets.push(client.queue_up(player, &game, "crowd").await.unwrap().ticket_id);
    }
    let watching: Vec<_> = players
        .iter()
        .zip(&tickets)
        .skip(1)
        .map(|(player, ticket)| {
            let (client, player, ticket) = (client.clone(), player.clone(), ticket.clone());
            tokio::spawn(async move { client.end_of_ticket(&player, &ticket).await })
        })
        .collect();
    eventually("all of them wait", async || {
        let ticket = client.get_ticket(&players[0], &tickets[0]).await.unwrap();
        let missing = ticket.unmet_rules.first().map(|rule| rule.count);
        (missing == Some(CROWD - i32::try_from(WAITING).unwrap())).then_some(())
    })
    .await;

    redis.empty();
    for watched in watching {
        let ended = watched.await.unwrap();
        assert_eq!((ended.status(), ended.end_reason()), (TicketStatus::Lost, TicketEndReason::QueueLost), "{ended:?}");
    }
    let unknown = client.get_ticket(&players[0], &tickets[0]).await.unwrap_err();
    assert_eq!(refusal(&unknown), (Code::NotFound, "TICKET_NOT_FOUND".to_owned()));

    // All of them, in another queue and in the same one.
    for pair in players.chunks(2) {
        let [one, two] = pair else { panic!("they are even") };
        let first = client.queue_up(one, &game, "duel").await.unwrap();
        let second = client.queue_up(two, &game, "duel").await.unwrap();
        let found = client.match_of_ticket(one, &first.ticket_id).await;
        assert_eq!(client.match_of_ticket(two, &second.ticket_id).await, found);
    }
    let late = system.player();
    assert_eq!(client.queue_up(&late, &game, "crowd").await.unwrap().status(), TicketStatus::Queued);
}

/// Claims and sessions are under way each time: what is recorded goes on from the database, and nobody is held by a session
/// that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn matches_under_way_are_finished_or_come_to_nothing() {
    const TIMES: usize = 3;
    const BETWEEN: Duration = Duration::from_secs(3);
    let redis = RedisServer::start();
    let mut system = System::on(Deployment::of_matches_with_redis(redis.url()).await);
    let storm = Storm { players: 60, tickets: 200, may_be_lost: true };
    let faults = async |_: &mut System| {
        let mut wipes = Wipes::default();
        for _ in 0..TIMES {
            sleep(BETWEEN).await;
            redis.empty();
            wipes.note(Ambient::system().now());
        }
        wipes
    };
    let outcome = storm.play(&mut system, faults).await;
    assert!(outcome.matched > 0 && outcome.lost > 0, "{outcome:?}");
}

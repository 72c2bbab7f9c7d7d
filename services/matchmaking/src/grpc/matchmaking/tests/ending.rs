//! Reading and cancelling tickets.

use pkg_api::matchmaking::v1::{self as api, TicketEndReason, TicketStatus};
use pkg_auth::Role;
use tonic::Code;
use uuid::Uuid;

use crate::grpc::harness::{Client, GAME, World, news_of, next_ticket, player, told, until, wish};
use crate::store::{EndReason, TicketStore};

async fn get(client: &mut Client, id: Uuid) -> Result<api::Ticket, String> {
    let answer = client.get_ticket(api::GetTicketRequest { ticket_id: id.to_string() }).await;
    answer.map(|answer| answer.into_inner().ticket.unwrap()).map_err(|status| told(&status).1)
}

async fn cancel(client: &mut Client, id: Uuid) -> Result<api::Ticket, (Code, String)> {
    let answer = client.cancel_ticket(api::CancelTicketRequest { ticket_id: id.to_string() }).await;
    answer.map(|answer| answer.into_inner().ticket.unwrap()).map_err(|status| {
        let (code, reason, _) = told(&status);
        (code, reason)
    })
}

#[tokio::test]
async fn a_ticket_is_the_business_of_its_players_servers_and_admins() {
    let world = World::start().await;
    let ticket = world.queued(1).await;
    for (user, role) in [(1, Role::Player), (9, Role::Server), (9, Role::Admin)] {
        let mut client = world.harness.client(player(user), role);
        assert_eq!(get(&mut client, ticket).await.unwrap().status(), TicketStatus::Queued);
    }
    let mut stranger = world.harness.player(2);
    assert_eq!(get(&mut stranger, ticket).await.unwrap_err(), "TICKET_NOT_FOUND");
    assert_eq!(get(&mut stranger, Uuid::from_u128(5)).await.unwrap_err(), "TICKET_NOT_FOUND");
    let not_found = (Code::NotFound, "TICKET_NOT_FOUND".to_owned());
    assert_eq!(cancel(&mut stranger, ticket).await.unwrap_err(), not_found);
    assert_eq!(cancel(&mut stranger, Uuid::from_u128(5)).await.unwrap_err(), not_found);
}

#[tokio::test]
async fn a_cancelled_ticket_is_told_and_its_player_is_free() {
    let world = World::start().await;
    let mut news = news_of(&*world.bus, player(1)).await;
    let ticket = world.queued(1).await;
    until(async || world.harness.game.queued(player(1), GAME).filter(|queued| *queued)).await;
    let mut client = world.harness.player(1);
    let cancelled = cancel(&mut client, ticket).await.unwrap();
    assert_eq!((cancelled.status(), cancelled.end_reason()), (TicketStatus::Cancelled, TicketEndReason::Cancelled));
    assert!(cancelled.end_time.is_some());
    assert_eq!(cancel(&mut client, ticket).await.unwrap(), cancelled, "it is safe to repeat");
    assert_eq!(next_ticket(&mut news).await, cancelled);
    assert_eq!(get(&mut client, ticket).await.unwrap(), cancelled);
    until(async || world.harness.game.queued(player(1), GAME).filter(|queued| !*queued)).await;
    assert_ne!(world.queued(1).await, ticket);
}

#[tokio::test]
async fn what_is_being_matched_or_has_ended_is_not_cancelled() {
    let world = World::start().await;
    let (one, two, three) = (world.queued(1).await, world.queued(2).await, world.queued(3).await);
    let made = world.claim(&[(1, one), (2, two)]).await;
    let mut client = world.harness.player(1);
    assert_eq!(get(&mut client, one).await.unwrap().status(), TicketStatus::Matching);
    let matched = (Code::FailedPrecondition, "TICKET_MATCHED".to_owned());
    assert_eq!(cancel(&mut client, one).await.unwrap_err(), matched);
    world.record(&made).await;
    world.acknowledge(&made).await;
    assert_eq!(cancel(&mut client, one).await.unwrap_err(), matched);
    let shown = get(&mut client, one).await.unwrap();
    assert_eq!(shown.status(), TicketStatus::Matched);
    let found = shown.r#match.unwrap();
    assert_eq!((found.match_id, found.session_cursor.as_str()), (made.id.to_string(), "begin"));
    assert_eq!(found.teams[1].player_ids, [player(2).to_string()]);

    world.store.end(&[three], EndReason::WaitedTooLong, world.now()).await.unwrap();
    let ended = (Code::FailedPrecondition, "TICKET_ENDED".to_owned());
    assert_eq!(cancel(&mut world.harness.player(3), three).await.unwrap_err(), ended);
    let shown = get(&mut world.harness.player(3), three).await.unwrap();
    assert_eq!((shown.status(), shown.end_reason()), (TicketStatus::Expired, TicketEndReason::WaitedTooLong));
}

#[tokio::test]
async fn a_ticket_that_the_store_lost_is_found_by_its_match() {
    let world = World::start().await;
    let (one, two, three) = (world.queued(1).await, world.queued(2).await, world.queued(3).await);
    let made = world.claim(&[(1, one), (2, two)]).await;
    world.record(&made).await;
    world.store.lose_everything();
    let shown = get(&mut world.harness.player(1), one).await.unwrap();
    assert_eq!((shown.status(), shown.players[0].player_id.clone()), (TicketStatus::Matched, player(1).to_string()));
    assert_eq!(shown.r#match.unwrap().session_id, made.session.to_string());
    assert_eq!(get(&mut world.harness.player(2), one).await.unwrap_err(), "TICKET_NOT_FOUND");
    let matched = (Code::FailedPrecondition, "TICKET_MATCHED".to_owned());
    assert_eq!(cancel(&mut world.harness.player(1), one).await.unwrap_err(), matched);
    assert_eq!(get(&mut world.harness.player(3), three).await.unwrap_err(), "TICKET_NOT_FOUND");
    world.harness.player(3).create_ticket(wish("duel")).await.expect("nothing holds the player");
}

//! What a player waits for or plays, found again.

use pkg_api::matchmaking::v1::get_active_match_response::Active;
use pkg_api::matchmaking::v1::{GetActiveMatchRequest, TicketStatus};
use pkg_auth::Role;
use tonic::Status;
use uuid::Uuid;

use crate::grpc::harness::{Client, GAME, World, player, told};
use crate::store::SeatRelease;

async fn active(client: &mut Client, game: Uuid, of: &str) -> Result<Option<Active>, Status> {
    let request = GetActiveMatchRequest { game_id: game.to_string(), player_id: of.to_owned() };
    client.get_active_match(request).await.map(|answer| answer.into_inner().active)
}

fn session(active: Option<Active>) -> String {
    match active {
        Some(Active::Match(found)) => found.session_id,
        other => panic!("{other:?} is not a match"),
    }
}

fn ticket(active: Option<Active>) -> (String, TicketStatus) {
    match active {
        Some(Active::Ticket(ticket)) => (ticket.ticket_id.clone(), ticket.status()),
        other => panic!("{other:?} is not a ticket"),
    }
}

#[tokio::test]
async fn ticket_and_match_are_found_again() {
    let world = World::start().await;
    let mut client = world.harness.player(1);
    assert_eq!(active(&mut client, GAME, "").await.unwrap(), None);
    let (one, two) = (world.queued(1).await, world.queued(2).await);
    let found = active(&mut client, GAME, "").await.unwrap();
    assert_eq!(ticket(found), (one.to_string(), TicketStatus::Queued));

    let made = world.claim(&[(1, one), (2, two)]).await;
    let found = active(&mut client, GAME, &player(1).to_string()).await.unwrap();
    assert_eq!(ticket(found), (one.to_string(), TicketStatus::Matching));
    world.record(&made).await;
    assert_eq!(session(active(&mut client, GAME, "").await.unwrap()), made.session.to_string());
    world.store.lose_everything();
    assert_eq!(session(active(&mut client, GAME, "").await.unwrap()), made.session.to_string());

    let release = SeatRelease { session: made.session, player: Some(player(1)) };
    world.matches.release(&[release], world.now()).await.unwrap();
    assert_eq!(active(&mut client, GAME, "").await.unwrap(), None);
}

#[tokio::test]
async fn servers_and_admins_ask_for_others() {
    let world = World::start().await;
    let one = world.queued(1).await;
    let of = player(1).to_string();
    for role in [Role::Server, Role::Admin] {
        let found = active(&mut world.harness.client(player(9), role), GAME, &of).await.unwrap();
        assert_eq!(ticket(found), (one.to_string(), TicketStatus::Queued));
    }
    let refused = active(&mut world.harness.player(2), GAME, &of).await.unwrap_err();
    assert_eq!(told(&refused).1, "PLAYERS_NOT_ALLOWED");
    let refused = active(&mut world.harness.client(player(9), Role::Server), GAME, "").await.unwrap_err();
    assert_eq!(told(&refused).2, ["player_id"]);
    let refused = active(&mut world.harness.player(1), Uuid::from_u128(3), "").await.unwrap_err();
    assert_eq!(told(&refused).1, "GAME_NOT_FOUND");
}

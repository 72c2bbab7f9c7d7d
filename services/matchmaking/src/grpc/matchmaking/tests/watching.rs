//! Watching tickets.

use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_api::matchmaking::v1::{self as api, MatchRule, TicketEndReason, TicketStatus};
use pkg_auth::Role;
use tonic::Streaming;
use uuid::Uuid;

use crate::grpc::harness::{Client, GAME, World, in_time, news_of, next_ticket, player, queue, told, until};
use crate::matcher::{Unmet, UnmetRule};
use crate::store::{EndReason, Explanation, GiveBack, TicketStore};
use crate::ticket_message::write_unmet;

type Stream = Streaming<api::WatchTicketResponse>;

async fn watch(mut client: Client, id: Uuid) -> Stream {
    let request = api::WatchTicketRequest { ticket_id: id.to_string() };
    client.watch_ticket(request).await.expect("it is watched").into_inner()
}

/// What comes next but heartbeats.
async fn next(stream: &mut Stream) -> Option<Message> {
    in_time(async {
        loop {
            match stream.message().await.expect("it ends in order")?.message.expect("a message") {
                Message::Heartbeat(_) => {}
                message => return Some(message),
            }
        }
    })
    .await
}

/// The next ticket with this status.
async fn ticket(stream: &mut Stream, status: TicketStatus) -> api::Ticket {
    loop {
        match next(stream).await {
            Some(Message::Ticket(ticket)) if ticket.status() == status => return ticket,
            Some(Message::Ticket(_)) => {}
            other => panic!("{other:?} instead of a ticket that is {status:?}"),
        }
    }
}

#[tokio::test]
async fn a_ticket_is_watched_to_its_match() {
    let world = World::start().await;
    let (one, two) = (world.queued(1).await, world.queued(2).await);
    let mut streams = [watch(world.harness.player(1), one).await, watch(world.harness.player(1), one).await];
    for stream in &mut streams {
        assert_eq!(ticket(stream, TicketStatus::Queued).await.ticket_id, one.to_string());
    }
    let made = world.claim(&[(1, one), (2, two)]).await;
    for stream in &mut streams {
        ticket(stream, TicketStatus::Matching).await;
    }
    let given_back = GiveBack { match_id: made.id, end: Vec::new() };
    world.store.give_back(&queue("duel"), 1, &[given_back], world.now()).await.unwrap().unwrap();
    for stream in &mut streams {
        ticket(stream, TicketStatus::Queued).await;
    }
    let made = world.claim(&[(1, one), (2, two)]).await;
    world.record(&made).await;
    world.acknowledge(&made).await;
    for stream in &mut streams {
        let matched = ticket(stream, TicketStatus::Matched).await;
        assert_eq!(matched.r#match.unwrap().session_id, made.session.to_string());
        assert_eq!(next(stream).await, None, "the stream ends after the last status");
    }
    let mut late = watch(world.harness.player(2), two).await;
    ticket(&mut late, TicketStatus::Matched).await;
    assert_eq!(next(&mut late).await, None);
    until(async || world.harness.game.queued(player(1), GAME).filter(|queued| !*queued)).await;
}

#[tokio::test]
async fn those_who_may_not_see_a_ticket_do_not_watch_it() {
    let world = World::start().await;
    let one = world.queued(1).await;
    for id in [one, Uuid::from_u128(3)] {
        let request = api::WatchTicketRequest { ticket_id: id.to_string() };
        let refused = world.harness.player(2).watch_ticket(request).await.expect_err("it is refused");
        assert_eq!(told(&refused).1, "TICKET_NOT_FOUND");
    }
}

#[tokio::test]
async fn ends_are_told_with_their_reason() {
    let world = World::start().await;
    for (number, reason, status, told) in [
        (1, EndReason::WaitedTooLong, TicketStatus::Expired, TicketEndReason::WaitedTooLong),
        (2, EndReason::PlayerGone, TicketStatus::Expired, TicketEndReason::PlayerGone),
        (3, EndReason::AlreadyInMatch, TicketStatus::Refused, TicketEndReason::AlreadyInMatch),
        (4, EndReason::QueueClosed, TicketStatus::Refused, TicketEndReason::QueueClosed),
        (5, EndReason::RulesChanged, TicketStatus::Refused, TicketEndReason::RulesChanged),
        (6, EndReason::AccountGone, TicketStatus::Refused, TicketEndReason::AccountGone),
        (7, EndReason::Cancelled, TicketStatus::Cancelled, TicketEndReason::Cancelled),
    ] {
        let id = world.queued(number).await;
        let mut stream = watch(world.harness.player(number), id).await;
        world.store.end(&[id], reason, world.now()).await.unwrap();
        let ended = ticket(&mut stream, status).await;
        assert_eq!(ended.end_reason(), told);
        assert!(ended.end_time.is_some());
        assert_eq!(next(&mut stream).await, None);
    }
}

#[tokio::test]
async fn who_watches_gives_a_sign_of_life_and_is_told_why_it_takes_long() {
    let world = World::start().await;
    let (one, two) = (world.queued(1).await, world.queued(2).await);
    let mut stream = watch(world.harness.player(1), one).await;
    let _admin = watch(world.harness.client(player(9), Role::Admin), two).await;
    world.harness.clock.advance(std::time::Duration::from_mins(1));
    let minute_ago = world.now() - std::time::Duration::from_secs(30);
    let gone = async || world.store.gone(&queue("duel"), minute_ago, 10).await.unwrap();
    until(async || (gone().await == [two]).then_some(())).await;
    assert_eq!(world.store.asked(&queue("duel"), minute_ago, 10).await.unwrap(), [one]);

    let unmet = Unmet { rule: UnmetRule::Property("level".to_owned()), count: 3, limit: Some(0.5), relaxed: None };
    let why = Explanation { ticket: one, why: write_unmet(&[unmet]) };
    world.store.explain(&queue("duel"), &[why]).await.unwrap();
    let told = loop {
        let told = ticket(&mut stream, TicketStatus::Queued).await;
        if !told.unmet_rules.is_empty() {
            break told.unmet_rules;
        }
    };
    assert_eq!((told[0].rule(), told[0].property.as_str()), (MatchRule::Property, "level"));
    assert_eq!((told[0].count, told[0].limit), (3, Some(0.5)));
}

#[tokio::test]
async fn what_the_store_lost_is_lost_by_name_or_matched() {
    let world = World::start().await;
    let (one, two, three) = (world.queued(1).await, world.queued(2).await, world.queued(3).await);
    let mut news = news_of(&*world.bus, player(3)).await;
    let mut matched = watch(world.harness.player(1), one).await;
    let mut lost = watch(world.harness.player(3), three).await;
    ticket(&mut matched, TicketStatus::Queued).await;
    let made = world.claim(&[(1, one), (2, two)]).await;
    world.record(&made).await;
    world.store.lose_everything();
    let told = ticket(&mut matched, TicketStatus::Matched).await;
    assert_eq!(told.r#match.unwrap().match_id, made.id.to_string());
    let told = ticket(&mut lost, TicketStatus::Lost).await;
    assert_eq!(told.end_reason(), TicketEndReason::QueueLost);
    assert!(told.end_time.is_some());
    assert_eq!(next(&mut lost).await, None);
    assert_eq!(next_ticket(&mut news).await, told);
}

#[tokio::test]
async fn a_drain_sends_those_who_watch_elsewhere() {
    let world = World::start().await;
    let one = world.queued(1).await;
    let request = api::WatchTicketRequest { ticket_id: one.to_string() };
    let mut client = world.harness.connected_player(1).await;
    let mut stream = client.watch_ticket(request).await.unwrap().into_inner();
    ticket(&mut stream, TicketStatus::Queued).await;
    let drained = world.harness.drain();
    let ended = loop {
        match next(&mut stream).await {
            Some(Message::Ticket(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(ended, Some(Message::GoAway(_))), "{ended:?}");
    assert_eq!(next(&mut stream).await, None);
    drop((stream, client));
    drained.await;
}

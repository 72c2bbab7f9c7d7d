//! Tickets that end without a match, and what is told of those that wait.

use super::*;
use crate::grpc::harness::definition;
use crate::store::{EndOutcome, Sign};
use crate::ticket_message;
use crate::waits::Summary;

const CLOSED: TicketStatus = TicketStatus::Ended(EndReason::QueueClosed);

#[tokio::test]
async fn a_queue_that_is_removed_ends_its_tickets_and_takes_new_ones_when_it_is_back() {
    let world = World::start().await;
    let worker = Working::start(&world, 1);
    let one = world.queue(1).await;
    let mut without = definition();
    without.queues.retain(|queue| queue.key != "duel");
    world.game.define(GAME, without);
    world.until(one, |status| status == CLOSED).await;
    let late = world.queue(2).await;
    world.until(late, |status| status == CLOSED).await;

    world.game.define(GAME, definition());
    let mut numbers = 3..;
    let is_matched = async || {
        let ticket = world.queue(numbers.next()?).await;
        // Whoever comes before the worker knows is sent away.
        world.queue(numbers.next()?).await;
        let status = world.until(ticket, |status| matches!(status, TicketStatus::Matched(_) | CLOSED)).await;
        matches!(status, TicketStatus::Matched(_)).then_some(())
    };
    until(is_matched).await;
    worker.end().await;
}

#[tokio::test]
async fn a_ticket_that_new_rules_exclude_ends() {
    let world = World::start().await;
    let worker = Working::start(&world, 1);
    let one = world.queue(1).await;
    let mut stricter = definition();
    let property = pkg_api::game::v1::PropertyRule {
        property: "level".to_owned(),
        check: Some(pkg_api::game::v1::property_rule::Check::Equality(pkg_api::game::v1::PropertyEquality {})),
        ..Default::default()
    };
    stricter.queues.iter_mut().find(|queue| queue.key == "duel").unwrap().properties = vec![property];
    world.game.define(GAME, stricter);
    let ended = TicketStatus::Ended(EndReason::RulesChanged);
    world.until(one, |status| status == ended).await;
    worker.end().await;
}

#[tokio::test]
async fn a_ticket_whose_time_is_over_expires_and_its_player_is_told() {
    let world = World::start().await;
    let worker = Working::start(&world, 1);
    let mut news = world.bus.reader();
    news.follow(&pkg_bus::Topic::new(&format!("player/{}", player(1))).unwrap(), None).await.unwrap();
    let mut new = world.ticket(1);
    new.expires = new.ticket.created + Duration::from_secs(5);
    world.tickets.create(&new).await.unwrap();
    let ended = TicketStatus::Ended(EndReason::WaitedTooLong);
    world.until(new.ticket.id, |status| status == ended).await;
    let Delivery::Event(told) = news.next().await else { panic!("there is news") };
    let event = pkg_api::events::v1::Event::decode(&told.payload()[1..]).unwrap();
    let Some(Payload::TicketChanged(changed)) = event.payload else { panic!("the end is told") };
    let status = changed.ticket.unwrap().status();
    assert_eq!(status, pkg_api::matchmaking::v1::TicketStatus::Expired);
    worker.end().await;
}

#[tokio::test]
async fn who_cancels_is_not_matched_and_in_nobodys_way() {
    let world = World::start().await;
    let worker = Working::start(&world, 1);
    let one = world.queue(1).await;
    let outcome = world.tickets.end(&[one], EndReason::Cancelled, world.ambient.now()).await.unwrap();
    assert_eq!(outcome, [EndOutcome::Ended]);
    let (two, three) = (world.queue(2).await, world.queue(3).await);
    assert_eq!(world.matched(two).await, world.matched(three).await);
    assert_eq!(world.status(one).await, TicketStatus::Ended(EndReason::Cancelled));
    worker.end().await;
}

#[tokio::test]
async fn how_full_the_queue_is_and_why_a_ticket_waits_is_told() {
    let world = World::start().await;
    let worker = Working::start(&world, 1);
    let one = world.queue(1).await;
    world.tickets.sign(&[Sign { ticket: one, asks: true }], world.ambient.now()).await.unwrap();
    let summary = async || {
        let told = world.tickets.summary(&duel()).await.unwrap()?;
        serde_json::from_slice::<Summary>(&told).ok().filter(|summary| summary.tickets == 1)
    };
    let summary = until(summary).await;
    assert_eq!((summary.players, summary.oldest.is_some()), (1, true));
    // A sign every now and then, as a stream gives it.
    let why = async || {
        world.tickets.sign(&[Sign { ticket: one, asks: true }], world.ambient.now()).await.unwrap();
        world.stored(one).await.why
    };
    let unmet = ticket_message::read_unmet(&until(why).await);
    assert_eq!(unmet[0].rule(), pkg_api::matchmaking::v1::MatchRule::PlayerCount);
    worker.end().await;
}

//! One worker, and what it does with tickets.

mod crashes;
mod ends;
mod real_stores;

use std::time::Duration;

use pkg_api::events::v1::event::Payload;
use pkg_api::log::v1::record::Event;
use pkg_bus::Delivery;
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::testing::{World, duel, player, until};
use super::*;
use crate::grpc::harness::{GAME, Mood};
use crate::store::{Claim, Claimed, EndReason, Match, MatchState, Recorded, TicketStatus};

const LONG: Duration = Duration::from_hours(1);

/// A worker of "duel".
struct Working {
    tools: Arc<Tools>,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
    holder: Holder,
}

impl Working {
    fn start(world: &World, epoch: i64) -> Self {
        Self::start_until(world, epoch, Instant::now() + LONG)
    }

    fn start_until(world: &World, epoch: i64, until: Instant) -> Self {
        let tools = world.process();
        let (hold, holder) = Hold::new(epoch, until);
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(tools.clone(), duel(), hold, stop.clone()));
        Self { tools, stop, task, holder }
    }

    async fn end(self) -> Ended {
        self.stop.cancel();
        let ended = self.task.await.expect("it does not panic");
        self.tools.dispatcher.drain().await;
        ended
    }

    /// As if its process was killed.
    async fn kill(self) {
        self.task.abort();
        self.tools.dispatcher.cut_off().await;
        let _ = self.task.await;
    }
}

async fn claim(world: &World, made: &Match, deadline: Duration) {
    let claim = Claim { match_id: made.id, tickets: made.tickets(), deadline: world.ambient.now() + deadline };
    let claimed = world.tickets.claim(&made.queue, 1, &[claim]).await.unwrap();
    assert_eq!(claimed, Ok(vec![Claimed::Done]));
}

#[tokio::test]
async fn a_pair_is_matched_on_arrival_and_everybody_is_told() {
    let world = World::start().await;
    let worker = Working::start(&world, 1);
    let mut news = world.bus.reader();
    let topic = pkg_bus::Topic::new(&format!("player/{}", player(2))).unwrap();
    news.follow(&topic, None).await.unwrap();
    let (one, two) = (world.queue(1).await, world.queue(2).await);
    let id = world.matched(one).await;
    assert_eq!(world.matched(two).await, id);

    let found = world.matches.matches(&[id]).await.unwrap().pop().flatten().unwrap();
    assert_eq!((found.state, found.session_cursor.as_deref()), (MatchState::Dispatched, Some("begin")));
    let mut tickets = found.made.tickets();
    tickets.sort_unstable();
    assert_eq!(tickets, [one.min(two), one.max(two)]);
    let seats = world.matches.open_seats(GAME, &[player(1), player(2)]).await.unwrap();
    assert!(seats.len() == 2 && seats.iter().all(|seat| seat.session == found.made.session));
    let session = &world.sessions.created()[&found.made.session];
    assert_eq!((session.match_id.as_str(), session.teams.len()), (id.to_string().as_str(), 2));
    assert!(session.teams.iter().all(|team| !team.name.is_empty()));

    let Delivery::Event(told) = news.next().await else { panic!("there is news") };
    let event = pkg_api::events::v1::Event::decode(&told.payload()[1..]).unwrap();
    let Some(Payload::MatchFound(told)) = event.payload else { panic!("a match is told") };
    assert_eq!(told.ticket_id, two.to_string());
    assert_eq!(told.r#match.unwrap().session_cursor, "begin");
    let records = world.records(&duel()).await;
    let Some(Event::MatchMade(made)) = &records[0].event else { panic!("a match is recorded") };
    assert_eq!((records.len(), &records[0].record_id, &made.match_id), (1, &id.to_string(), &id.to_string()));
    assert_eq!(worker.end().await, Ended::Stopped);
}

#[tokio::test]
async fn what_waited_before_the_worker_came_is_matched() {
    let world = World::start().await;
    let mut tickets = Vec::new();
    for number in 0..100 {
        tickets.push(world.queue(number).await);
    }
    let worker = Working::start(&world, 1);
    for ticket in tickets {
        world.matched(ticket).await;
    }
    assert_eq!(world.sessions.created().len(), 50);
    worker.end().await;
}

#[tokio::test]
async fn a_session_that_cannot_be_created_now_is_created_later() {
    let world = World::start().await;
    world.sessions.be(Mood::Unavailable);
    let worker = Working::start(&world, 1);
    let (one, two) = (world.queue(1).await, world.queue(2).await);
    world.until(one, |status| matches!(status, TicketStatus::Matching(_))).await;
    // Longer than the worker tries by itself.
    until(async || (!worker.tools.in_flight.contains(match_in(&world, one).await)).then_some(())).await;
    world.sessions.be(Mood::Willing);
    assert_eq!(world.matched(one).await, world.matched(two).await);
    assert_eq!(world.sessions.created().len(), 1);
    worker.end().await;
}

async fn match_in(world: &World, ticket: uuid::Uuid) -> uuid::Uuid {
    match world.status(ticket).await {
        TicketStatus::Matching(id) | TicketStatus::Matched(id) => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tickets_of_a_match_whose_session_is_refused_wait_again() {
    let world = World::start().await;
    world.sessions.be(Mood::TooMany);
    let worker = Working::start(&world, 1);
    let (one, two) = (world.queue(1).await, world.queue(2).await);
    until(async || (world.sessions.refused() > 0).then_some(())).await;
    world.until(one, |status| status == TicketStatus::Queued).await;
    assert!(world.matches.open_seats(GAME, &[player(1), player(2)]).await.unwrap().is_empty());
    // Whoever reads of the match reads that it has ended.
    let mut sessions: Vec<String> = Vec::new();
    for record in world.records(&duel()).await {
        match record.event {
            Some(Event::MatchMade(made)) => sessions.push(made.session_id),
            Some(Event::SessionEnded(ended)) => {
                assert_eq!((&record.record_id, ended.player_ids.len()), (&ended.session_id, 0));
                sessions.retain(|session| *session != ended.session_id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sessions.is_empty(), "{sessions:?}");
    world.sessions.be(Mood::Willing);
    assert_eq!(world.matched(one).await, world.matched(two).await);
    assert_eq!(world.sessions.created().len(), 1);
    worker.end().await;
}

#[tokio::test]
async fn tickets_of_a_queue_that_is_gone_end() {
    let world = World::start().await;
    world.sessions.be(Mood::QueueGone);
    let worker = Working::start(&world, 1);
    let one = world.queue(1).await;
    world.queue(2).await;
    let ended = TicketStatus::Ended(EndReason::QueueClosed);
    world.until(one, |status| status == ended).await;
    worker.end().await;
}

#[tokio::test]
async fn who_has_a_seat_elsewhere_is_not_matched_and_the_other_waits_on() {
    let world = World::start().await;
    // The seats of a match whose tickets are not known to the store.
    let elsewhere = world.match_of([(1, world.ambient.id()), (9, world.ambient.id())]);
    let recorded = world.matches.record(std::slice::from_ref(&elsewhere), world.ambient.now()).await.unwrap();
    assert_eq!(recorded, [Recorded::Done]);
    let worker = Working::start(&world, 1);
    let (one, two) = (world.queue(1).await, world.queue(2).await);
    let ended = TicketStatus::Ended(EndReason::AlreadyInMatch);
    world.until(one, |status| status == ended).await;
    let three = world.queue(3).await;
    assert_eq!(world.matched(two).await, world.matched(three).await);
    worker.end().await;
}

#[tokio::test]
async fn a_claim_that_was_left_behind_is_finished_or_given_back() {
    let world = World::start().await;
    let tickets = [world.queue(1).await, world.queue(2).await, world.queue(3).await, world.queue(4).await];
    let recorded = world.match_of([(1, tickets[0]), (2, tickets[1])]);
    let forgotten = world.match_of([(3, tickets[2]), (4, tickets[3])]);
    for made in [&recorded, &forgotten] {
        claim(&world, made, Duration::ZERO).await;
    }
    world.matches.record(std::slice::from_ref(&recorded), world.ambient.now()).await.unwrap();
    let worker = Working::start(&world, 2);
    assert_eq!(world.matched(tickets[0]).await, recorded.id);
    let id = world.matched(tickets[2]).await;
    assert_ne!(id, forgotten.id);
    // Whoever left it behind comes too late.
    let late = world.matches.record(std::slice::from_ref(&forgotten), world.ambient.now()).await.unwrap();
    assert_eq!(late, [Recorded::Known(MatchState::Aborted)]);
    worker.end().await;
}

#[tokio::test]
async fn a_recorded_match_is_dispatched_also_when_the_tickets_are_lost() {
    let world = World::start().await;
    let made = world.match_of([(1, world.ambient.id()), (2, world.ambient.id())]);
    world.matches.record(std::slice::from_ref(&made), world.ambient.now()).await.unwrap();
    let worker = Working::start(&world, 1);
    until(async || world.sessions.created().contains_key(&made.session).then_some(())).await;
    let is_dispatched = async || {
        let found = world.matches.matches(&[made.id]).await.unwrap().pop().flatten()?;
        (found.state == MatchState::Dispatched).then_some(())
    };
    until(is_dispatched).await;
    worker.end().await;
}

#[tokio::test]
async fn who_lost_the_queue_stops_and_claims_nothing() {
    let world = World::start().await;
    let old = Working::start(&world, 1);
    let (one, two) = (world.queue(1).await, world.queue(2).await);
    world.matched(one).await;
    world.matched(two).await;
    let new = Working::start(&world, 2);
    let (three, four) = (world.queue(3).await, world.queue(4).await);
    assert_eq!(world.matched(three).await, world.matched(four).await);
    let fenced = tokio::time::timeout(Duration::from_secs(30), old.task).await.expect("it stops").unwrap();
    assert!(matches!(fenced, Ended::Fenced(by) if by.epoch == 2), "{fenced:?}");
    new.end().await;
}

#[tokio::test]
async fn while_the_lease_is_not_renewed_nothing_is_claimed() {
    let world = World::start().await;
    let worker = Working::start_until(&world, 1, Instant::now());
    let (one, two) = (world.queue(1).await, world.queue(2).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.status(one).await, TicketStatus::Queued);
    assert_eq!(worker.end().await, Ended::Stopped, "it ends while it waits");
    let worker = Working::start_until(&world, 1, Instant::now());
    worker.holder.renew(Instant::now() + LONG);
    assert_eq!(world.matched(one).await, world.matched(two).await);
    worker.end().await;
}

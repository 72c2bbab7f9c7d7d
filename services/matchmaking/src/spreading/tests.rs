use std::num::NonZeroUsize;

use tokio::task::JoinHandle;

use super::*;
use crate::grpc::harness::{GAME, definition};
use crate::store::SqlLeases;
use crate::worker::testing::{World, until};

/// A process that takes part.
struct Process {
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Process {
    fn start(world: &World) -> Self {
        let leases = Arc::new(SqlLeases::new(world.database.clone()));
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(Spreading::new(leases, world.process()).run(shutdown.clone()));
        Self { shutdown, running }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.running.await.expect("it does not panic");
    }
}

/// A world with so many queues of pairs: "q0", "q1" and so on.
async fn world(queues: NonZeroUsize) -> World {
    let world = World::start().await;
    let mut many = definition();
    let duel = many.queues[0].clone();
    let named = |number| pkg_api::game::v1::QueueDefinition { key: format!("q{number}"), ..duel.clone() };
    many.queues = (0..queues.get()).map(named).collect();
    world.game.define(GAME, many);
    world
}

fn queue(number: usize) -> QueueId {
    crate::grpc::harness::queue(&format!("q{number}"))
}

/// Waits until two who come to each queue are matched.
async fn check_served(world: &World, queues: usize, first: u128) {
    let mut tickets = Vec::new();
    for number in 0..queues {
        for place in 0..2 {
            let mut new = world.ticket(first + 2 * number as u128 + place);
            new.queue = queue(number);
            world.tickets.create(&new).await.unwrap();
            tickets.push(new.ticket.id);
        }
    }
    for ticket in tickets {
        world.matched(ticket).await;
    }
}

async fn owners(world: &World) -> HashMap<Uuid, usize> {
    crate::store::testing::lease_owners(&world.database).await
}

#[tokio::test]
async fn queues_are_shared_fairly_as_processes_come_and_go() {
    let world = world(NonZeroUsize::new(6).unwrap()).await;
    // Three more are those that the world began with: they are removed, and may have tickets to end.
    until(async || (world.queues.all().len() == 9).then_some(())).await;
    let shares = async || {
        let mut shares: Vec<usize> = owners(&world).await.into_values().collect();
        shares.sort_unstable();
        shares
    };
    let first = Process::start(&world);
    until(async || (shares().await == [9]).then_some(())).await;
    check_served(&world, 6, 0).await;
    let second = Process::start(&world);
    until(async || (shares().await == [4, 5]).then_some(())).await;
    let third = Process::start(&world);
    until(async || (shares().await == [3, 3, 3]).then_some(())).await;
    check_served(&world, 6, 100).await;

    let began = Instant::now();
    first.end().await;
    until(async || (shares().await == [4, 5]).then_some(())).await;
    assert!(began.elapsed() < LIFETIME, "who ends lets go: {:?}", began.elapsed());
    second.end().await;
    check_served(&world, 6, 200).await;
    third.end().await;
    assert!(owners(&world).await.is_empty());
}

#[tokio::test]
async fn the_queues_of_a_process_that_died_are_taken_when_its_leases_run_out() {
    let world = world(NonZeroUsize::new(2).unwrap()).await;
    let first = Process::start(&world);
    check_served(&world, 2, 0).await;
    first.running.abort();
    let _ = first.running.await;
    let second = Process::start(&world);
    check_served(&world, 2, 100).await;
    second.end().await;
}

#[tokio::test]
async fn a_queue_that_is_made_is_served_at_once() {
    let world = world(NonZeroUsize::MIN).await;
    let process = Process::start(&world);
    check_served(&world, 1, 0).await;
    let mut more = definition();
    more.queues[0].key = "q0".to_owned();
    let mut another = more.queues[0].clone();
    another.key = "q1".to_owned();
    more.queues.push(another);
    world.game.define(GAME, more);
    until(async || world.queues.known(GAME, &queue(1).key)).await;
    check_served(&world, 2, 100).await;
    process.end().await;
}

#[tokio::test]
async fn a_queue_without_a_definition_that_has_tickets_is_emptied() {
    let world = world(NonZeroUsize::MIN).await;
    let mut new = world.ticket(1);
    new.queue = queue(77);
    world.tickets.create(&new).await.unwrap();
    let process = Process::start(&world);
    let closed = crate::store::TicketStatus::Ended(crate::store::EndReason::QueueClosed);
    world.until(new.ticket.id, |status| status == closed).await;
    process.end().await;
}

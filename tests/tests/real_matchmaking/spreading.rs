//! Queues are spread over replicas, and have another one when theirs goes.

use std::time::{Duration, Instant};

use system_tests::{duel, eventually, game_of};

use crate::system::System;

const QUEUES: usize = 6;
/// What a lease lives, and what the others take to notice that it has ended: a replica that is killed lets nothing go.
const LEASE: Duration = Duration::from_secs(5);
const TO_NOTICE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn queues_of_a_killed_replica_are_served_by_the_others_and_shared_again_when_it_is_back() {
    let mut system = System::start().await;
    let client = system.client();
    let keys: Vec<_> = (0..QUEUES).map(|number| format!("duel-{number}")).collect();
    let game = system.game(game_of(keys.iter().map(|key| duel(key)).collect())).await;
    let half = QUEUES / 2;
    eventually("each has its share", async || (queues(&system) == [half, half]).then_some(())).await;

    // One waits in each queue, and those who come after the replica was killed find them.
    let mut waiting = Vec::new();
    for key in &keys {
        let player = system.player();
        waiting.push((client.queue_up(&player, &game, key).await.unwrap(), player));
    }
    system.kill(0);
    let killed = Instant::now();
    eventually("the other one has all", async || (system.queues(1) == QUEUES).then_some(())).await;
    assert!(killed.elapsed() < LEASE + TO_NOTICE, "only after {:?}", killed.elapsed());
    for (key, (ticket, player)) in keys.iter().zip(&waiting) {
        let other = system.player();
        let second = eventually("tickets are taken", async || client.queue_up(&other, &game, key).await.ok()).await;
        let found = client.match_of_ticket(player, &ticket.ticket_id).await;
        assert_eq!(client.match_of_ticket(&other, &second.ticket_id).await, found);
    }

    system.revive(0).await;
    eventually("each has its share again", async || (queues(&system) == [half, half]).then_some(())).await;
}

fn queues(system: &System) -> [usize; 2] {
    [system.queues(0), system.queues(1)]
}

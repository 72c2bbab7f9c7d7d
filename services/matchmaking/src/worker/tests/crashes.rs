//! Workers that are killed at any moment, and such that go on though they have lost the queue: nobody is lost, and nobody is
//! in two matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::*;
use crate::store::{Created, EndOutcome, SeatRelease};

/// How many players queue, play and queue again.
const PLAYERS: u128 = 40;
/// For how long workers come and go.
const CHAOS: Duration = Duration::from_secs(8);
/// How long everything may take to come to an end.
const SETTLING: Duration = Duration::from_mins(1);

/// What a player saw.
#[derive(Default)]
struct Seen {
    cancelled: BTreeSet<Uuid>,
    matched: BTreeMap<Uuid, Uuid>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_lost_and_nobody_is_in_two_matches() {
    check(World::start().await).await;
}

/// The same, over any stores.
pub(super) async fn check(world: World) {
    let world = Arc::new(world);
    let over = Arc::new(AtomicBool::new(false));
    let mut players = JoinSet::new();
    for number in 0..PLAYERS {
        players.spawn(play(world.clone(), over.clone(), number));
    }
    let mut working = vec![Working::start(&world, 1)];
    let began = Instant::now();
    let mut epoch = 1;
    while began.elapsed() < CHAOS {
        sleep(Duration::from_millis(20 + random(&world) % 200)).await;
        epoch += 1;
        // Some are killed; others only lose the queue, and find that out by themselves.
        if random(&world) % 5 < 3 {
            working.pop().expect("there is one").kill().await;
        }
        working.push(Working::start(&world, epoch));
    }
    over.store(true, Ordering::SeqCst);
    let mut seen = Seen::default();
    while let Some(player) = timeout(SETTLING, players.join_next()).await.expect("every ticket comes to its end") {
        let player = player.expect("it is as a player expects");
        seen.cancelled.extend(player.cancelled);
        seen.matched.extend(player.matched);
    }
    for working in working {
        working.end().await;
    }
    examine(&world, &seen).await;
}

/// Queues, plays, leaves, and queues again.
async fn play(world: Arc<World>, over: Arc<AtomicBool>, number: u128) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::SeqCst) {
        let new = world.ticket(number);
        let ticket = new.ticket.id;
        assert_eq!(world.tickets.create(&new).await.unwrap(), Created::Done);
        let patience = Duration::from_millis(random(&world) % 60);
        let cancels = random(&world).is_multiple_of(4);
        let began = Instant::now();
        let id = loop {
            let wants_out = (cancels && began.elapsed() > patience) || over.load(Ordering::SeqCst);
            if wants_out {
                let ended = world.tickets.end(&[ticket], EndReason::Cancelled, world.ambient.now()).await.unwrap();
                if ended == [EndOutcome::Ended] {
                    seen.cancelled.insert(ticket);
                    break None;
                }
            }
            match world.status(ticket).await {
                TicketStatus::Queued | TicketStatus::Matching(_) => sleep(Duration::from_millis(5)).await,
                TicketStatus::Matched(id) => break Some(id),
                TicketStatus::Ended(reason) => panic!("nothing ends it: {reason:?}"),
            }
        };
        let Some(id) = id else { continue };
        seen.matched.insert(ticket, id);
        sleep(Duration::from_millis(random(&world) % 50)).await;
        let seats = world.matches.open_seats(GAME, &[player(number)]).await.unwrap();
        assert!(seats.len() == 1 && seats[0].match_id == id && seats[0].ticket == ticket, "{seats:?}");
        let release = SeatRelease { session: seats[0].session, player: Some(player(number)) };
        world.matches.release(&[release], world.ambient.now()).await.unwrap();
    }
    seen
}

async fn examine(world: &World, seen: &Seen) {
    let cancelled: Vec<Uuid> = seen.cancelled.iter().copied().collect();
    let after_all = world.matches.matches_of_tickets(&cancelled).await.unwrap();
    assert!(after_all.is_empty(), "matched after a cancel that said yes: {after_all:?}");

    let tickets: Vec<Uuid> = seen.matched.keys().copied().collect();
    let recorded = world.matches.matches_of_tickets(&tickets).await.unwrap();
    assert_eq!(recorded.len(), tickets.len(), "a ticket is in one match");
    let made = world.records(&duel()).await.into_iter().map(|record| record.record_id).collect::<BTreeSet<_>>();
    let mut sessions = world.sessions.created();
    for found in &recorded {
        assert_eq!(seen.matched[&found.ticket], found.found.made.id, "players saw the match that is recorded");
        assert_eq!(found.found.state, MatchState::Dispatched);
        assert!(made.contains(&found.found.made.id.to_string()), "a match is in the log");
        for player in found.found.made.players() {
            assert_eq!(seen.matched.get(&player.ticket), Some(&found.found.made.id), "both know of their match");
        }
    }
    for found in &recorded {
        sessions.remove(&found.found.made.session);
    }
    assert!(sessions.is_empty(), "sessions without their players: {sessions:?}");

    let everybody: Vec<Uuid> = (0..PLAYERS).map(player).collect();
    let seats = world.matches.open_seats(GAME, &everybody).await.unwrap();
    assert!(seats.is_empty(), "players who are locked out: {seats:?}");
    assert!(seen.matched.len() > 50, "something happened: {}", seen.matched.len());
}

fn random(world: &World) -> u64 {
    u64::from_ne_bytes(world.ambient.random())
}

//! Many players wait, play, change their minds and wait again, while everything goes wrong. Nobody is lost, and nobody is in
//! two matches.

use system_tests::{Deployment, PostgresServer, RedisServer};

use crate::checker::Wipes;
use crate::faults::{Measure, is_long, rage};
use crate::storm::Storm;
use crate::system::System;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_or_in_two_matches_whatever_is_killed() {
    let (players, tickets) = if is_long() { (500, 5_000) } else { (240, 1_500) };
    let (mut postgres, mut redis) = (PostgresServer::start(), RedisServer::start());
    let mut system = System::on(Deployment::of_matches_with_servers(&postgres.url(), redis.url()).await);
    let storm = Storm { players, tickets, may_be_lost: false };
    let faults = async |system: &mut System| {
        rage(system, &mut postgres, &mut redis, Measure::of_this_run()).await;
        Wipes::default()
    };
    let outcome = storm.play(&mut system, faults).await;
    assert!(outcome.matched > tickets / 2 && outcome.cancelled > 0, "{outcome:?}");
}

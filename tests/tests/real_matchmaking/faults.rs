//! What goes wrong while players wait.

use std::time::Duration;

use system_tests::{PostgresServer, RedisServer};
use tokio::time::sleep;

use crate::system::System;

/// Between two faults, so that work is under way at each.
const PAUSE: Duration = Duration::from_millis(500);
/// How long Postgres cannot be reached.
const CUT: Duration = Duration::from_secs(2);

/// How often, and for how long.
#[derive(Clone, Copy)]
pub struct Measure {
    pub kills: usize,
    pub stop: Duration,
}

impl Measure {
    pub fn of_this_run() -> Self {
        if is_long() {
            Self { kills: 50, stop: Duration::from_secs(30) }
        } else {
            Self { kills: 5, stop: Duration::from_secs(5) }
        }
    }
}

pub fn is_long() -> bool {
    std::env::var_os("MUSTER_TEST_LONG").is_some()
}

/// Everything that may go wrong, one after the other; at the end all runs.
pub async fn rage(system: &mut System, postgres: &mut PostgresServer, redis: &mut RedisServer, measure: Measure) {
    // Who works on the queues is stopped for longer than its leases hold, and wakes as if nothing had happened.
    stop(system, 0, measure.stop).await;
    for turn in 0..measure.kills {
        let which = turn % system.matchmaking.len();
        system.kill(which);
        sleep(PAUSE).await;
        system.revive(which).await;
        sleep(PAUSE).await;
    }
    redis.wait_until_written();
    redis.kill();
    sleep(PAUSE).await;
    redis.restart();
    sleep(PAUSE).await;
    system.restart_game(0).await;
    sleep(PAUSE).await;
    system.deployment.postgres_proxy().cut();
    sleep(CUT).await;
    system.deployment.postgres_proxy().restore();
    sleep(PAUSE).await;
    postgres.stop_at_once();
    sleep(PAUSE).await;
    postgres.restart();
    sleep(PAUSE).await;
    stop(system, 1, measure.stop).await;
}

async fn stop(system: &System, which: usize, time: Duration) {
    system.matchmaking[which].stop();
    sleep(time).await;
    system.matchmaking[which].go_on();
    sleep(PAUSE).await;
}

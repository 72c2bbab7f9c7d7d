//! What goes wrong while scores are written.

use std::time::Duration;

use pkg_log::testing::KafkaServer;
use system_tests::RedisServer;
use tokio::time::sleep;

use crate::system::System;

/// Between two faults, so that work is under way at each.
const PAUSE: Duration = Duration::from_millis(700);
/// How long Postgres cannot be reached.
const CUT: Duration = Duration::from_secs(2);

/// How often, and for how long.
#[derive(Clone, Copy)]
pub struct Measure {
    pub kills: usize,
    pub kafka_down: Duration,
}

impl Measure {
    pub fn of_this_run() -> Self {
        if std::env::var_os("MUSTER_TEST_LONG").is_some() {
            Self { kills: 20, kafka_down: Duration::from_mins(1) }
        } else {
            Self { kills: 5, kafka_down: Duration::from_secs(10) }
        }
    }
}

/// The servers that are this test's alone.
pub struct Servers {
    pub redis: RedisServer,
    pub kafka: KafkaServer,
}

/// Everything that may go wrong, one after the other; at the end all runs.
pub async fn rage(system: &mut System, servers: &mut Servers, measure: Measure) {
    sleep(PAUSE).await;
    let before = servers.redis.copy();
    for turn in 0..measure.kills {
        let which = turn % system.leaderboards.len();
        system.kill(which);
        sleep(PAUSE).await;
        system.revive(which).await;
        sleep(PAUSE).await;
    }
    servers.redis.empty();
    sleep(PAUSE).await;
    servers.redis.set_back(&before);
    sleep(PAUSE).await;
    system.deployment.postgres_proxy().cut();
    sleep(CUT).await;
    system.deployment.postgres_proxy().restore();
    sleep(PAUSE).await;
    servers.kafka.kill();
    sleep(measure.kafka_down).await;
    servers.kafka.start_again();
    sleep(PAUSE).await;
    // Both go at once, and what Redis has is older than what they knew.
    system.kill(0);
    system.kill(1);
    servers.redis.set_back(&before);
    system.revive(0).await;
    system.revive(1).await;
    sleep(PAUSE).await;
}

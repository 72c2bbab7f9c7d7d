//! `muster matchmaking`: the matchmaking service on Postgres, Redis and Kafka.

use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use matchmaking_service::RedisTickets;
use pkg_middleware::AnyChannel;

use crate::ground::{GameOptions, Ground, GroundOptions};
use crate::matches;
use crate::options::REDIS_URL;

/// No message of this service comes near it.
const MESSAGE_BYTES: usize = 1024 * 1024;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    ground: GroundOptions,

    #[command(flatten)]
    games: GameOptions,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let ground = Ground::open(&options.ground, MESSAGE_BYTES).await?;
    let (games, watch) = ground.games(&options.games).await?;
    let Ground { opened, bus, log, ambient, .. } = &ground;
    let tickets = RedisTickets::connect(opened.redis.clone()).await.context(REDIS_URL)?;
    let log = Arc::new(log.clone());
    let matchmaking = matches::on_stores(opened, tickets.clone(), bus.clone(), log, AnyChannel::new(games), ambient)
        .task("replicas of the game service", |shutdown| watch.run(shutdown));
    ground.serve(matchmaking, async move { tickets.close().await }).await
}

//! `muster leaderboard`: the leaderboard service on Postgres, Redis and Kafka.

use std::sync::Arc;

use clap::Args;
use pkg_middleware::AnyChannel;

use crate::boards;
use crate::ground::{GameOptions, Ground, GroundOptions};

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    ground: GroundOptions,

    #[command(flatten)]
    games: GameOptions,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let ground = Ground::open(&options.ground, boards::MESSAGE_BYTES).await?;
    let (games, watch) = ground.games(&options.games).await?;
    let Ground { opened, bus, log, ambient, .. } = &ground;
    let leaderboard = boards::on_stores(opened, bus.clone(), Arc::new(log.clone()), AnyChannel::new(games), ambient)
        .task("replicas of the game service", |shutdown| watch.run(shutdown));
    ground.serve(leaderboard, async {}).await
}

//! `muster game`: the game service on Postgres, Redis and Kafka.

use std::sync::Arc;

use clap::Args;
use pkg_middleware::AnyChannel;

use crate::examples;
use crate::games;
use crate::ground::{Ground, GroundOptions, LeaderboardOptions};

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    ground: GroundOptions,

    #[command(flatten)]
    leaderboards: LeaderboardOptions,

    /// Serve the page of the example game at /duel/. Its rules come by `muster apply examples/duel/game.toml`.
    #[arg(long, env = "MUSTER_EXAMPLES", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    examples: bool,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let ground = Ground::open(&options.ground, games::MESSAGE_BYTES).await?;
    let (leaderboards, watch) = ground.leaderboards(&options.leaderboards).await?;
    let Ground { opened, bus, log, ambient, .. } = &ground;
    // Of all that players do, the end of a session alone waits for Kafka.
    let log = Arc::new(log.clone());
    let game = games::on_stores(opened, bus.clone(), log, AnyChannel::new(leaderboards), ambient)
        .task("replicas of the leaderboard service", |shutdown| watch.run(shutdown));
    let game = if options.examples { game.pages(examples::pages()) } else { game };
    ground.serve(game, async {}).await
}

//! `muster auth`: the auth service on Postgres, Redis and Kafka.

use std::sync::Arc;

use anyhow::Context;
use auth_service::RedisDeviceSessions;
use clap::Args;
use pkg_ambient::Ambient;
use pkg_log::Log;
use pkg_log::kafka::KafkaLog;
use pkg_redis::RedisRevocations;
use pkg_telemetry::Format;

use crate::accounts::{self, Stores};
use crate::keys::Keys;
use crate::options::{
    KAFKA_BROKERS, LogOptions, SecretOptions, ServerOptions, SignInOptions, StoreOptions, TokenOptions,
};
use crate::run;
use crate::stores::Opened;

/// No message of these services comes near it; anybody may send some before they sign in.
const MESSAGE_BYTES: usize = 256 * 1024;

/// What the other roles serve to clients. Envoy has one address for all and asks this role what the API is.
const BESIDE: &[&str] = &[
    "muster.events.v1.EventService",
    "muster.game.v1.CatalogService",
    "muster.game.v1.ClockService",
    "muster.game.v1.EntityService",
    "muster.game.v1.SessionService",
    "muster.leaderboard.v1.HistoryService",
    "muster.leaderboard.v1.LeaderboardService",
    "muster.matchmaking.v1.MatchmakingService",
    "muster.presence.v1.PresenceService",
];

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    server: ServerOptions,

    #[command(flatten)]
    stores: StoreOptions,

    #[command(flatten)]
    log: LogOptions,

    #[command(flatten)]
    tokens: TokenOptions,

    #[command(flatten)]
    secrets: SecretOptions,

    #[command(flatten)]
    sign_in: SignInOptions,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let telemetry = run::start_telemetry(Format::Json, &options.server.edge.log)?;
    let ambient = Ambient::system();
    let mut settings = options.server.settings()?;
    settings.limits.message_bytes = MESSAGE_BYTES;
    let tokens =
        Keys::from_options(&options.secrets, options.server.mode, &ambient)?.into_tools(&options.tokens.names)?;
    let opened = Opened::open(&options.stores).await?;
    // Nobody waits for Kafka to sign in: it may be down now, and later.
    let log = KafkaLog::connect(options.log.settings()).context(KAFKA_BROKERS)?;

    let stores = Stores {
        database: opened.database.clone(),
        device_sessions: Arc::new(RedisDeviceSessions::new(opened.redis.clone())),
        revocations: Arc::new(RedisRevocations::new(opened.redis.clone())),
        log: Arc::new(log.clone()),
        readiness: opened.readiness(),
    };
    let (guard, auth) = accounts::build(stores, tokens, &options.sign_in.settings(&options.tokens)?, &ambient);

    run::serve(run::server(settings, guard, telemetry, ambient).beside(BESIDE).mount(auth)).await?;
    log.close().await;
    opened.close().await;
    Ok(())
}

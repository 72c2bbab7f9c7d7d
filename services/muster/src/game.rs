//! `muster game`: the game service on Postgres, Redis and Kafka.

use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use pkg_ambient::Ambient;
use pkg_bus::{RedisBus, Retentions};
use pkg_log::Log;
use pkg_log::kafka::KafkaLog;
use pkg_middleware::{Guard, RevocationWatch};
use pkg_redis::RedisRevocations;
use pkg_telemetry::Format;

use crate::games;
use crate::keys::Verifying;
use crate::options::{KAFKA_BROKERS, LogOptions, REDIS_URL, ServerOptions, StoreOptions, VerifyingOptions};
use crate::run;
use crate::stores::Opened;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    server: ServerOptions,

    #[command(flatten)]
    stores: StoreOptions,

    #[command(flatten)]
    log: LogOptions,

    #[command(flatten)]
    tokens: VerifyingOptions,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let telemetry = run::start_telemetry(Format::Json, &options.server.edge.log)?;
    let ambient = Ambient::system();
    let mut settings = options.server.settings()?;
    settings.limits.message_bytes = games::MESSAGE_BYTES;
    let Verifying { verifier, published } = Verifying::from_options(&options.tokens)?;
    let opened = Opened::open(&options.stores).await?;
    // Of all that players do, the end of a session alone waits for Kafka: it may be down now, and later.
    let log = KafkaLog::connect(options.log.settings()).context(KAFKA_BROKERS)?;
    let bus = RedisBus::connect(opened.redis.clone(), ambient.clone(), Retentions::default()).await;
    let bus = Arc::new(bus.context(REDIS_URL)?);

    let revocations = RevocationWatch::new(Arc::new(RedisRevocations::new(opened.redis.clone())), ambient.clone());
    let guard = Guard { verifier, revocations, jwks: published.to_json() };
    let game = games::on_stores(&opened, bus.clone(), Arc::new(log.clone()), &ambient);

    let server = run::server(settings, guard, telemetry, ambient).mount(game);
    let bound = run::bind(server).await?;
    tracing::info!(address = %bound.address()?, "serving");
    bound.serve(run::shutdown()).await?;
    bus.close().await;
    log.close().await;
    opened.close().await;
    Ok(())
}

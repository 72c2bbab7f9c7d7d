//! `muster auth`: the auth service on Postgres, Redis and Kafka.

use std::sync::Arc;

use anyhow::Context;
use auth_service::RedisDeviceSessions;
use clap::Args;
use pkg_ambient::Ambient;
use pkg_db::{Database, PostgresSettings};
use pkg_log::Log;
use pkg_log::kafka::KafkaLog;
use pkg_redis::{Redis, RedisRevocations};
use pkg_telemetry::Format;
use secrecy::ExposeSecret;

use crate::accounts::{self, Stores};
use crate::keys::Keys;
use crate::migrate;
use crate::options::{
    KAFKA_BROKERS, LogOptions, POSTGRES_URL, SecretOptions, ServerOptions, SignInOptions, StoreOptions, TokenOptions,
};
use crate::readiness::{DatabaseReadiness, RedisReadiness};
use crate::run;

/// No message of these services comes near it; anybody may send some before they sign in.
const MESSAGE_BYTES: usize = 256 * 1024;

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
    let tokens = Keys::from_options(&options.secrets, options.server.mode, &ambient)?.into_tools(&options.tokens)?;
    let (database, redis) = open(&options.stores).await?;
    migrate::check_is_current(&database).await?;
    // Nobody waits for Kafka to sign in: it may be down now, and later.
    let log = KafkaLog::connect(options.log.settings()).context(KAFKA_BROKERS)?;

    let stores = Stores {
        database: database.clone(),
        device_sessions: Arc::new(RedisDeviceSessions::new(redis.clone())),
        revocations: Arc::new(RedisRevocations::new(redis.clone())),
        log: Arc::new(log.clone()),
        readiness: vec![
            ("postgres", Arc::new(DatabaseReadiness(database.clone()))),
            ("redis", Arc::new(RedisReadiness(redis.clone()))),
        ],
    };
    let (guard, auth) = accounts::build(stores, tokens, &options.sign_in.settings(&options.tokens)?, &ambient);

    let server = run::server(settings, guard, telemetry, ambient).mount(auth);
    let bound = run::bind(server).await?;
    tracing::info!(address = %bound.address()?, "serving");
    bound.serve(run::shutdown()).await?;
    log.close().await;
    database.close().await;
    redis.close().await;
    Ok(())
}

async fn open(options: &StoreOptions) -> anyhow::Result<(Database, Redis)> {
    let postgres = PostgresSettings {
        max_connections: options.postgres.connections.get(),
        schema: options.postgres.schema.clone(),
        ..PostgresSettings::default()
    };
    let redis = pkg_redis::Settings {
        pool_size: options.redis_connections.get() as usize,
        prefix: options.redis_prefix.clone(),
        ..pkg_redis::Settings::default()
    };
    let database = Database::postgres(options.postgres.url.expose_secret(), postgres).await;
    let redis = Redis::connect(options.redis_url.expose_secret(), redis).await;
    Ok((database.context(POSTGRES_URL)?, redis.context("MUSTER_REDIS_URL (--redis-url)")?))
}

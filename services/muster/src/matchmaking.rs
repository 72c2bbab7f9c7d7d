//! `muster matchmaking`: the matchmaking service on Postgres, Redis and Kafka.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use matchmaking_service::{GameChannel, RedisTickets};
use pkg_ambient::Ambient;
use pkg_auth::Issuer;
use pkg_bus::{RedisBus, Retentions};
use pkg_log::Log;
use pkg_log::kafka::KafkaLog;
use pkg_middleware::{Guard, ReplicaChannel, RevocationWatch, ServiceIdentity};
use pkg_redis::RedisRevocations;
use pkg_telemetry::Format;

use crate::keys::{Verifying, read_key};
use crate::matches;
use crate::options::{KAFKA_BROKERS, LogOptions, REDIS_URL, ServerOptions, StoreOptions, VerifyingOptions};
use crate::run;
use crate::stores::Opened;

/// No message of this service comes near it.
const MESSAGE_BYTES: usize = 1024 * 1024;
/// The service of which a replica of `muster game` says whether it is healthy.
const SESSIONS: &str = "muster.game.v1.SessionInternalService";
/// How the option is called that says where games are.
const GAME_ADDRESS: &str = "MUSTER_GAME_ADDRESS (--game-address)";

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

    /// Where the game service is: http://host:port, several with commas between. Each address of a host is a replica.
    #[arg(long, env = "MUSTER_GAME_ADDRESS", value_name = "URL", value_delimiter = ',', required = true)]
    game_address: Vec<String>,

    /// The private key that signs calls to other services, which accept its public half: Ed25519, PKCS#8, PEM.
    #[arg(long, env = "MUSTER_SERVICE_KEY", value_name = "FILE")]
    service_key: PathBuf,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let telemetry = run::start_telemetry(Format::Json, &options.server.edge.log)?;
    let ambient = Ambient::system();
    let mut settings = options.server.settings()?;
    settings.limits.message_bytes = MESSAGE_BYTES;
    let Verifying { verifier, published } = Verifying::from_options(&options.tokens)?;
    let identity = identity(&options, &ambient)?;
    let opened = Opened::open(&options.stores).await?;
    let (games, watch) = ReplicaChannel::connect(&options.game_address, SESSIONS).await.context(GAME_ADDRESS)?;
    let game = GameChannel::new(identity.over(games));
    // Sessions of matches wait for nobody but Redis: Kafka may be down now, and later.
    let log = KafkaLog::connect(options.log.settings()).context(KAFKA_BROKERS)?;
    let bus = RedisBus::connect(opened.redis.clone(), ambient.clone(), Retentions::default()).await;
    let bus = Arc::new(bus.context(REDIS_URL)?);
    let tickets = RedisTickets::connect(opened.redis.clone()).await.context(REDIS_URL)?;

    let revocations = RevocationWatch::new(Arc::new(RedisRevocations::new(opened.redis.clone())), ambient.clone());
    let guard = Guard { verifier, revocations, jwks: published.to_json() };
    let matchmaking = matches::on_stores(&opened, tickets.clone(), bus.clone(), Arc::new(log.clone()), game, &ambient)
        .task("replicas of the game service", |shutdown| watch.run(shutdown));

    let server = run::server(settings, guard, telemetry, ambient).mount(matchmaking);
    let bound = run::bind(server).await?;
    tracing::info!(address = %bound.address()?, "serving");
    bound.serve(run::shutdown()).await?;
    tickets.close().await;
    bus.close().await;
    log.close().await;
    opened.close().await;
    Ok(())
}

/// Who this process is to other services.
fn identity(options: &Options, ambient: &Ambient) -> anyhow::Result<Arc<ServiceIdentity>> {
    let key = read_key(&options.service_key).context("MUSTER_SERVICE_KEY (--service-key)")?;
    let names = &options.tokens.names;
    let issuer = Issuer::new(key, &names.token_issuer, &names.token_audience);
    Ok(ServiceIdentity::new(issuer, ambient.id(), ambient.clone()))
}

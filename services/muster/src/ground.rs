//! What a role stands on that runs on real stores, and accepts tokens but issues none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use pkg_ambient::Ambient;
use pkg_auth::Issuer;
use pkg_bus::{RedisBus, Retentions};
use pkg_log::Log;
use pkg_log::kafka::KafkaLog;
use pkg_middleware::{
    Guard, ReplicaChannel, ReplicaWatch, RevocationWatch, Service, ServiceChannel, ServiceIdentity, Settings,
};
use pkg_redis::RedisRevocations;
use pkg_telemetry::{Format, Metrics};

use crate::keys::{Verifying, read_key};
use crate::options::{KAFKA_BROKERS, LogOptions, REDIS_URL, ServerOptions, StoreOptions, TokenNames, VerifyingOptions};
use crate::run;
use crate::stores::Opened;

/// The service of which a replica of `muster game` says whether it is healthy.
const SESSIONS: &str = "muster.game.v1.SessionInternalService";
/// That of which a replica of `muster leaderboard` does.
const BOARDS: &str = "muster.leaderboard.v1.BoardInternalService";

#[derive(Debug, Args)]
pub struct GroundOptions {
    #[command(flatten)]
    pub server: ServerOptions,

    #[command(flatten)]
    pub stores: StoreOptions,

    #[command(flatten)]
    pub log: LogOptions,

    #[command(flatten)]
    pub tokens: VerifyingOptions,

    /// The private key that signs calls to other services, which accept its public half: Ed25519, PKCS#8, PEM.
    #[arg(long, env = "MUSTER_SERVICE_KEY", value_name = "FILE")]
    pub service_key: PathBuf,
}

/// Where the role finds the games.
#[derive(Debug, Args)]
pub struct GameOptions {
    /// Where the game service is: http://host:port, several with commas between. Each address of a host is a replica.
    #[arg(long, env = "MUSTER_GAME_ADDRESS", value_name = "URL", value_delimiter = ',', required = true)]
    game_address: Vec<String>,
}

/// Where the role finds the leaderboards.
#[derive(Debug, Args)]
pub struct LeaderboardOptions {
    /// Where the leaderboard service is, as the game service is given to others. It is asked before rules of boards change.
    #[arg(long, env = "MUSTER_LEADERBOARD_ADDRESS", value_name = "URL", value_delimiter = ',', required = true)]
    leaderboard_address: Vec<String>,
}

/// Stores, bus and log, and what the server is to be.
pub struct Ground {
    pub ambient: Ambient,
    pub opened: Opened,
    pub log: KafkaLog,
    pub bus: Arc<RedisBus>,
    /// Who this process is to other services.
    identity: Arc<ServiceIdentity>,
    settings: Settings,
    guard: Guard,
    telemetry: Metrics,
}

/// A channel to replicas, and what watches them.
type Replicas = (ServiceChannel<ReplicaChannel>, ReplicaWatch);

impl Ground {
    /// Opens all of it, or says which option keeps it from that. Messages are no larger than `message_bytes`, both ways.
    pub async fn open(options: &GroundOptions, message_bytes: usize) -> anyhow::Result<Self> {
        let telemetry = run::start_telemetry(Format::Json, &options.server.edge.log)?;
        let ambient = Ambient::system();
        let mut settings = options.server.settings()?;
        settings.limits.message_bytes = message_bytes;
        let Verifying { verifier, published } = Verifying::from_options(&options.tokens)?;
        let identity = identity(&options.service_key, &options.tokens.names, &ambient)?;
        let opened = Opened::open(&options.stores).await?;
        // Kafka may be down now, and later.
        let log = KafkaLog::connect(options.log.settings()).context(KAFKA_BROKERS)?;
        let bus = RedisBus::connect(opened.redis.clone(), ambient.clone(), Retentions::default()).await;
        let bus = Arc::new(bus.context(REDIS_URL)?);
        let revocations = RevocationWatch::new(Arc::new(RedisRevocations::new(opened.redis.clone())), ambient.clone());
        let guard = Guard { verifier, revocations, jwks: published.to_json() };
        Ok(Self { ambient, opened, log, bus, identity, settings, guard, telemetry })
    }

    /// A channel to the replicas of the game service, and what watches them.
    pub async fn games(&self, options: &GameOptions) -> anyhow::Result<Replicas> {
        games(&self.identity, options).await
    }

    /// The same to those of the leaderboard service.
    pub async fn leaderboards(&self, options: &LeaderboardOptions) -> anyhow::Result<Replicas> {
        let replicas = ReplicaChannel::connect(&options.leaderboard_address, BOARDS).await;
        let (replicas, watch) = replicas.context("MUSTER_LEADERBOARD_ADDRESS (--leaderboard-address)")?;
        Ok((self.identity.over(replicas), watch))
    }

    /// Serves until the process is told to end. `close` ends what the service has besides.
    pub async fn serve(self, service: Service, close: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { ambient, opened, log, bus, settings, guard, telemetry, .. } = self;
        run::serve(run::server(settings, guard, telemetry, ambient).mount(service)).await?;
        close.await;
        bus.close().await;
        log.close().await;
        opened.close().await;
        Ok(())
    }
}

/// Who this process is to other services.
pub fn identity(service_key: &Path, names: &TokenNames, ambient: &Ambient) -> anyhow::Result<Arc<ServiceIdentity>> {
    let key = read_key(service_key).context("MUSTER_SERVICE_KEY (--service-key)")?;
    let issuer = Issuer::new(key, &names.token_issuer, &names.token_audience);
    Ok(ServiceIdentity::new(issuer, ambient.id(), ambient.clone()))
}

/// A channel to the replicas of the game service, and what watches them.
pub async fn games(identity: &Arc<ServiceIdentity>, options: &GameOptions) -> anyhow::Result<Replicas> {
    let replicas = ReplicaChannel::connect(&options.game_address, SESSIONS).await;
    let (replicas, watch) = replicas.context("MUSTER_GAME_ADDRESS (--game-address)")?;
    Ok((identity.over(replicas), watch))
}

//! Replicas of `muster auth` and `muster game`, and what they share.

use std::net::SocketAddr;

use pkg_ambient::Ambient;
use pkg_auth::SigningKey;
use pkg_db::testing::{POSTGRES_VARIABLE, TestDatabase, empty_postgres};
use pkg_log::testing::KAFKA_VARIABLE;
use pkg_redis::testing::{REDIS_VARIABLE, TestRedis, redis};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use url::Url;

use crate::muster::{Muster, run_muster};
use crate::proxy::Proxy;
use crate::signer::Signer;
use crate::test_variable;
use crate::text::random_text;

/// Few, since all tests share one server.
const POSTGRES_CONNECTIONS: &str = "4";

/// All deployments of a run share their topics, which are many for a small broker: whoever reads them goes by ids.
const KAFKA_PREFIX: &str = "system-tests";

/// Flags under which no sign-in is too many.
pub const UNLIMITED: [&str; 12] = [
    "--address-rate",
    "1000000",
    "--address-burst",
    "1000000",
    "--creation-rate",
    "1000000",
    "--creation-burst",
    "1000000",
    "--account-rate",
    "1000000",
    "--account-burst",
    "1000000",
];

/// A schema in Postgres, a key space in Redis, topics in Kafka, keys, and whatever replicas are started on them.
#[derive(Debug)]
pub struct Deployment {
    folder: TempDir,
    database: TestDatabase,
    redis: TestRedis,
    redis_url: String,
    kafka_brokers: String,
    postgres_proxy: Proxy,
    refresh_secret: String,
}

impl Deployment {
    /// A migrated schema and an empty key space on the servers that `make test` has started.
    pub async fn new() -> Self {
        Self::on(test_variable(REDIS_VARIABLE), test_variable(KAFKA_VARIABLE)).await
    }

    /// As [`Self::new`], with another Redis server.
    pub async fn with_redis(redis_url: String) -> Self {
        Self::on(redis_url, test_variable(KAFKA_VARIABLE)).await
    }

    /// As [`Self::new`], with another Kafka broker, which must serve now.
    pub async fn with_kafka(kafka_brokers: String) -> Self {
        Self::on(test_variable(REDIS_VARIABLE), kafka_brokers).await
    }

    async fn on(redis_url: String, kafka_brokers: String) -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let key = SigningKey::generate(Ambient::system().random()).to_pem();
        std::fs::write(folder.path().join("key.pem"), key.expose_secret()).expect("the folder is ours");
        let (database, redis) = (empty_postgres().await, redis().await);
        let postgres = postgres_url();
        let deployment = Self {
            folder,
            database,
            redis,
            redis_url,
            kafka_brokers,
            postgres_proxy: Proxy::to(address(&postgres)),
            refresh_secret: random_text::<32>(),
        };
        let migrated = run_muster(&["migrate", "up", "--kafka-replication", "1"], &deployment.environment());
        assert!(migrated.status.success(), "{}", migrated.stderr);
        deployment
    }

    /// Starts a replica, with flags of its own.
    #[must_use]
    pub fn replica(&self, flags: &[&str]) -> Muster {
        Muster::service("auth", &self.environment(), flags)
    }

    /// Starts a replica on which no sign-in is too many, with flags of its own.
    #[must_use]
    pub fn unlimited_replica(&self, flags: &[&str]) -> Muster {
        self.replica(&[&UNLIMITED, flags].concat())
    }

    /// Starts a replica on which no sign-in is too many where one has been before, with flags of its own.
    #[must_use]
    pub fn unlimited_replica_at(&self, api: SocketAddr, flags: &[&str]) -> Muster {
        Muster::service_at(api, "auth", &self.environment(), &[&UNLIMITED, flags].concat())
    }

    /// Starts a replica of the game service, with flags of its own.
    #[must_use]
    pub fn game_replica(&self, flags: &[&str]) -> Muster {
        Muster::service("game", &self.game_environment(), flags)
    }

    /// Starts a replica of the game service where one has been before, with flags of its own.
    #[must_use]
    pub fn game_replica_at(&self, api: SocketAddr, flags: &[&str]) -> Muster {
        Muster::service_at(api, "game", &self.game_environment(), flags)
    }

    /// What signs tokens that the replicas accept.
    #[must_use]
    pub fn signer(&self) -> Signer {
        let key = std::fs::read_to_string(self.key_file()).expect("we wrote it");
        Signer::new(SigningKey::from_pem(&key).expect("we made it"))
    }

    /// What stands between the replicas and Postgres.
    #[must_use]
    pub fn postgres_proxy(&self) -> &Proxy {
        &self.postgres_proxy
    }

    /// An operator's token.
    #[must_use]
    pub fn admin_token(&self) -> String {
        let printed = run_muster(&["token"], &[("MUSTER_SIGNING_KEY", self.key_file())]);
        assert!(printed.status.success(), "{}", printed.stderr);
        printed.stdout.trim().to_owned()
    }

    /// The variables that every replica is started with. Secrets are better given so.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut postgres = postgres_url();
        let proxied = self.postgres_proxy.address();
        postgres.set_port(Some(proxied.port())).expect("the URL has a host");
        vec![
            ("MUSTER_POSTGRES_URL", postgres.into()),
            ("MUSTER_POSTGRES_SCHEMA", self.database.schema().expect("it is on Postgres").to_owned()),
            ("MUSTER_POSTGRES_CONNECTIONS", POSTGRES_CONNECTIONS.to_owned()),
            ("MUSTER_REDIS_URL", self.redis_url.clone()),
            ("MUSTER_REDIS_PREFIX", self.redis.prefix().to_owned()),
            ("MUSTER_KAFKA_BROKERS", self.kafka_brokers.clone()),
            ("MUSTER_KAFKA_PREFIX", KAFKA_PREFIX.to_owned()),
            ("MUSTER_SIGNING_KEY", self.key_file()),
            ("MUSTER_REFRESH_SECRETS", self.refresh_secret.clone()),
        ]
    }

    /// The variables that every replica of the game service is started with: it has no secret of the auth service.
    #[must_use]
    pub fn game_environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        environment.retain(|(name, _)| !["MUSTER_SIGNING_KEY", "MUSTER_REFRESH_SECRETS"].contains(name));
        environment.push(("MUSTER_ACCEPTED_KEYS", self.key_file()));
        environment
    }

    fn key_file(&self) -> String {
        self.folder.path().join("key.pem").display().to_string()
    }
}

fn postgres_url() -> Url {
    Url::parse(&test_variable(POSTGRES_VARIABLE)).expect("the variable has a URL")
}

fn address(url: &Url) -> SocketAddr {
    let host = url.host_str().expect("the URL has a host");
    let addresses = std::net::ToSocketAddrs::to_socket_addrs(&(host, url.port().unwrap_or(5432)));
    addresses.expect("the host has an address").next().expect("the host has an address")
}

//! Replicas of the roles of `muster`, and what they share.

use std::net::SocketAddr;
use std::process::Command;

use pkg_ambient::Ambient;
use pkg_auth::SigningKey;
use pkg_db::testing::{POSTGRES_VARIABLE, TestDatabase, empty_postgres};
use pkg_log::testing::{KAFKA_VARIABLE, TestKafka, kafka};
use pkg_redis::testing::{REDIS_VARIABLE, TestRedis, redis};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use url::Url;

use crate::muster::{Muster, free_address, run_muster};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::signer::Signer;
use crate::test_variable;
use crate::text::random_text;

/// Few, since all tests share one server.
const POSTGRES_CONNECTIONS: &str = "4";

/// Deployments of a run share their topics, which are many for a small broker: whoever reads them goes by ids. Where
/// matches are made they do not, since all who work on the results of matches share them.
const KAFKA_PREFIX: &str = "system-tests";

/// The schema on a server of the test's own.
const OWN_SCHEMA: &str = "public";

/// The file with the key that signs tokens of players…
const KEY: &str = "key.pem";
/// …and with the one by which services call one another.
const SERVICE_KEY: &str = "service-key.pem";

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
    postgres: Url,
    /// The schema, unless the server is the test's own.
    database: Option<TestDatabase>,
    redis: TestRedis,
    redis_url: String,
    kafka_brokers: String,
    kafka: Option<TestKafka>,
    postgres_proxy: Proxy,
    refresh_secret: String,
    leaderboard: SocketAddr,
}

impl Deployment {
    /// A migrated schema and an empty key space on the servers that `make test` has started.
    pub async fn new() -> Self {
        Self::on(test_variable(REDIS_VARIABLE), test_variable(KAFKA_VARIABLE), None).await
    }

    /// As [`Self::new`], with another Redis server.
    pub async fn with_redis(redis_url: String) -> Self {
        Self::on(redis_url, test_variable(KAFKA_VARIABLE), None).await
    }

    /// As [`Self::with_redis`], where matches are made: with topics of its own.
    pub async fn of_matches_with_redis(redis_url: String) -> Self {
        Self::on(redis_url, test_variable(KAFKA_VARIABLE), Some(kafka().await)).await
    }

    /// As [`Self::new`], where matches are made: with topics of its own.
    pub async fn of_matches() -> Self {
        Self::of_matches_with_redis(test_variable(REDIS_VARIABLE)).await
    }

    /// What Postgres answers, a line for each row.
    #[must_use]
    pub fn ask_postgres(&self, statement: &str) -> Vec<String> {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "-At", "--dbname", self.postgres.as_str(), "--command", statement]);
        command.env("PGOPTIONS", format!("--search_path={}", self.schema()));
        let finished = Process::run(command);
        assert!(finished.status.success(), "{statement}: {}", finished.stderr);
        finished.stdout.lines().map(str::to_owned).collect()
    }

    /// As [`Self::new`], with another Kafka broker, which must serve now.
    pub async fn with_kafka(kafka_brokers: String) -> Self {
        Self::with_servers(test_variable(REDIS_VARIABLE), kafka_brokers).await
    }

    /// As [`Self::with_kafka`], with another Redis server, too.
    pub async fn with_servers(redis_url: String, kafka_brokers: String) -> Self {
        Self::on(redis_url, kafka_brokers, None).await
    }

    /// Where matches are made, with topics of its own, on other servers of Postgres and Redis. That of Postgres is empty.
    pub async fn of_matches_with_servers(postgres_url: &str, redis_url: String) -> Self {
        let postgres = Url::parse(postgres_url).expect("a server has a URL");
        let kafka = kafka().await;
        Self::on_servers(postgres, None, redis_url, test_variable(KAFKA_VARIABLE), Some(kafka)).await
    }

    async fn on(redis_url: String, kafka_brokers: String, kafka: Option<TestKafka>) -> Self {
        Self::on_servers(postgres_url(), Some(empty_postgres().await), redis_url, kafka_brokers, kafka).await
    }

    async fn on_servers(
        postgres: Url,
        database: Option<TestDatabase>,
        redis_url: String,
        kafka_brokers: String,
        kafka: Option<TestKafka>,
    ) -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        for file in [KEY, SERVICE_KEY] {
            let key = SigningKey::generate(Ambient::system().random()).to_pem();
            std::fs::write(folder.path().join(file), key.expose_secret()).expect("the folder is ours");
        }
        let deployment = Self {
            folder,
            postgres_proxy: Proxy::to(address(&postgres)),
            postgres,
            database,
            redis: redis().await,
            redis_url,
            kafka_brokers,
            kafka,
            refresh_secret: random_text::<32>(),
            leaderboard: free_address(),
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

    /// Starts a replica of the matchmaking service, beside these of the game service, with flags of its own.
    #[must_use]
    pub fn matchmaking_replica(&self, games: &[SocketAddr], flags: &[&str]) -> Muster {
        Muster::service("matchmaking", &self.caller_environment(games), flags)
    }

    /// Starts a replica of the matchmaking service where one has been before.
    #[must_use]
    pub fn matchmaking_replica_at(&self, api: SocketAddr, games: &[SocketAddr], flags: &[&str]) -> Muster {
        Muster::service_at(api, "matchmaking", &self.caller_environment(games), flags)
    }

    /// Starts a replica of the leaderboard service, beside these of the game service, with flags of its own.
    #[must_use]
    pub fn leaderboard_replica(&self, games: &[SocketAddr], flags: &[&str]) -> Muster {
        Muster::service("leaderboard", &self.caller_environment(games), flags)
    }

    /// Where the replicas of the game service look for the leaderboard service: [`Self::leaderboard_replica_at`] serves it there.
    #[must_use]
    pub fn leaderboard_address(&self) -> SocketAddr {
        self.leaderboard
    }

    /// Starts a replica of the leaderboard service where one has been before.
    #[must_use]
    pub fn leaderboard_replica_at(&self, api: SocketAddr, games: &[SocketAddr], flags: &[&str]) -> Muster {
        Muster::service_at(api, "leaderboard", &self.caller_environment(games), flags)
    }

    /// What signs tokens that the replicas accept.
    #[must_use]
    pub fn signer(&self) -> Signer {
        let key = std::fs::read_to_string(self.file(KEY)).expect("we wrote it");
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
        let printed = run_muster(&["token"], &[("MUSTER_SIGNING_KEY", self.file(KEY))]);
        assert!(printed.status.success(), "{}", printed.stderr);
        printed.stdout.trim().to_owned()
    }

    /// The variables that every replica is started with. Secrets are better given so.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut postgres = self.postgres.clone();
        let proxied = self.postgres_proxy.address();
        postgres.set_port(Some(proxied.port())).expect("the URL has a host");
        vec![
            ("MUSTER_POSTGRES_URL", postgres.into()),
            ("MUSTER_POSTGRES_SCHEMA", self.schema().to_owned()),
            ("MUSTER_POSTGRES_CONNECTIONS", POSTGRES_CONNECTIONS.to_owned()),
            ("MUSTER_REDIS_URL", self.redis_url.clone()),
            ("MUSTER_REDIS_PREFIX", self.redis.prefix().to_owned()),
            ("MUSTER_KAFKA_BROKERS", self.kafka_brokers.clone()),
            ("MUSTER_KAFKA_PREFIX", self.kafka.as_ref().map_or(KAFKA_PREFIX, TestKafka::prefix).to_owned()),
            ("MUSTER_SIGNING_KEY", self.file(KEY)),
            ("MUSTER_REFRESH_SECRETS", self.refresh_secret.clone()),
        ]
    }

    /// The variables that every replica of the game service is started with: it has no secret of the auth service.
    #[must_use]
    pub fn game_environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.called_environment();
        environment.push(("MUSTER_LEADERBOARD_ADDRESS", format!("http://{}", self.leaderboard)));
        environment
    }

    /// The variables of a role that calls these replicas of the game service.
    #[must_use]
    pub fn caller_environment(&self, games: &[SocketAddr]) -> Vec<(&'static str, String)> {
        let games: Vec<_> = games.iter().map(|game| format!("http://{game}")).collect();
        let mut environment = self.called_environment();
        environment.push(("MUSTER_GAME_ADDRESS", games.join(",")));
        environment
    }

    /// The variables of a role that other services call, and that calls them.
    fn called_environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.without_secrets();
        environment.push(("MUSTER_ACCEPTED_KEYS", format!("{},{}", self.file(KEY), self.file(SERVICE_KEY))));
        environment.push(("MUSTER_SERVICE_KEY", self.file(SERVICE_KEY)));
        environment
    }

    /// The variables of the auth service but its secrets.
    fn without_secrets(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        environment.retain(|(name, _)| !["MUSTER_SIGNING_KEY", "MUSTER_REFRESH_SECRETS"].contains(name));
        environment
    }

    fn schema(&self) -> &str {
        self.database.as_ref().map_or(OWN_SCHEMA, |database| database.schema().expect("it is on Postgres"))
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
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

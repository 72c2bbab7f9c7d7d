//! The options that roles share, and what they are checked for.

#![expect(clippy::doc_markdown, rustdoc::bare_urls, reason = "comments on options are their help texts, in a terminal")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use auth_service::{Lifetimes, SignInQuotas};
use clap::{Args, ValueEnum};
use pkg_auth::{Argon2id, MAX_LIFETIME};
use pkg_log::kafka;
use pkg_middleware::{AdminAt, Cors, Quota, Settings};
use secrecy::SecretString;

/// A device that was not used for so long signs in again.
const LONGEST_SESSION: Duration = Duration::from_hours(400 * 24);

/// How the option is called that says where Postgres is.
pub const POSTGRES_URL: &str = "MUSTER_POSTGRES_URL (--postgres-url)";
/// How the option is called that says where Redis is.
pub const REDIS_URL: &str = "MUSTER_REDIS_URL (--redis-url)";
/// How the option is called that says where Kafka is.
pub const KAFKA_BROKERS: &str = "MUSTER_KAFKA_BROKERS (--kafka-brokers)";

/// How strict the process is at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Secrets must be given; what helps attackers must be allowed by name.
    Production,
    /// Missing secrets are made up and forgotten at exit.
    Development,
}

/// What production mode refuses unless it is allowed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Exposure {
    /// The API describes itself to anybody who asks.
    Reflection,
    /// Web pages of any origin may call.
    CorsAny,
}

/// How a role is served.
#[derive(Debug, Args)]
pub struct ServerOptions {
    /// Serve gRPC and gRPC-Web at this address.
    #[arg(long, env = "MUSTER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// Serve /metrics, /healthz, /readyz and /.well-known/jwks.json at this address.
    #[arg(long, env = "MUSTER_ADMIN_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    pub admin_listen: SocketAddr,

    /// Production refuses to start with missing secrets, reflection or open CORS.
    #[arg(long, env = "MUSTER_MODE", value_enum, default_value_t = Mode::Production)]
    pub mode: Mode,

    /// Let the API describe itself (gRPC server reflection).
    #[arg(long, env = "MUSTER_REFLECTION", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub reflection: bool,

    /// Allow in production mode what it refuses otherwise.
    #[arg(long, env = "MUSTER_ALLOW_IN_PRODUCTION", value_enum, value_delimiter = ',')]
    pub allow_in_production: Vec<Exposure>,

    /// How long to serve on after SIGTERM while health says NOT_SERVING, so that proxies go elsewhere first.
    #[arg(long, env = "MUSTER_LAME_DUCK", value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub lame_duck: Duration,

    #[command(flatten)]
    pub edge: EdgeOptions,
}

/// What every way of serving has.
#[derive(Debug, Args)]
pub struct EdgeOptions {
    /// Web pages of these origins may call, such as https://play.example.com; "*" for all.
    #[arg(long, env = "MUSTER_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origins: Vec<String>,

    /// How many proxies of ours add to X-Forwarded-For. 0 believes the header from nobody.
    #[arg(long, env = "MUSTER_TRUSTED_HOPS", value_name = "COUNT", default_value_t = 0)]
    pub trusted_hops: u8,

    /// How long calls may finish once no more are taken, before they are cut.
    #[arg(long, env = "MUSTER_DRAIN", value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    pub drain: Duration,

    /// What is logged to standard error: a level, or levels per module (tracing's EnvFilter).
    #[arg(long, env = "MUSTER_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

impl EdgeOptions {
    fn cors(&self) -> Cors {
        match self.cors_origins.as_slice() {
            [] => Cors::None,
            origins if origins.iter().any(|origin| origin == "*") => Cors::Any,
            origins => Cors::Origins(origins.to_vec()),
        }
    }

    /// How a server listens that has these options.
    pub fn settings(&self, listen: SocketAddr) -> Settings {
        let mut settings = Settings::new(listen);
        settings.cors = self.cors();
        settings.trusted_hops = self.trusted_hops;
        settings.drain = self.drain;
        settings
    }
}

impl ServerOptions {
    /// How the server is to be served, or why it must not be.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.edge.settings(self.listen);
        settings.admin = AdminAt::Address(self.admin_listen);
        settings.reflection = self.reflection;
        settings.lame_duck = self.lame_duck;
        self.check_exposure(Exposure::Reflection, settings.reflection, "MUSTER_REFLECTION (--reflection)")?;
        self.check_exposure(
            Exposure::CorsAny,
            settings.cors == Cors::Any,
            "MUSTER_CORS_ORIGINS (--cors-origins) \"*\"",
        )?;
        Ok(settings)
    }

    fn check_exposure(&self, exposure: Exposure, wanted: bool, setting: &str) -> anyhow::Result<()> {
        let allowed = self.mode == Mode::Development || self.allow_in_production.contains(&exposure);
        let name = exposure.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        ensure!(
            !wanted || allowed,
            "{setting} is refused in production mode: take it away, or allow it with MUSTER_ALLOW_IN_PRODUCTION={name}"
        );
        Ok(())
    }
}

/// The real stores.
#[derive(Debug, Args)]
pub struct StoreOptions {
    #[command(flatten)]
    pub postgres: PostgresOptions,

    /// The Redis server: redis://:password@host:port, or redis-cluster://….
    #[arg(long, env = "MUSTER_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: SecretString,

    /// What every key in Redis begins with.
    #[arg(long, env = "MUSTER_REDIS_PREFIX", value_name = "PREFIX", default_value = "muster")]
    pub redis_prefix: String,

    /// How many connections to Redis.
    #[arg(long, env = "MUSTER_REDIS_CONNECTIONS", value_name = "COUNT", default_value = "4")]
    pub redis_connections: NonZeroU32,
}

/// The real database.
#[derive(Debug, Args)]
pub struct PostgresOptions {
    /// The Postgres server: postgres://user:password@host:port/database.
    #[arg(long = "postgres-url", env = "MUSTER_POSTGRES_URL", value_name = "URL", hide_env_values = true)]
    pub url: SecretString,

    /// How many connections to Postgres.
    #[arg(
        long = "postgres-connections",
        env = "MUSTER_POSTGRES_CONNECTIONS",
        value_name = "COUNT",
        default_value = "16"
    )]
    pub connections: NonZeroU32,

    /// The schema that the tables are in, if not the server's default.
    #[arg(long = "postgres-schema", env = "MUSTER_POSTGRES_SCHEMA", value_name = "NAME")]
    pub schema: Option<String>,
}

/// The real log.
#[derive(Debug, Args)]
pub struct LogOptions {
    /// Some of the Kafka brokers: host:port, several with commas between.
    #[arg(long, env = "MUSTER_KAFKA_BROKERS", value_name = "HOST:PORT")]
    pub kafka_brokers: String,

    /// What the names of topics and groups in Kafka begin with.
    #[arg(long, env = "MUSTER_KAFKA_PREFIX", value_name = "PREFIX", default_value = "muster")]
    pub kafka_prefix: String,
}

impl LogOptions {
    /// How the log is to be used.
    pub fn settings(&self) -> kafka::Settings {
        kafka::Settings {
            brokers: self.kafka_brokers.clone(),
            prefix: self.kafka_prefix.clone(),
            ..kafka::Settings::default()
        }
    }
}

/// By whom access tokens are issued, and for whom.
#[derive(Debug, Args)]
pub struct TokenNames {
    /// The "iss" of access tokens.
    #[arg(long, env = "MUSTER_TOKEN_ISSUER", value_name = "NAME", default_value = "muster")]
    pub token_issuer: String,

    /// The "aud" of access tokens.
    #[arg(long, env = "MUSTER_TOKEN_AUDIENCE", value_name = "NAME", default_value = "muster")]
    pub token_audience: String,
}

/// What a role that signs no tokens checks them by.
#[derive(Debug, Args)]
pub struct VerifyingOptions {
    /// The keys whose tokens are accepted: the auth service's, and the next or the last one while keys rotate: public, PEM.
    #[arg(long, env = "MUSTER_ACCEPTED_KEYS", value_name = "FILE", value_delimiter = ',', required = true)]
    pub accepted_keys: Vec<PathBuf>,

    #[command(flatten)]
    pub names: TokenNames,
}

/// What tokens are made of.
#[derive(Debug, Args)]
pub struct TokenOptions {
    #[command(flatten)]
    pub names: TokenNames,

    /// How long an access token lives; 15 min at most.
    #[arg(long, env = "MUSTER_ACCESS_TOKEN_LIFETIME", value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    pub access_token_lifetime: Duration,

    /// How long a device session lives, however often it is refreshed.
    #[arg(long, env = "MUSTER_SESSION_LIFETIME", value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
    pub session_lifetime: Duration,
}

/// The secrets of a role that signs tokens.
#[derive(Debug, Args)]
pub struct SecretOptions {
    /// The private key that signs access tokens: Ed25519, PKCS#8, PEM (openssl genpkey -algorithm ed25519).
    #[arg(long, env = "MUSTER_SIGNING_KEY", value_name = "FILE")]
    pub signing_key: Option<PathBuf>,

    /// More keys whose tokens are accepted, the next and the last one while keys rotate: public or private, PEM.
    #[arg(long, env = "MUSTER_ACCEPTED_KEYS", value_name = "FILE", value_delimiter = ',')]
    pub accepted_keys: Vec<PathBuf>,

    /// Secrets of 32 characters or more that refresh tokens are made with: the first makes new ones, all are accepted.
    #[arg(long, env = "MUSTER_REFRESH_SECRETS", value_name = "SECRET", value_delimiter = ',', hide_env_values = true)]
    pub refresh_secrets: Vec<SecretString>,
}

/// What sign-ins may cost.
#[derive(Debug, Args)]
pub struct SignInOptions {
    /// How many sign-ins and refreshes per second one address has on average, on each replica.
    #[arg(long, env = "MUSTER_ADDRESS_RATE", value_name = "PER_SECOND", default_value = "20")]
    pub address_rate: NonZeroU32,

    /// How many sign-ins and refreshes one address has at once.
    #[arg(long, env = "MUSTER_ADDRESS_BURST", value_name = "COUNT", default_value = "200")]
    pub address_burst: NonZeroU32,

    /// How many accounts per minute one address may create on average, guests too, on each replica.
    #[arg(long, env = "MUSTER_CREATION_RATE", value_name = "PER_MINUTE", default_value = "30")]
    pub creation_rate: NonZeroU32,

    /// How many accounts one address may create at once.
    #[arg(long, env = "MUSTER_CREATION_BURST", value_name = "COUNT", default_value = "100")]
    pub creation_burst: NonZeroU32,

    /// How many tries per minute one account or device has on average, on each replica.
    #[arg(long, env = "MUSTER_ACCOUNT_RATE", value_name = "PER_MINUTE", default_value = "6")]
    pub account_rate: NonZeroU32,

    /// How many tries one account or device has at once.
    #[arg(long, env = "MUSTER_ACCOUNT_BURST", value_name = "COUNT", default_value = "10")]
    pub account_burst: NonZeroU32,

    /// How many passwords are hashed at once; as many as there are cores by default.
    #[arg(long, env = "MUSTER_HASHING_THREADS", value_name = "COUNT")]
    pub hashing_threads: Option<NonZeroU32>,
}

impl SignInOptions {
    /// What the auth service may be set to.
    pub fn settings(&self, tokens: &TokenOptions) -> anyhow::Result<auth_service::Settings> {
        let cores = std::thread::available_parallelism().context("the number of cores")?;
        Ok(auth_service::Settings {
            lifetimes: tokens.lifetimes()?,
            quotas: SignInQuotas {
                per_address: Quota::per_second(self.address_rate, self.address_burst),
                creations: Quota::per_minute(self.creation_rate, self.creation_burst),
                per_account: Quota::per_minute(self.account_rate, self.account_burst),
            },
            hashing_threads: self.hashing_threads.map_or(cores.get(), |threads| threads.get() as usize),
            hashing: Argon2id::default(),
        })
    }
}

impl TokenOptions {
    fn lifetimes(&self) -> anyhow::Result<Lifetimes> {
        let access = self.access_token_lifetime;
        ensure!(
            (Duration::from_secs(1)..=MAX_LIFETIME).contains(&access),
            "MUSTER_ACCESS_TOKEN_LIFETIME (--access-token-lifetime) is 1s to 15m: revocations are kept for little longer"
        );
        ensure!(
            (access..=LONGEST_SESSION).contains(&self.session_lifetime),
            "MUSTER_SESSION_LIFETIME (--session-lifetime) is at least that of an access token, and 400d at most"
        );
        Ok(Lifetimes { access, session: self.session_lifetime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Server {
        #[command(flatten)]
        options: ServerOptions,
    }

    fn settings(flags: &[&str]) -> anyhow::Result<Settings> {
        Server::parse_from(std::iter::once(&"server").chain(flags)).options.settings()
    }

    #[test]
    fn production_refuses_what_helps_attackers_unless_it_is_allowed_by_name() {
        assert!(settings(&[]).is_ok());
        for (exposed, name) in [(["--reflection", "true"], "reflection"), (["--cors-origins", "*"], "cors-any")] {
            let error = settings(&exposed).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            assert!(settings(&[exposed[0], exposed[1], "--mode", "development"]).is_ok());
            assert!(settings(&[exposed[0], exposed[1], "--allow-in-production", name]).is_ok());
        }
    }
}

//! The stores that are measured along: a schema and a key space of our own on servers that others started.

use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use pkg_ambient::Ambient;
use pkg_log::kafka;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::process::Parties;
use crate::redis_floor::RedisFloor;

const POSTGRES_PORT: u16 = 5432;
const REDIS_PORT: u16 = 6379;
const KAFKA_PORT: u16 = 9092;
/// What topics begin with, unless nobody else may append to them. They stay, and are used again.
const KAFKA_PREFIX: &str = "muster-bench";

#[derive(Debug, Clone, Args)]
pub struct StoreOptions {
    /// The Postgres server: postgres://user:password@host:port/database. A schema is made in it, and dropped.
    #[arg(long, env = "MUSTER_POSTGRES_URL", value_name = "URL", hide_env_values = true)]
    pub postgres_url: SecretString,

    /// The Redis server: redis://user:password@host:port/database. Keys made in it expire within the hour.
    #[arg(long, env = "MUSTER_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: SecretString,

    /// The Kafka broker: host:port. Topics are made in it.
    #[arg(long, env = "MUSTER_KAFKA_BROKERS", value_name = "HOST:PORT")]
    pub kafka_brokers: String,
}

/// A place of our own in both stores. The schema is dropped with this value.
#[derive(Debug)]
pub struct Stores {
    pub options: StoreOptions,
    /// The name of the schema in Postgres, and what keys in Redis begin with.
    pub name: String,
    kafka_prefix: String,
    postgres: Url,
    redis: Url,
}

impl Stores {
    pub fn make(options: &StoreOptions) -> anyhow::Result<Self> {
        Self::with_topics(options, |_| KAFKA_PREFIX.to_owned())
    }

    /// The same, with topics of its own: where all that was ever appended is read.
    pub fn with_own_topics(options: &StoreOptions) -> anyhow::Result<Self> {
        Self::with_topics(options, |name| format!("{KAFKA_PREFIX}-{name}"))
    }

    fn with_topics(options: &StoreOptions, prefix: impl Fn(&str) -> String) -> anyhow::Result<Self> {
        let postgres = Url::parse(options.postgres_url.expose_secret()).context("--postgres-url")?;
        let redis = Url::parse(options.redis_url.expose_secret()).context("--redis-url")?;
        let name = format!("bench_{}", Ambient::system().id().simple());
        let kafka_prefix = prefix(&name);
        let stores = Self { options: options.clone(), name, kafka_prefix, postgres, redis };
        stores.execute(&format!("CREATE SCHEMA {}", stores.name))?;
        Ok(stores)
    }

    /// Where the log is, for `muster` and for whoever appends to it directly.
    pub fn log(&self) -> kafka::Settings {
        kafka::Settings {
            brokers: self.options.kafka_brokers.clone(),
            prefix: self.kafka_prefix.clone(),
            ..kafka::Settings::default()
        }
    }

    /// Redis when nobody stands in front of it.
    pub fn redis_floor(&self) -> RedisFloor {
        RedisFloor::new(self.redis.clone())
    }

    /// Adds the stores to those whose CPU time is counted, if they are on this machine.
    pub fn count(&self, parties: Parties) -> Parties {
        parties
            .and_listener("postgres", self.postgres.port().unwrap_or(POSTGRES_PORT))
            .and_listener("redis", self.redis.port().unwrap_or(REDIS_PORT))
            .and_listener("kafka", self.kafka_port())
    }

    fn kafka_port(&self) -> u16 {
        let port = self.options.kafka_brokers.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.unwrap_or(KAFKA_PORT)
    }

    /// By psql, which comes with the server. The password is no argument: other processes could read it there.
    fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let url = &self.postgres;
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", statement])
            .env("PGHOST", url.host_str().unwrap_or("localhost"))
            .env("PGPORT", url.port().unwrap_or(POSTGRES_PORT).to_string())
            .env("PGUSER", url.username())
            .env("PGPASSWORD", url.password().unwrap_or_default())
            .env("PGDATABASE", url.path().trim_start_matches('/'))
            .env("PGOPTIONS", "-c client_min_messages=warning");
        let status = psql.status().context("psql, which makes and drops the schema, cannot be started")?;
        ensure!(status.success(), "psql failed: {statement}");
        Ok(())
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        // What psql says stands on standard error, and the schema's name says what it is.
        let _ = self.execute(&format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

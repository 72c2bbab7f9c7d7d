//! `muster migrate`: the schema of a database, up and down, and the topics of the log.

use std::io::Write;
use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use pkg_db::{Database, PostgresSettings};
use pkg_log::{Topic, kafka};
use secrecy::{ExposeSecret, SecretString};
use time::format_description::well_known::Rfc3339;

use crate::dev::DATABASE_FILE;
use crate::options::{KAFKA_BROKERS, POSTGRES_URL};

#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    direction: Direction,

    /// The Postgres server: postgres://user:password@host:port/database.
    #[arg(long, global = true, env = "MUSTER_POSTGRES_URL", value_name = "URL", hide_env_values = true)]
    postgres_url: Option<SecretString>,

    /// The schema that the tables are in, if not the server's default.
    #[arg(long, global = true, env = "MUSTER_POSTGRES_SCHEMA", value_name = "NAME")]
    postgres_schema: Option<String>,

    /// Some of the Kafka brokers, on which `up` makes the topics of the log: host:port, several with commas between.
    #[arg(long, global = true, env = "MUSTER_KAFKA_BROKERS", value_name = "HOST:PORT")]
    kafka_brokers: Option<String>,

    /// What the names of the topics begin with.
    #[arg(long, global = true, env = "MUSTER_KAFKA_PREFIX", value_name = "PREFIX", default_value = "muster")]
    kafka_prefix: String,

    /// How many brokers keep a copy of each record; more than half of them have it before it is acknowledged.
    #[arg(long, global = true, env = "MUSTER_KAFKA_REPLICATION", value_name = "COUNT", default_value = "3")]
    kafka_replication: NonZeroU16,

    /// The data folder of `muster dev`, where no Postgres server is given.
    #[arg(long, global = true, env = "MUSTER_DATA", value_name = "FOLDER", default_value = "muster-data")]
    data: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
enum Direction {
    /// Apply what is missing.
    Up {
        /// Up to and including this version; to the newest by default.
        #[arg(long, value_name = "VERSION")]
        to: Option<i64>,
    },
    /// Undo what is newer than a version. Data in what is undone is lost.
    Down {
        /// The version to go back to; 0 undoes everything.
        #[arg(long, value_name = "VERSION")]
        to: i64,
    },
    /// Show each version and when it was applied.
    Status,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let database = open(&options).await?;
    match options.direction {
        Direction::Up { to } => {
            pkg_db::migrate_up(&database, to).await?;
            prepare_topics(&options).await?;
        }
        Direction::Down { to } => pkg_db::migrate_down(&database, to).await?,
        Direction::Status => {}
    }
    for migration in pkg_db::status(&database).await? {
        let applied = match migration.applied_at {
            Some(time) => format!("applied {}", time.format(&Rfc3339)?),
            None => "not applied".to_owned(),
        };
        let note = if migration.known { "" } else { " (by a newer muster)" };
        writeln!(std::io::stdout(), "{:04} {:<24} {applied}{note}", migration.version, migration.name)?;
    }
    Ok(())
}

/// Makes the topics of the log, where a log is given; those that are there are checked.
async fn prepare_topics(options: &Options) -> anyhow::Result<()> {
    let Some(brokers) = &options.kafka_brokers else { return Ok(()) };
    let copies = i32::from(options.kafka_replication.get());
    let settings = kafka::Settings {
        brokers: brokers.clone(),
        prefix: options.kafka_prefix.clone(),
        replication_factor: copies,
        min_insync_replicas: copies / 2 + 1,
        ..kafka::Settings::default()
    };
    kafka::prepare_topics(&settings).await.context(KAFKA_BROKERS)?;
    for topic in Topic::ALL {
        writeln!(std::io::stdout(), "topic {}: {} partitions", settings.topic_name(topic), topic.partitions())?;
    }
    Ok(())
}

async fn open(options: &Options) -> anyhow::Result<Database> {
    if let Some(url) = &options.postgres_url {
        let settings = PostgresSettings { schema: options.postgres_schema.clone(), ..PostgresSettings::default() };
        return Database::postgres(url.expose_secret(), settings).await.context(POSTGRES_URL);
    }
    let file = options.data.join(DATABASE_FILE);
    anyhow::ensure!(
        file.exists(),
        "{} is not there: give MUSTER_POSTGRES_URL (--postgres-url), or --data for the folder of muster dev",
        file.display()
    );
    Database::sqlite_file(&file).await.context("the embedded database")
}

/// Refuses a database whose schema is older than this executable expects.
pub async fn check_is_current(database: &Database) -> anyhow::Result<()> {
    let missing =
        pkg_db::status(database).await?.into_iter().filter(|migration| migration.applied_at.is_none()).count();
    anyhow::ensure!(missing == 0, "the database lacks {missing} migrations: run muster migrate up");
    Ok(())
}

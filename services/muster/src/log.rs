//! `muster log`: the durable log, for people.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use pkg_ambient::Ambient;
use pkg_db::Database;
use pkg_log::kafka::{self, KafkaLog};
use pkg_log::sqlite::{self, SqliteLog};
use pkg_log::{Entry, Log, Start, Topic};
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::dev::DATABASE_FILE;
use crate::migrate;
use crate::options::KAFKA_BROKERS;

/// How many records are read at once.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,

    /// Some of the Kafka brokers: host:port, several with commas between.
    #[arg(long, global = true, env = "MUSTER_KAFKA_BROKERS", value_name = "HOST:PORT")]
    kafka_brokers: Option<String>,

    /// What the names of topics in Kafka begin with.
    #[arg(long, global = true, env = "MUSTER_KAFKA_PREFIX", value_name = "PREFIX", default_value = "muster")]
    kafka_prefix: String,

    /// The data folder of `muster dev`, where no Kafka broker is given.
    #[arg(long, global = true, env = "MUSTER_DATA", value_name = "FOLDER", default_value = "muster-data")]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the records of a topic as JSON, one a line: those that come from now on, until it is stopped.
    Tail {
        /// The topic: scores, matches or accounts.
        topic: Topic,

        /// Print what is there first, from the oldest record on.
        #[arg(long)]
        from_beginning: bool,

        /// End with the newest record that is there now.
        #[arg(long)]
        no_follow: bool,
    },
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let log = open(&options).await?;
    let Action::Tail { topic, from_beginning, no_follow } = options.action;
    let start = if from_beginning { Start::Beginning } else { Start::End };
    if no_follow { print_all(&*log, topic, start).await } else { follow(&*log, topic, start).await }
}

/// The log of `muster dev`, in its database.
pub fn embedded(database: &Database, ambient: &Ambient) -> anyhow::Result<SqliteLog> {
    match database {
        Database::Sqlite(pool) => Ok(SqliteLog::start(pool.clone(), ambient.clone(), sqlite::Settings::default())),
        Database::Postgres(_) => bail!("the embedded log is kept in SQLite"),
    }
}

async fn open(options: &Options) -> anyhow::Result<Arc<dyn Log>> {
    if let Some(brokers) = &options.kafka_brokers {
        let settings = kafka::Settings {
            brokers: brokers.clone(),
            prefix: options.kafka_prefix.clone(),
            ..kafka::Settings::default()
        };
        return Ok(Arc::new(KafkaLog::connect(settings).context(KAFKA_BROKERS)?));
    }
    let file = options.data.join(DATABASE_FILE);
    ensure!(
        file.exists(),
        "{} is not there: give {KAFKA_BROKERS}, or --data for the folder of muster dev",
        file.display()
    );
    let database = Database::sqlite_file(&file).await.context("the embedded database")?;
    migrate::check_is_current(&database).await?;
    Ok(Arc::new(embedded(&database, &Ambient::system())?))
}

/// Prints what comes, for ever.
async fn follow(log: &dyn Log, topic: Topic, start: Start) -> anyhow::Result<()> {
    let mut tail = pkg_log::tail(log, topic, start).await?;
    loop {
        print(topic, &tail.next(PAGE).await?)?;
    }
}

/// Prints what is there now, one partition after the other.
async fn print_all(log: &dyn Log, topic: Topic, start: Start) -> anyhow::Result<()> {
    for partition in 0..topic.partitions() {
        let range = log.range(topic, partition).await?;
        if start == Start::End || range.first == range.end {
            continue;
        }
        let mut reader = log.read(topic, partition, start).await?;
        let mut next = range.first;
        while next < range.end {
            let entries = reader.next(PAGE).await?;
            next = entries.last().map_or(range.end, |entry| entry.position.offset + 1);
            print(topic, &entries)?;
        }
    }
    Ok(())
}

fn print(topic: Topic, entries: &[Entry]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for entry in entries {
        writeln!(out, "{}", to_json(topic, entry)?)?;
    }
    Ok(out.flush()?)
}

/// A record and its place. Bytes that are no record are shown as hexadecimal digits.
fn to_json(topic: Topic, entry: &Entry) -> anyhow::Result<Value> {
    let mut line = json!({
        "topic": topic.name(),
        "partition": entry.position.partition,
        "offset": entry.position.offset,
        "time": entry.time.format(&Rfc3339)?,
    });
    match &entry.record {
        Ok(record) => line["record"] = record_to_json(&record.encode_to_vec())?,
        Err(unreadable) => line["unreadable"] = hexadecimal(&unreadable.bytes).into(),
    }
    Ok(line)
}

fn record_to_json(record: &[u8]) -> anyhow::Result<Value> {
    let described = pkg_api::descriptors().get_message_by_name("muster.log.v1.Record");
    let described = described.ok_or_else(|| anyhow!("the API has no muster.log.v1.Record"))?;
    let message = DynamicMessage::decode(described, record)?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use pkg_api::log::v1::{AccountDeleted, Record, record};
    use pkg_log::{Position, Unreadable};
    use time::OffsetDateTime;

    use super::*;

    fn entry(record: Result<Record, Unreadable>) -> Entry {
        Entry { position: Position { partition: 3, offset: 7 }, time: OffsetDateTime::UNIX_EPOCH, record }
    }

    #[test]
    fn a_record_is_shown_with_its_place() {
        let event = record::Event::AccountDeleted(AccountDeleted { user_id: "u".to_owned() });
        let record = Record { key: "u".to_owned(), event: Some(event), ..Record::default() };
        assert_eq!(
            to_json(Topic::Accounts, &entry(Ok(record))).unwrap(),
            json!({
                "topic": "accounts", "partition": 3, "offset": 7, "time": "1970-01-01T00:00:00Z",
                "record": { "key": "u", "account_deleted": { "user_id": "u" } },
            })
        );
    }

    #[test]
    fn bytes_that_are_no_record_are_shown_as_they_are() {
        let line = to_json(Topic::Scores, &entry(Err(Unreadable { bytes: vec![0, 255] }))).unwrap();
        assert_eq!(line["unreadable"], "00ff");
    }
}

//! Appends to the durable log, from this process: to Kafka, and to SQLite as `muster dev` has it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::log::v1::{Record, ScoreRecorded, record};
use pkg_db::Database;
use pkg_log::kafka::KafkaLog;
use pkg_log::sqlite::{self, SqliteLog};
use pkg_log::{Log, Topic};
use tonic::Status;

use super::{Accounts, measure};
use crate::load::Caller;
use crate::process::Parties;
use crate::report::{Permitted, Report, Target};

const TARGET_PER_SECOND: f64 = 20_000.0;
const TARGET_P99_MS: f64 = 20.0;
/// How long one append may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Boards that the scores are for: each is a key, and in one partition.
const BOARDS: u32 = 256;

pub async fn run(accounts: &Accounts, report: &mut Report) -> anyhow::Result<()> {
    let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(accounts.stores.log())?);
    let parties = accounts.stores.count(Parties::client());
    let alone = producers(&log, NonZeroU32::MIN);
    report.add(measure("append, one producer", alone, accounts.load.window(), &parties, Permitted::Nothing).await?)?;

    let many = producers(&log, accounts.load.concurrency);
    let run = measure("append, many producers", many, accounts.load.window(), &parties, Permitted::Nothing).await?;
    report.compare("appends to Kafka", run.per_second, "/s", Target::AtLeast(TARGET_PER_SECOND));
    report.compare("p99 of appends to Kafka", run.latency.p99, "ms", Target::Below(TARGET_P99_MS));
    report.add(run)?;
    log.close().await;
    embedded(accounts, report).await
}

/// What `muster dev` does with the same load: every transaction is synced to the disk.
async fn embedded(accounts: &Accounts, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = Database::sqlite_file(&folder.path().join("log.db")).await?;
    pkg_db::migrate_up(&database, None).await?;
    let Database::Sqlite(pool) = &database else { anyhow::bail!("SQLite was asked for") };
    let log: Arc<dyn Log> = Arc::new(SqliteLog::start(pool.clone(), Ambient::system(), sqlite::Settings::default()));
    let many = producers(&log, accounts.load.concurrency);
    let window = accounts.load.window();
    report.add(measure("append, SQLite", many, window, &Parties::client(), Permitted::Nothing).await?)?;
    log.close().await;
    database.close().await;
    Ok(())
}

fn producers(log: &Arc<dyn Log>, count: NonZeroU32) -> Vec<Producer> {
    (0..count.get()).map(|number| Producer { log: log.clone(), number, appended: 0 }).collect()
}

/// Appends one score after the other, to one board after the other.
struct Producer {
    log: Arc<dyn Log>,
    number: u32,
    appended: u32,
}

impl Producer {
    fn next_record(&mut self) -> Record {
        self.appended = self.appended.wrapping_add(1);
        let board = format!("board-{}", self.number.wrapping_add(self.appended) % BOARDS);
        let score = ScoreRecorded {
            game_id: "0197d6a0-0000-7000-8000-000000000001".to_owned(),
            board_key: board.clone(),
            player_id: Ambient::system().id().to_string(),
            submission_id: Ambient::system().id().to_string(),
            value: i64::from(self.appended),
            content_hash: vec![7; 32],
            ..ScoreRecorded::default()
        };
        Record {
            record_id: score.submission_id.clone(),
            key: format!("{}/{board}", score.game_id),
            event: Some(record::Event::ScoreRecorded(score)),
            ..Record::default()
        }
    }
}

impl Caller for Producer {
    async fn call(&mut self) -> Result<(), Status> {
        let record = self.next_record();
        let appended = self.log.append(Topic::Scores, &record, PATIENCE).await;
        appended.map(drop).map_err(|error| Status::unavailable(error.to_string()))
    }
}

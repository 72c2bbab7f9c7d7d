use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pkg_ambient::ManualClock;
use pkg_db::{Database, from_millis, migrate_up, to_millis};

use super::*;
use crate::tail;
use crate::testing::{contract, record};

const WITHIN: Duration = Duration::from_secs(20);

async fn pool(file: &Path) -> SqlitePool {
    let database = Database::sqlite_file(file).await.unwrap();
    migrate_up(&database, None).await.unwrap();
    match database {
        Database::Sqlite(pool) => pool,
        Database::Postgres(_) => unreachable!("it was opened as a file"),
    }
}

async fn memory() -> SqlitePool {
    let database = Database::sqlite_memory().await.unwrap();
    migrate_up(&database, None).await.unwrap();
    match database {
        Database::Sqlite(pool) => pool,
        Database::Postgres(_) => unreachable!("it was opened in memory"),
    }
}

fn log(pool: SqlitePool) -> SqliteLog {
    SqliteLog::start(pool, Ambient::system(), Settings::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let log: Arc<dyn Log> = Arc::new(log(memory().await));
    contract::verify(&log, &log).await;
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart_and_offsets_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster.db");
    let first = log(pool(&file).await);
    let before = first.append(Topic::Accounts, &record("a user", "a user"), WITHIN).await.unwrap();
    first.close().await;
    drop(first);

    let second = log(pool(&file).await);
    let after = second.append(Topic::Accounts, &record("a user", "a user"), WITHIN).await.unwrap();
    assert_eq!(after.position.offset, before.position.offset + 1);
    let mut reader = second.read(Topic::Accounts, before.position.partition, Start::Beginning).await.unwrap();
    assert_eq!(reader.next(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_second_process_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster.db");
    let (one, other) = (log(pool(&file).await), log(pool(&file).await));
    let partition = Topic::Accounts.partition_of("a user");
    let mut reader = other.read(Topic::Accounts, partition, Start::End).await.unwrap();
    let appended = one.append(Topic::Accounts, &record("a user", "a user"), WITHIN).await.unwrap();
    let entries = tokio::time::timeout(WITHIN, reader.next(10)).await.unwrap().unwrap();
    assert_eq!(entries[0].position, appended.position);
    let again = other.append(Topic::Accounts, &record("a user", "a user"), WITHIN).await.unwrap();
    assert_eq!(again.position.offset, appended.position.offset + 1);
}

#[tokio::test]
async fn bytes_that_are_no_record_stop_nobody() {
    let log = log(memory().await);
    let junk = log.append_bytes(Topic::Scores, "a board", b"\xff\xff".to_vec(), WITHIN).await.unwrap();
    log.append(Topic::Scores, &record("a board", "somebody"), WITHIN).await.unwrap();
    let mut reader = log.read(Topic::Scores, junk.position.partition, Start::Beginning).await.unwrap();
    let entries = reader.next(10).await.unwrap();
    assert_eq!(entries[0].record.as_ref().unwrap_err().bytes, b"\xff\xff");
    assert!(entries[1].record.is_ok());
}

#[tokio::test]
async fn a_clock_that_went_back_does_not_turn_the_time_back() {
    let pool = memory().await;
    let clock = ManualClock::new();
    clock.advance(Duration::from_mins(1));
    let ahead = SqliteLog::start(pool.clone(), Ambient::with_clock(clock), Settings::default());
    let before = ahead.append(Topic::Scores, &record("a board", "somebody"), WITHIN).await.unwrap();
    let behind = SqliteLog::start(pool, Ambient::with_clock(ManualClock::new()), Settings::default());
    let after = behind.append(Topic::Scores, &record("a board", "somebody"), WITHIN).await.unwrap();
    assert_eq!(after.time, before.time);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let settings = Settings { queue_records: 1, ..Settings::default() };
    let pool = memory().await;
    let log = SqliteLog::start(pool.clone(), Ambient::system(), settings);
    // Nothing is written while the one connection is taken.
    let connection = pool.acquire().await.unwrap();
    let records: Vec<Record> = (0..5).map(|_| record("a board", "somebody")).collect();
    let appends = records.iter().map(|record| log.append(Topic::Scores, record, WITHIN));
    let (outcomes, ()) = tokio::join!(futures::future::join_all(appends), async {
        tokio::task::yield_now().await;
        drop(connection);
    });
    assert!(outcomes.iter().any(Result::is_ok));
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(AppendError::Full))));
}

#[tokio::test]
async fn who_waits_too_long_is_told_that_nobody_knows() {
    let pool = memory().await;
    let log = log(pool.clone());
    let connection = pool.acquire().await.unwrap();
    let outcome = log.append(Topic::Scores, &record("a board", "somebody"), Duration::from_millis(20)).await;
    assert!(matches!(outcome, Err(AppendError::Unknown(_))));
    drop(connection);
}

#[tokio::test]
async fn old_records_of_accounts_go_and_their_offsets_are_not_used_again() {
    let pool = memory().await;
    let clock = ManualClock::new();
    let log = SqliteLog::start(pool.clone(), Ambient::with_clock(clock.clone()), Settings::default());
    let old = log.append(Topic::Accounts, &record("a user", "a user"), WITHIN).await.unwrap();
    let score = log.append(Topic::Scores, &record("a user", "a user"), WITHIN).await.unwrap();
    let partition = old.position.partition;
    let mut reader = log.read(Topic::Accounts, partition, Start::Beginning).await.unwrap();

    let removed = retention::trim_topic(&pool, Topic::Accounts, to_millis(old.time)).await.unwrap();
    assert_eq!(removed, 0);
    let later = old.time + time::Duration::milliseconds(1);
    let removed = retention::trim_topic(&pool, Topic::Accounts, to_millis(later)).await.unwrap();
    assert_eq!(removed, 1);
    let range = log.range(Topic::Accounts, partition).await.unwrap();
    assert_eq!((range.first, range.end), (1, 1));
    assert!(matches!(reader.next(1).await, Err(ReadError::OutOfRange { offset: 0, .. })));
    assert_eq!(log.range(Topic::Scores, score.position.partition).await.unwrap().first, 0);
    assert_eq!(log.append(Topic::Accounts, &record("a user", "a user"), WITHIN).await.unwrap().position.offset, 1);
    assert_eq!(from_millis(to_millis(old.time)), old.time);
}

#[tokio::test]
async fn a_worker_that_does_not_let_go_is_not_waited_for_for_ever() {
    let settings = Settings { handover_limit: Duration::from_millis(50), ..Settings::default() };
    let log = SqliteLog::start(memory().await, Ambient::system(), settings);
    let mut stuck = log.join(Topic::Accounts, "a group").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..Topic::Accounts.partitions() {
        held.push(stuck.next_partition().await.unwrap());
    }
    let mut next = log.join(Topic::Accounts, "a group").await.unwrap();
    let partition = tokio::time::timeout(WITHIN, next.next_partition()).await.unwrap().unwrap();
    assert!(held.iter().any(|other| other.is_ending() && other.number() == partition.number()));
}

/// The database of the process that is killed.
const FILE: &str = "MUSTER_TEST_CHILD_FILE";

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_acknowledged() {
    const ENOUGH: usize = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::tests::as_a_process_of_its_own", "--ignored", "--nocapture"])
        .env(FILE, &file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut missing = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let Some(line) = line.strip_prefix("acknowledged ") else { continue };
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        let (id, partition, offset) = (word(), word().parse().unwrap(), word().parse().unwrap());
        missing.insert(id, Position { partition, offset });
        if missing.len() == ENOUGH {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(missing.len() >= ENOUGH);

    let log = log(pool(&file).await);
    let mut tail = tail(&log, Topic::Scores, Start::Beginning).await.unwrap();
    while !missing.is_empty() {
        for entry in tokio::time::timeout(WITHIN, tail.next(1_000)).await.expect("nothing is missing").unwrap() {
            if let Some(position) = missing.remove(&entry.record.unwrap().record_id) {
                assert_eq!(position, entry.position);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by another test, as a process that it can kill"]
async fn as_a_process_of_its_own() {
    let log = log(pool(&PathBuf::from(std::env::var_os(FILE).unwrap())).await);
    let append = async |writer: i32| {
        loop {
            let record = record(&format!("writer {writer}"), "somebody");
            let position = log.append(Topic::Scores, &record, WITHIN).await.unwrap().position;
            println!("acknowledged {} {} {}", record.record_id, position.partition, position.offset);
        }
    };
    tokio::time::timeout(WITHIN, futures::future::join_all((0..16).map(append))).await.unwrap_err();
}

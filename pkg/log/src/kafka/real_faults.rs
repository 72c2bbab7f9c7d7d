//! What is lost when brokers and clients are killed: nothing that was acknowledged. Each test has a broker of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::bindings::{rd_kafka_resp_err_t, rd_kafka_test_fatal_error};
use tokio::time::Instant;

use super::*;
use crate::testing::{KafkaServer, record, settings_of};
use crate::{Entry, Partition, tail};

const WITHIN: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_mins(1);
const MODE: &str = "MUSTER_TEST_CHILD";
const BROKERS: &str = "MUSTER_TEST_CHILD_BROKERS";
const PREFIX: &str = "MUSTER_TEST_CHILD_PREFIX";

async fn prepared(server: &KafkaServer) -> Settings {
    let settings = Settings { session_timeout: Duration::from_secs(2), ..settings_of(server.brokers()) };
    prepare_topics(&settings).await.unwrap();
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_down_is_unavailable_within_the_deadline() {
    const SHORT: Duration = Duration::from_millis(500);
    let mut server = KafkaServer::start();
    let settings = prepared(&server).await;
    let log = KafkaLog::connect(settings.clone()).unwrap();
    log.append(Topic::Scores, &record("a board", "somebody"), WITHIN).await.unwrap();

    server.kill();
    let fresh = KafkaLog::connect(settings).unwrap();
    for log in [&log, &fresh] {
        let deadline = Instant::now() + LIMIT;
        loop {
            let started = Instant::now();
            let outcome = log.append(Topic::Scores, &record("a board", "somebody"), SHORT).await;
            assert!(started.elapsed() < 2 * SHORT);
            match outcome {
                Err(AppendError::Unavailable(_)) => break,
                // The end of the connection has not been noticed yet.
                Err(AppendError::Unknown(_)) => assert!(Instant::now() < deadline),
                other => panic!("a broker that is down answered {other:?}"),
            }
        }
        assert!(matches!(log.check(SHORT).await, Err(Unready::Unavailable(_))));
    }
    assert!(matches!(log.range(Topic::Scores, 0).await, Err(ReadError::Unavailable(_))));

    server.start_again();
    for log in [&log, &fresh] {
        log.append(Topic::Scores, &record("a board", "somebody"), LIMIT).await.unwrap();
        log.check(WITHIN).await.unwrap();
    }
}

/// What one writer was told of each of its records.
#[derive(Default)]
struct Told {
    appended: BTreeMap<String, Appended>,
    unknown: BTreeMap<String, usize>,
}

/// Appends records with one key one after another, and repeats each until it is acknowledged.
async fn insist(log: KafkaLog, key: String, stop: tokio_util::sync::CancellationToken) -> Told {
    let mut told = Told::default();
    for turn in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let record = record(&key, &turn.to_string());
        loop {
            match log.append(Topic::Scores, &record, Duration::from_secs(1)).await {
                Ok(appended) => {
                    told.appended.insert(record.record_id, appended);
                    break;
                }
                Err(AppendError::Unknown(_)) => *told.unknown.entry(record.record_id.clone()).or_default() += 1,
                Err(AppendError::Unavailable(_) | AppendError::Full) => (),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_nothing_acknowledged_and_doubles_nothing_by_itself() {
    const WRITERS: usize = 16;
    let mut server = KafkaServer::start();
    let settings = prepared(&server).await;
    let log = KafkaLog::connect(settings).unwrap();
    let mut tail = tail(&log, Topic::Scores, Start::Beginning).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(insist(log.clone(), format!("writer {number}"), stop.clone())))
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.kill();
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.start_again();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.cancel();
    let mut told = Told::default();
    for writer in writers {
        let one = tokio::time::timeout(LIMIT, writer).await.unwrap().unwrap();
        told.appended.extend(one.appended);
        told.unknown.extend(one.unknown);
    }

    // What was late is in the log after this at the latest.
    log.close().await;
    let mut expected = 0;
    for partition in 0..Topic::Scores.partitions() {
        expected += usize::try_from(log.range(Topic::Scores, partition).await.unwrap().end).unwrap();
    }
    let mut seen: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let mut count = 0;
    while count < expected {
        // The reader that was there before has gone on by itself.
        for entry in tokio::time::timeout(LIMIT, tail.next(1_000)).await.unwrap().unwrap() {
            count += 1;
            seen.entry(entry.record.as_ref().unwrap().record_id.clone()).or_default().push(entry);
        }
    }
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (id, appended) in &told.appended {
        let copies = &seen[id];
        assert!(copies.iter().any(|entry| entry.position == appended.position && entry.time == appended.time));
        assert!(copies.len() <= 1 + told.unknown.get(id).copied().unwrap_or(0), "{} copies of {id}", copies.len());
    }
    assert_eq!(seen.len(), told.appended.len(), "somebody has invented a record");
    // Of each key the first copies are in the order in which they were appended.
    let mut firsts: Vec<&Entry> = seen.values().map(|copies| &copies[0]).collect();
    firsts.sort_by_key(|entry| entry.position);
    for entry in firsts {
        let record = entry.record.as_ref().unwrap();
        let turn = turn_of(record);
        let before = last.insert(record.key.clone(), turn);
        assert_eq!(turn, before.map_or(0, |before| before + 1), "of {}", record.key);
    }
    let unknown: usize = told.unknown.values().sum();
    println!("{} acknowledged, {unknown} unknown, {} copies too many", told.appended.len(), count - seen.len());
    assert!(told.appended.len() > WRITERS * 10);
}

fn turn_of(record: &Record) -> i64 {
    match &record.event {
        Some(pkg_api::log::v1::record::Event::AccountDeleted(deleted)) => deleted.user_id.parse().unwrap(),
        other => panic!("not one of ours: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_loses_nothing_acknowledged() {
    const ENOUGH: usize = 2_000;
    let server = KafkaServer::start();
    let settings = prepared(&server).await;
    let mut child = start_child("append", &settings);
    let acknowledged = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = BTreeMap::new();
        for line in lines.map_while(Result::ok) {
            let Some(line) = line.strip_prefix("acknowledged ") else { continue };
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap().to_owned();
            let (id, partition, offset) = (word(), word().parse().unwrap(), word().parse().unwrap());
            acknowledged.insert(id, Position { partition, offset });
            if acknowledged.len() == ENOUGH {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        acknowledged
    });
    let acknowledged = tokio::time::timeout(LIMIT, acknowledged).await.unwrap().unwrap();
    assert!(acknowledged.len() >= ENOUGH);

    let log = KafkaLog::connect(settings).unwrap();
    let mut tail = tail(&log, Topic::Scores, Start::Beginning).await.unwrap();
    let mut missing = acknowledged;
    while !missing.is_empty() {
        for entry in tokio::time::timeout(WITHIN, tail.next(1_000)).await.expect("nothing is missing").unwrap() {
            if let Some(position) = missing.remove(&entry.record.unwrap().record_id) {
                assert_eq!(position, entry.position);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_killed_is_replaced() {
    let server = KafkaServer::start();
    let settings = prepared(&server).await;
    let mut child = start_child("work", &settings);
    let (child, all) = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let all = lines.by_ref().filter(|line| line == "partition").take(12).count();
        (child, all)
    })
    .await
    .unwrap();
    assert_eq!(all, 12, "the other process has all partitions");

    let log = KafkaLog::connect(settings).unwrap();
    let mut consumer = log.join(Topic::Scores, "workers").await.unwrap();
    let mut child = child;
    let mut partitions: Vec<Partition> = Vec::new();
    partitions.push(tokio::time::timeout(LIMIT, consumer.next_partition()).await.unwrap().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    while partitions.len() < 12 {
        partitions.push(tokio::time::timeout(LIMIT, consumer.next_partition()).await.unwrap().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_works_on_after_its_broker_was_killed() {
    let mut server = KafkaServer::start();
    let settings = prepared(&server).await;
    let log = KafkaLog::connect(settings).unwrap();
    let mut consumer = log.join(Topic::Scores, "workers").await.unwrap();
    let partition = Topic::Scores.partition_of("a board");
    log.append(Topic::Scores, &record("a board", "before"), WITHIN).await.unwrap();
    assert_eq!(first_of(&mut consumer, partition, 0).await.position.offset, 0);
    server.kill();
    server.start_again();
    let appended = log.append(Topic::Scores, &record("a board", "after"), LIMIT).await.unwrap();
    let entry = first_of(&mut consumer, partition, appended.position.offset).await;
    assert_eq!(entry.position, appended.position);
}

/// The entry at an offset, as a worker on that partition sees it, whatever happens to the group meanwhile.
async fn first_of(consumer: &mut Consumer, number: i32, offset: i64) -> Entry {
    let reading = async {
        let mut others = Vec::new();
        loop {
            let mut partition = consumer.next_partition().await.unwrap();
            if partition.number() != number {
                others.push(partition);
                continue;
            }
            if partition.begin(Start::At(offset)).await.is_err() {
                continue;
            }
            if let Ok(Some(mut entries)) = partition.next(1).await {
                return entries.remove(0);
            }
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_was_given_up_is_replaced() {
    let server = KafkaServer::start();
    let log = KafkaLog::connect(prepared(&server).await).unwrap();
    log.append(Topic::Scores, &record("a board", "before"), WITHIN).await.unwrap();
    let given_up = log.inner.appender.ask(|client| {
        #[expect(unsafe_code, reason = "there is no other way to bring it about")]
        // SAFETY: the client is alive, and the reason is a string that ends with a zero.
        let code = unsafe {
            let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
            rd_kafka_test_fatal_error(client.native_ptr(), code, c"for the test".as_ptr())
        };
        Ok(code)
    });
    assert_eq!(given_up, Ok(rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR));
    let deadline = Instant::now() + LIMIT;
    let record = record("a board", "after");
    while let Err(error) = log.append(Topic::Scores, &record, WITHIN).await {
        assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn start_child(mode: &str, settings: &Settings) -> Child {
    let test = "kafka::real_faults::as_a_process_of_its_own";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(MODE, mode)
        .env(BROKERS, &settings.brokers)
        .env(PREFIX, &settings.prefix)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by other tests, as a process that they can kill"]
async fn as_a_process_of_its_own() {
    let variable = |name| std::env::var(name).unwrap();
    let settings = Settings {
        brokers: variable(BROKERS),
        prefix: variable(PREFIX),
        session_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let log = KafkaLog::connect(settings).unwrap();
    if variable(MODE) == "append" {
        let append = async |writer: i32| {
            loop {
                let record = record(&format!("writer {writer}"), "somebody");
                let position = log.append(Topic::Scores, &record, WITHIN).await.unwrap().position;
                println!("acknowledged {} {} {}", record.record_id, position.partition, position.offset);
            }
        };
        tokio::time::timeout(LIMIT, futures::future::join_all((0..16).map(append))).await.unwrap_err();
    } else {
        let mut consumer = log.join(Topic::Scores, "workers").await.unwrap();
        let working = async {
            let mut partitions = tokio::task::JoinSet::new();
            while let Some(mut partition) = consumer.next_partition().await {
                println!("partition");
                partitions.spawn(async move { while let Ok(Some(_)) = partition.next(1).await {} });
            }
        };
        tokio::time::timeout(LIMIT, working).await.unwrap_err();
    }
}

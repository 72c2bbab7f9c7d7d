//! What every log promises.
//!
//! The functions share the topics and leave what others have written alone: each goes by keys and groups of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use pkg_ambient::Ambient;
use pkg_api::log::v1::{Record, record::Event};

use super::record;
use crate::{
    AppendError, Appended, Consumer, Entry, Log, MAX_RECORD_BYTES, Partition, Position, ReadError, Reader, Start,
    Topic, tail,
};

/// How long an append may take, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(20);
/// The longest wait for anything.
const LIMIT: Duration = Duration::from_secs(30);
/// For a short while nothing happens where nothing should.
const A_WHILE: Duration = Duration::from_millis(300);

/// Runs the whole contract against a log, given twice: as two processes would have it, where it can be used by two. It
/// closes both.
///
/// # Panics
/// If the log breaks a promise.
pub async fn verify(one: &Arc<dyn Log>, other: &Arc<dyn Log>) {
    a_record_is_read_as_it_was_appended(&**one, &**other).await;
    offsets_rise_by_one(&**one).await;
    keys_decide_the_partition(&**one).await;
    the_end_is_behind_what_was_acknowledged(&**one, &**other).await;
    each_key_keeps_its_order(&**one, &**other).await;
    reading_begins_at_any_position(&**one).await;
    what_is_not_there_cannot_be_read(&**one).await;
    a_reader_is_woken(&**one, &**other).await;
    nothing_is_lost_when_a_reader_is_not_awaited(&**one).await;
    several_readers_read_one_partition(&**one).await;
    a_tail_shows_all_partitions(&**one).await;
    what_is_too_large_is_refused(&**one).await;
    one_member_gets_all_partitions(&**one).await;
    a_dropped_partition_is_offered_again(&**one).await;
    a_handover_waits_for_the_work_to_end(&**one, &**other).await;
    members_share_and_hand_over_without_loss(one, other).await;
    groups_do_not_disturb_one_another(&**one).await;
    a_closed_log_is_over(&**one, &**other).await;
}

async fn a_record_is_read_as_it_was_appended(one: &dyn Log, other: &dyn Log) {
    let record = Record { request_id: "a request".to_owned(), ..record("as it was", "somebody") };
    let appended = append(one, &record).await;
    let mut reader = read(other, appended.position.partition, Start::At(appended.position.offset)).await;
    let entry = next(&mut *reader).await.remove(0);
    assert_eq!(entry.position, appended.position);
    assert_eq!(entry.time, appended.time);
    assert_eq!(entry.record, Ok(record));
    assert_eq!(appended.time.nanosecond() % 1_000_000, 0);
}

async fn offsets_rise_by_one(log: &dyn Log) {
    let first = append(log, &record("rising", "1")).await;
    let second = append(log, &record("rising", "2")).await;
    assert_eq!(second.position.partition, first.position.partition);
    assert_eq!(second.position.offset, first.position.offset + 1);
    assert!(second.time >= first.time);
}

async fn keys_decide_the_partition(log: &dyn Log) {
    let keys: Vec<String> = (0..50).map(|number| format!("key {number}")).collect();
    let mut used = BTreeSet::new();
    for key in &keys {
        let appended = append(log, &record(key, "somebody")).await;
        assert_eq!(appended.position.partition, Topic::Scores.partition_of(key));
        used.insert(appended.position.partition);
    }
    assert_eq!(used, (0..Topic::Scores.partitions()).collect());
}

async fn the_end_is_behind_what_was_acknowledged(one: &dyn Log, other: &dyn Log) {
    let position = append(one, &record("the end", "somebody")).await.position;
    let range = other.range(Topic::Scores, position.partition).await.expect("the log serves");
    assert!(range.end > position.offset);
    assert!(range.first <= position.offset);
    let empty = other.range(Topic::Matches, 0).await.expect("the log serves");
    assert_eq!((empty.first, empty.end), (0, 0));
}

async fn each_key_keeps_its_order(one: &dyn Log, other: &dyn Log) {
    const KEYS: usize = 20;
    const EACH: usize = 50;
    let mut tail = tail(one, Topic::Scores, Start::End).await.expect("the log serves");
    let key = |key: usize| format!("ordered {key}");
    // Of each key all are under way at the same time, half of the keys by each log.
    let of_a_key = |number: usize| {
        let log = if number.is_multiple_of(2) { one } else { other };
        let records: Vec<Record> = (0..EACH).map(|turn| record(&key(number), &turn.to_string())).collect();
        async move { join_all(records.iter().map(|record| append(log, record))).await }
    };
    let appended = join_all((0..KEYS).map(of_a_key)).await;
    for positions in appended {
        assert!(positions.is_sorted_by(|one, other| one.position < other.position));
    }

    let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    while seen.values().map(Vec::len).sum::<usize>() < KEYS * EACH {
        let entries = within(tail.next(100)).await.expect("the log serves");
        for record in entries.into_iter().filter_map(|entry| entry.record.ok()) {
            let turn = user(&record).parse().expect("they are numbered");
            seen.entry(record.key).or_default().push(turn);
        }
    }
    for number in 0..KEYS {
        assert_eq!(seen[&key(number)], (0..EACH).collect::<Vec<_>>());
    }
}

async fn reading_begins_at_any_position(log: &dyn Log) {
    const RECORDS: i64 = 60;
    let mut first = None;
    for turn in 0..RECORDS {
        let appended = append(log, &record("replayed", &turn.to_string())).await;
        first.get_or_insert(appended.position);
    }
    let Position { partition, offset: first } = first.expect("there was one");
    let mut reader = read(log, partition, Start::Beginning).await;
    assert_eq!(next(&mut *reader).await[0].position.offset, 0);
    drop(reader);

    // Not in their order, with records read ahead that another start must not see.
    for step in 0..RECORDS {
        let start = first + (step * 37) % RECORDS;
        let mut reader = read(log, partition, Start::At(start)).await;
        for expected in start..(start + 3).min(first + RECORDS) {
            let entries = within(reader.next(1)).await.expect("the log serves");
            assert_eq!(entries.iter().map(|entry| entry.position.offset).collect::<Vec<_>>(), [expected]);
        }
    }
    let mut at_end = read(log, partition, Start::End).await;
    assert!(tokio::time::timeout(A_WHILE, at_end.next(1)).await.is_err());
}

async fn what_is_not_there_cannot_be_read(log: &dyn Log) {
    let partition = Topic::Scores.partition_of("replayed");
    let range = log.range(Topic::Scores, partition).await.expect("the log serves");
    for offset in [-1, range.end + 1] {
        match log.read(Topic::Scores, partition, Start::At(offset)).await {
            Err(ReadError::OutOfRange { offset: refused, range: told, .. }) => {
                assert_eq!((refused, told), (offset, range));
            }
            other => panic!("{offset} can be read: {:?}", other.err()),
        }
    }
    for partition in [-1, Topic::Scores.partitions()] {
        let read = log.read(Topic::Scores, partition, Start::Beginning).await;
        assert!(matches!(read.err(), Some(ReadError::NoPartition { .. })));
    }
}

async fn a_reader_is_woken(one: &dyn Log, other: &dyn Log) {
    let partition = Topic::Scores.partition_of("awake");
    let mut reader = read(one, partition, Start::End).await;
    let appending = async {
        tokio::time::sleep(A_WHILE).await;
        append(other, &record("awake", "now")).await
    };
    let (entries, appended) = tokio::join!(next(&mut *reader), appending);
    assert_eq!(entries[0].position, appended.position);
}

async fn nothing_is_lost_when_a_reader_is_not_awaited(log: &dyn Log) {
    const RECORDS: usize = 100;
    let partition = Topic::Scores.partition_of("impatient");
    let mut reader = read(log, partition, Start::End).await;
    let appending = async {
        for turn in 0..RECORDS {
            append(log, &record("impatient", &turn.to_string())).await;
        }
    };
    let reading = async {
        let mut seen = Vec::new();
        while seen.len() < RECORDS {
            if let Ok(entries) = tokio::time::timeout(Duration::from_micros(200), reader.next(3)).await {
                seen.extend(entries.expect("the log serves"));
            }
        }
        seen
    };
    let ((), seen) = within(async { tokio::join!(appending, reading) }).await;
    let turns: Vec<String> = seen.iter().map(|entry| user(entry.record.as_ref().expect("it is one"))).collect();
    assert_eq!(turns, (0..RECORDS).map(|turn| turn.to_string()).collect::<Vec<_>>());
}

async fn several_readers_read_one_partition(log: &dyn Log) {
    let position = append(log, &record("shared", "somebody")).await.position;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(read(log, position.partition, Start::At(position.offset)).await);
    }
    for reader in &mut readers {
        assert_eq!(next(&mut **reader).await[0].position, position);
    }
}

async fn a_tail_shows_all_partitions(log: &dyn Log) {
    let mut tail = tail(log, Topic::Scores, Start::End).await.expect("the log serves");
    let mut expected = BTreeSet::new();
    for number in 0..50 {
        expected.insert(append(log, &record(&format!("tail {number}"), "somebody")).await.position);
    }
    let mut seen = BTreeSet::new();
    while seen.len() < expected.len() {
        let entries = within(tail.next(7)).await.expect("the log serves");
        assert!(entries.len() <= 7);
        seen.extend(entries.iter().map(|entry| entry.position));
    }
    assert_eq!(seen, expected);
}

async fn what_is_too_large_is_refused(log: &dyn Log) {
    let fits = record("large", &"x".repeat(MAX_RECORD_BYTES - 100));
    let appended = append(log, &fits).await;
    let mut reader = read(log, appended.position.partition, Start::At(appended.position.offset)).await;
    assert_eq!(next(&mut *reader).await[0].record, Ok(fits));

    let large = record("large", &"x".repeat(MAX_RECORD_BYTES));
    let refused = log.append(Topic::Scores, &large, WITHIN).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes }) if bytes > MAX_RECORD_BYTES));
}

async fn one_member_gets_all_partitions(log: &dyn Log) {
    let mut consumer = join(log, &fresh("alone")).await;
    let partitions = take(&mut consumer, Topic::Scores.partitions()).await;
    let numbers: BTreeSet<i32> = partitions.iter().map(Partition::number).collect();
    assert_eq!(numbers, (0..Topic::Scores.partitions()).collect());
    assert!(tokio::time::timeout(A_WHILE, consumer.next_partition()).await.is_err());
    assert!(partitions.iter().all(|partition| !partition.is_ending()));
}

async fn a_dropped_partition_is_offered_again(log: &dyn Log) {
    let mut consumer = join(log, &fresh("failing")).await;
    let mut partitions = take(&mut consumer, Topic::Scores.partitions()).await;
    let dropped = partitions.remove(0).number();
    let mut again = within(consumer.next_partition()).await.expect("the log is open");
    assert_eq!(again.number(), dropped);
    // Without a beginning it reads from the first record.
    let entries = within(again.next(1)).await.expect("the log serves").expect("it is not handed over");
    assert_eq!(entries[0].position, Position { partition: dropped, offset: 0 });
}

async fn a_handover_waits_for_the_work_to_end(one: &dyn Log, other: &dyn Log) {
    let group = fresh("handover");
    let mut first = join(one, &group).await;
    let mut partitions = take(&mut first, Topic::Scores.partitions()).await;
    for partition in &mut partitions {
        partition.begin(Start::End).await.expect("the log serves");
    }
    let mut second = join(other, &group).await;

    // Half of them are to be handed over, and say so to who reads them.
    let half = usize::try_from(Topic::Scores.partitions()).expect("it is positive") / 2;
    within(async {
        while partitions.iter().filter(|partition| partition.is_ending()).count() < half {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(tokio::time::timeout(A_WHILE, second.next_partition()).await.is_err(), "the work has not ended");

    let (mut ending, kept): (Vec<_>, Vec<_>) = partitions.into_iter().partition(Partition::is_ending);
    for partition in &mut ending {
        assert!(within(partition.next(1)).await.expect("it is no error").is_none());
    }
    let handed_over: BTreeSet<i32> = ending.iter().map(Partition::number).collect();
    assert_eq!(handed_over.len(), half);
    drop(ending);
    let taken = take(&mut second, Topic::Scores.partitions() / 2).await;
    assert_eq!(taken.iter().map(Partition::number).collect::<BTreeSet<_>>(), handed_over);
    assert!(kept.iter().all(|partition| !partition.is_ending()));
}

/// Where the members of a group keep what they have worked on, as a service's database does.
#[derive(Default)]
struct Store {
    next: BTreeMap<i32, i64>,
    applied: BTreeMap<String, usize>,
}

async fn members_share_and_hand_over_without_loss(one: &Arc<dyn Log>, other: &Arc<dyn Log>) {
    const RECORDS: usize = 300;
    let (group, store) = (fresh("handing over"), Arc::new(Mutex::new(Store::default())));
    let start = |log: &Arc<dyn Log>| tokio::spawn(work(log.clone(), group.clone(), store.clone()));
    let key = fresh("key");
    let applied = || store.lock().expect("nobody panicked").applied.len();

    // They come and go in all phases while records come in.
    let mut workers = vec![start(one)];
    for number in 0..RECORDS {
        let id = format!("{key} {number}");
        append(&**one, &Record { record_id: id.clone(), ..record(&id, &key) }).await;
        match number {
            60 => workers.push(start(other)),
            120 => workers.push(start(one)),
            180 | 240 => workers.remove(0).abort(),
            _ => (),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    within(async {
        while applied() < RECORDS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for worker in workers {
        worker.abort();
    }
    let store = store.lock().expect("nobody panicked");
    assert!(store.applied.values().all(|times| *times == 1), "applied twice: {:?}", store.applied);
}

/// A member that works on whatever it gets, until it is aborted.
async fn work(log: Arc<dyn Log>, group: String, store: Arc<Mutex<Store>>) {
    let mut consumer = join(&*log, &group).await;
    let mut workers = tokio::task::JoinSet::new();
    while let Some(mut partition) = consumer.next_partition().await {
        let store = store.clone();
        workers.spawn(async move {
            let number = partition.number();
            let next = store.lock().expect("nobody panicked").next.get(&number).copied();
            partition.begin(next.map_or(Start::Beginning, Start::At)).await.expect("the log serves");
            while let Some(entries) = partition.next(10).await.expect("the log serves") {
                tokio::task::yield_now().await;
                apply(&mut store.lock().expect("nobody panicked"), number, &entries);
            }
        });
    }
}

/// Compare-and-set: what another member has gone past is not done again.
fn apply(store: &mut Store, partition: i32, entries: &[Entry]) {
    for entry in entries {
        let next = store.next.entry(partition).or_default();
        assert!(entry.position.offset <= *next, "a record was skipped");
        if entry.position.offset < *next {
            continue;
        }
        *next += 1;
        // Records of other functions of the contract are there as well.
        if let Ok(record) = &entry.record
            && record.record_id == record.key
        {
            *store.applied.entry(record.record_id.clone()).or_default() += 1;
        }
    }
}

async fn groups_do_not_disturb_one_another(log: &dyn Log) {
    let (mut one, mut other) = (join(log, &fresh("one")).await, join(log, &fresh("other")).await);
    let partitions = Topic::Scores.partitions();
    let (ones, others) = tokio::join!(take(&mut one, partitions), take(&mut other, partitions));
    assert_eq!(ones.len(), others.len());
}

async fn a_closed_log_is_over(one: &dyn Log, other: &dyn Log) {
    let mut consumer = join(one, &fresh("closing")).await;
    within(one.check(WITHIN)).await.expect("the log serves");
    within(async { tokio::join!(one.close(), other.close()) }).await;
    assert!(within(consumer.next_partition()).await.is_none());
    let refused = one.append(Topic::Scores, &record("closed", "somebody"), WITHIN).await;
    assert!(matches!(refused, Err(AppendError::Closed)));
}

async fn append(log: &dyn Log, record: &Record) -> Appended {
    log.append(Topic::Scores, record, WITHIN).await.expect("the log serves")
}

async fn read(log: &dyn Log, partition: i32, start: Start) -> Box<dyn Reader> {
    within(log.read(Topic::Scores, partition, start)).await.expect("the log serves")
}

async fn next(reader: &mut dyn Reader) -> Vec<Entry> {
    within(reader.next(100)).await.expect("the log serves")
}

async fn join(log: &dyn Log, group: &str) -> Consumer {
    within(log.join(Topic::Scores, group)).await.expect("the log serves")
}

/// So many partitions of a member's.
async fn take(consumer: &mut Consumer, count: i32) -> Vec<Partition> {
    let mut partitions = Vec::new();
    for _ in 0..count {
        partitions.push(within(consumer.next_partition()).await.expect("the log is open"));
    }
    partitions
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("it does not take that long")
}

fn user(record: &Record) -> String {
    match &record.event {
        Some(Event::AccountDeleted(deleted)) => deleted.user_id.clone(),
        other => panic!("not one of ours: {other:?}"),
    }
}

fn fresh(name: &str) -> String {
    format!("{name} {}", Ambient::system().id().simple()).replace(' ', "-")
}

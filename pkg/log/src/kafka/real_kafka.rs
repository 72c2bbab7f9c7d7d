use std::time::Duration;

use futures::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::*;
use crate::testing::{contract, kafka, kafka_with, record, settings};

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let kafka = kafka().await;
    let one: Arc<dyn Log> = Arc::new(kafka.clone());
    let other: Arc<dyn Log> = Arc::new(KafkaLog::connect(kafka.settings().clone()).unwrap());
    contract::verify(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_record_stop_nobody() {
    let log = kafka().await;
    let junk = log.append_bytes(Topic::Scores, "a board", b"\xff\xff", WITHIN).await.unwrap();
    log.append(Topic::Scores, &record("a board", "somebody"), WITHIN).await.unwrap();
    let mut reader = log.read(Topic::Scores, junk.position.partition, Start::Beginning).await.unwrap();
    let mut entries = Vec::new();
    while entries.len() < 2 {
        entries.extend(tokio::time::timeout(WITHIN, reader.next(10)).await.unwrap().unwrap());
    }
    assert_eq!(entries[0].record.as_ref().unwrap_err().bytes, b"\xff\xff");
    assert!(entries[1].record.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_queue_is_refused() {
    const FIT: usize = 10;
    let waiting = Settings { queue_records: FIT, linger: Duration::from_millis(500), ..settings() };
    let log = kafka_with(waiting).await;
    // Once there is a connection, everything below is in the queue at the same time.
    log.append(Topic::Scores, &record("a board", "somebody"), WITHIN).await.unwrap();
    let records: Vec<Record> = (0..10 * FIT).map(|_| record("a board", "somebody")).collect();
    let outcomes = join_all(records.iter().map(|record| log.append(Topic::Scores, record, WITHIN))).await;

    // How many fit is not exact: the client gives a record's place back a moment after it has told of its delivery.
    let appended: Vec<Position> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).map(|record| record.position).collect();
    assert!((1..=2 * FIT).contains(&appended.len()), "{} were appended", appended.len());
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(AppendError::Full))).count();
    assert_eq!(appended.len() + refused, outcomes.len());
    let range = log.range(Topic::Scores, appended[0].partition).await.unwrap();
    let kept = usize::try_from(range.end - range.first).unwrap();
    assert_eq!(kept, appended.len() + 1, "what was refused is not in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_topics_is_not_ready() {
    let log = KafkaLog::connect(settings()).unwrap();
    assert!(matches!(log.check(WITHIN).await, Err(Unready::Unprepared { partitions: 0, expected: 12, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_prepared_again_and_what_may_be_changed_is() {
    let kafka = kafka().await;
    let settings = kafka.settings();
    let accounts = settings.topic_name(Topic::Accounts);
    let scores = settings.topic_name(Topic::Scores);
    has(settings, &scores, "retention.ms", "-1").await;
    has(settings, &scores, "message.timestamp.type", "LogAppendTime").await;

    // As an operator might have done.
    let change = AlterConfig::new(ResourceSpecifier::Topic(&accounts))
        .set("retention.ms", "1000")
        .set("message.timestamp.type", "LogAppendTime")
        .set("segment.bytes", "1234567");
    admin(settings).alter_configs([&change], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    has(settings, &accounts, "retention.ms", "1000").await;
    prepare_topics(settings).await.unwrap();
    let retention = settings.accounts_retention.as_millis().to_string();
    has(settings, &accounts, "retention.ms", &retention).await;
    has(settings, &accounts, "message.timestamp.type", "LogAppendTime").await;
    has(settings, &accounts, "segment.bytes", "1234567").await;
    kafka.check(WITHIN).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_cannot_be_changed_are_refused() {
    let settings = settings();
    let name = settings.topic_name(Topic::Scores);
    let few = NewTopic::new(&name, 3, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
    create(&settings, few).await;
    let refused = prepare_topics(&settings).await;
    assert!(matches!(refused, Err(PrepareError::Partitions { partitions: 3, expected: 12, .. })));

    let settings = crate::testing::settings();
    let name = settings.topic_name(Topic::Scores);
    create(&settings, NewTopic::new(&name, Topic::Scores.partitions(), TopicReplication::Fixed(1))).await;
    let refused = prepare_topics(&settings).await;
    assert!(matches!(refused, Err(PrepareError::Times { found, .. }) if found == "CreateTime"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_may_prepare_at_once() {
    let settings = settings();
    let prepared = join_all((0..4).map(|_| prepare_topics(&settings))).await;
    assert!(prepared.iter().all(Result::is_ok), "{prepared:?}");
}

fn admin(settings: &Settings) -> AdminClient<DefaultClientContext> {
    settings.admin().create().unwrap()
}

async fn create(settings: &Settings, topic: NewTopic<'_>) {
    let options = AdminOptions::new().operation_timeout(Some(WITHIN));
    admin(settings).create_topics([&topic], &options).await.unwrap().remove(0).unwrap();
}

/// Waits until a topic has a setting: a broker that was told of a change shows it a little later.
async fn has(settings: &Settings, topic: &str, key: &str, value: &str) {
    let resource = ResourceSpecifier::Topic(topic);
    let looking = async {
        loop {
            let described =
                admin(settings).describe_configs([&resource], &AdminOptions::new()).await.unwrap().remove(0);
            let config = described.unwrap();
            if config.get(key).and_then(|entry| entry.value.as_deref()) == Some(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WITHIN, looking).await.expect("the topic gets the setting");
}

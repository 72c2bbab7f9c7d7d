//! For tests: what every log promises, topics of their own on a Kafka server, and servers of their own.

pub mod contract;
mod kafka_server;
pub mod positions_contract;

use std::ops::Deref;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::log::v1::{AccountDeleted, Record, record::Event};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

pub use kafka_server::KafkaServer;

use crate::Topic;
use crate::kafka::{KafkaLog, Settings, prepare_topics};

/// Where the Kafka server for tests is, as `host:port,…`.
pub const KAFKA_VARIABLE: &str = "MUSTER_TEST_KAFKA_BROKERS";
/// Brokers refuse shorter ones unless they are told otherwise.
const SHORTEST_SESSION: Duration = Duration::from_secs(6);
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(10);

/// A log under a random prefix, whose topics are removed when this value is dropped. Dereferences to the [`KafkaLog`].
#[derive(Debug)]
pub struct TestKafka {
    log: KafkaLog,
    settings: Settings,
}

impl TestKafka {
    /// How to reach the same topics, from this process or another.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the names of the topics begin with, for another process to use.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }
}

impl Deref for TestKafka {
    type Target = KafkaLog;

    fn deref(&self) -> &KafkaLog {
        &self.log
    }
}

/// Topics of their own on the server for tests, prepared.
///
/// # Panics
/// If `MUSTER_TEST_KAFKA_BROKERS` is not set or the server does not serve.
pub async fn kafka() -> TestKafka {
    kafka_with(settings()).await
}

/// As [`kafka`], with other settings.
///
/// # Panics
/// If the server does not serve.
pub async fn kafka_with(settings: Settings) -> TestKafka {
    prepare_topics(&settings).await.expect("the test server makes topics");
    TestKafka { log: KafkaLog::connect(settings.clone()).expect("the settings are right"), settings }
}

/// A random prefix on the server for tests, without topics.
///
/// # Panics
/// If `MUSTER_TEST_KAFKA_BROKERS` is not set.
#[must_use]
pub fn settings() -> Settings {
    let Ok(brokers) = std::env::var(KAFKA_VARIABLE) else {
        panic!("{KAFKA_VARIABLE} is not set: run `make test`, which starts a server and sets it");
    };
    settings_of(brokers)
}

/// A random prefix on these brokers, without topics.
#[must_use]
pub fn settings_of(brokers: String) -> Settings {
    let prefix = format!("test-{}", Ambient::system().id().simple());
    Settings { brokers, prefix, session_timeout: SHORTEST_SESSION, ..Settings::default() }
}

/// A record with a fresh id: the deletion of `user`, under `key`.
#[must_use]
pub fn record(key: &str, user: &str) -> Record {
    Record {
        record_id: Ambient::system().id().to_string(),
        key: key.to_owned(),
        event: Some(Event::AccountDeleted(AccountDeleted { user_id: user.to_owned() })),
        ..Record::default()
    }
}

impl Drop for TestKafka {
    fn drop(&mut self) {
        let settings = self.settings.clone();
        // Dropping is not async and may happen on a runtime's thread, so it gets a thread of its own. A failure leaves
        // topics behind on a server that is thrown away anyway.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let mut config = ClientConfig::new();
                config.set("bootstrap.servers", &settings.brokers);
                let admin: AdminClient<DefaultClientContext> = config.create().ok()?;
                let names: Vec<String> = Topic::ALL.iter().map(|topic| settings.topic_name(*topic)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let options = AdminOptions::new().request_timeout(Some(CLEAN_UP_LIMIT));
                admin.delete_topics(&names, &options).await.ok()
            })
        });
        drop(cleaner.join());
    }
}

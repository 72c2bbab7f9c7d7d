//! Making topics what they have to be.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use thiserror::Error;
use tokio::time::Instant;

use super::voice::Voice;
use super::{Inner, Settings};
use crate::{Range, Topic};

/// How long one step with the cluster may take.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// How long to wait before the cluster is asked again about what it has not yet heard of itself.
const PAUSE: Duration = Duration::from_millis(50);
const TIMES: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// The topics could not be made what they have to be.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The cluster did not do it.
    #[error("the topics cannot be prepared")]
    Cluster(#[from] KafkaError),
    /// The cluster refused to create or to change a topic.
    #[error("the cluster refused to prepare the topic {topic}: {code}")]
    Refused {
        /// Its full name.
        topic: String,
        /// Why.
        code: RDKafkaErrorCode,
    },
    /// A topic exists with another number of partitions. Its keys would change their places, so it is left alone.
    #[error("the topic {topic} has {partitions} partitions and must have {expected}; it cannot be changed")]
    Partitions {
        /// Its full name.
        topic: String,
        /// How many it has.
        partitions: usize,
        /// How many it must have.
        expected: i32,
    },
    /// A topic exists whose times are not the broker's. Those of its records cannot be changed, so it is left alone.
    #[error("the topic {topic} has {} = {found} and must have {}; it cannot be changed", TIMES.0, TIMES.1)]
    Times {
        /// Its full name.
        topic: String,
        /// What it has.
        found: String,
    },
}

/// Creates the topics that are missing, and makes the retention and the number of copies before an answer of the others
/// what the settings say. May be repeated, and done by several processes at once.
pub async fn prepare_topics(settings: &Settings) -> Result<(), PrepareError> {
    let admin = Arc::new(AdminClient::from_config_and_context(&settings.admin(), Voice)?);
    let prepared = prepare(&admin, settings).await;
    // Dropping it waits for its thread.
    let _ = tokio::task::spawn_blocking(move || drop(admin)).await;
    prepared
}

async fn prepare(admin: &Arc<AdminClient<Voice>>, settings: &Settings) -> Result<(), PrepareError> {
    let options = AdminOptions::new().request_timeout(Some(STEP_LIMIT)).operation_timeout(Some(STEP_LIMIT));
    for topic in Topic::ALL {
        let wanted = Wanted::of(topic, settings);
        match wanted.create(admin, &options).await? {
            Ok(()) => {
                tracing::info!(topic = wanted.name, "created a topic");
                wanted.check_partitions(admin).await?;
            }
            Err(RDKafkaErrorCode::TopicAlreadyExists) => {
                wanted.check_partitions(admin).await?;
                wanted.adjust(admin, &options).await?;
            }
            Err(code) => return Err(PrepareError::Refused { topic: wanted.name, code }),
        }
    }
    Ok(())
}

/// What of a partition can be read. It blocks.
pub(super) fn range(inner: &Inner, topic: Topic, partition: i32, within: Duration) -> KafkaResult<Range> {
    let name = inner.settings.topic_name(topic);
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match inner.appender.ask(|client| client.fetch_watermarks(&name, partition, left)) {
            Ok((first, end)) => return Ok(Range { first, end }),
            Err(error) if is_momentary(&error) && left > PAUSE => {
                std::thread::sleep(PAUSE);
                // librdkafka goes by what it has heard before, until it hears more.
                inner.appender.ask(|client| count(client, &name, left))?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether it is what a cluster says that has just made a topic, or is changing a leader.
fn is_momentary(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::NoEnt
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
        )
    )
}

/// How many partitions each topic has; 0 if it is missing. It blocks.
pub(super) fn partitions(inner: &Inner, within: Duration) -> KafkaResult<Vec<(Topic, usize)>> {
    let deadline = Instant::now() + within;
    let mut counts = Vec::new();
    for topic in Topic::ALL {
        let name = inner.settings.topic_name(topic);
        let left = deadline.saturating_duration_since(Instant::now());
        counts.push((topic, inner.appender.ask(|client| count(client, &name, left))?));
    }
    Ok(counts)
}

fn count<C: ClientContext>(client: &Client<C>, name: &str, within: Duration) -> KafkaResult<usize> {
    let metadata = client.fetch_metadata(Some(name), within)?;
    Ok(metadata.topics().iter().find(|topic| topic.name() == name).map_or(0, |topic| topic.partitions().len()))
}

/// What a topic has to be.
struct Wanted {
    name: String,
    partitions: i32,
    replication_factor: i32,
    /// What may be changed later.
    adjustable: [(&'static str, String); 3],
}

impl Wanted {
    fn of(topic: Topic, settings: &Settings) -> Self {
        let retention = topic.retention(settings.accounts_retention);
        let retention = retention.map_or("-1".to_owned(), |retention| retention.as_millis().to_string());
        Self {
            name: settings.topic_name(topic),
            partitions: topic.partitions(),
            replication_factor: settings.replication_factor,
            adjustable: [
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", retention),
                ("min.insync.replicas", settings.min_insync_replicas.to_string()),
            ],
        }
    }

    async fn create(
        &self,
        admin: &AdminClient<Voice>,
        options: &AdminOptions,
    ) -> Result<Result<(), RDKafkaErrorCode>, PrepareError> {
        let replication = TopicReplication::Fixed(self.replication_factor);
        let mut topic = NewTopic::new(&self.name, self.partitions, replication).set(TIMES.0, TIMES.1);
        // Size is not what ends a record.
        topic = topic.set("retention.bytes", "-1");
        for (key, value) in &self.adjustable {
            topic = topic.set(key, value);
        }
        let created = admin.create_topics([&topic], options).await?;
        Ok(created.into_iter().next().map_or(Ok(()), |created| created.map(drop).map_err(|(_name, code)| code)))
    }

    /// Waits until the cluster shows the topic, and refuses it if it is another one.
    async fn check_partitions(&self, admin: &Arc<AdminClient<Voice>>) -> Result<(), PrepareError> {
        let expected = self.partitions;
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            let (asked, topic) = (admin.clone(), self.name.clone());
            let question = tokio::task::spawn_blocking(move || count(asked.inner(), &topic, STEP_LIMIT));
            let partitions = question.await.unwrap_or(Err(KafkaError::Canceled))?;
            if i32::try_from(partitions) == Ok(expected) {
                return Ok(());
            }
            // One that was made at this moment is shown with none.
            if partitions != 0 || Instant::now() > deadline {
                return Err(PrepareError::Partitions { topic: self.name.clone(), partitions, expected });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Makes an existing topic what it has to be, or refuses to use it.
    async fn adjust(&self, admin: &AdminClient<Voice>, options: &AdminOptions) -> Result<(), PrepareError> {
        let topic = self.name.clone();
        let resource = ResourceSpecifier::Topic(&self.name);
        let described = admin.describe_configs([&resource], options).await?.into_iter().next();
        let config = match described {
            Some(Ok(config)) => config,
            Some(Err(code)) => return Err(PrepareError::Refused { topic, code }),
            None => return Err(PrepareError::Refused { topic, code: RDKafkaErrorCode::InvalidConfig }),
        };
        let found = value(&config, TIMES.0);
        if found != TIMES.1 {
            return Err(PrepareError::Times { topic, found: found.to_owned() });
        }
        if self.adjustable.iter().all(|(key, wanted)| value(&config, key) == wanted) {
            return Ok(());
        }

        // Kafka takes the whole of a topic's settings: what others have set stays as it is.
        let kept = config.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let mut change = AlterConfig::new(resource);
        for entry in kept {
            change = change.set(&entry.name, entry.value.as_deref().unwrap_or_default());
        }
        for (key, value) in &self.adjustable {
            change = change.set(key, value);
        }
        if let Some(Err((_resource, code))) = admin.alter_configs([&change], options).await?.into_iter().next() {
            return Err(PrepareError::Refused { topic, code });
        }
        tracing::info!(topic, "adjusted the settings of a topic");
        Ok(())
    }
}

fn value<'a>(config: &'a ConfigResource, key: &str) -> &'a str {
    config.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or_default()
}

//! The log in Kafka.
//!
//! One idempotent producer appends; what is answered is on as many brokers as the topic demands. Membership in groups
//! and reading are apart: a member of a group only learns which partitions are its own, and any partition is read by
//! hand, from where its owner says. Nothing is committed to Kafka.
//!
//! A broker does not sync its disk for each record. A killed broker loses nothing; a power cut may, unless there are
//! copies elsewhere (`replication_factor`, `min_insync_replicas`).

mod fetching;
mod membership;
mod producing;
mod settings;
mod topics;
mod voice;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use pkg_api::log::v1::Record;
use rdkafka::error::KafkaError;
use rdkafka::message::Timestamp;
use thiserror::Error;
use time::OffsetDateTime;

use crate::lease::Member;
use crate::{
    AppendError, Appended, Consumer, Log, Position, Range, ReadError, Reader, Start, Topic, Unready, codec, gauges,
};
use fetching::Fetchers;
use producing::{Appender, Parcel};
pub use settings::Settings;
pub use topics::{PrepareError, prepare_topics};

/// How long the cluster has to answer a question about a partition.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

/// A Kafka client could not be made: the settings are wrong.
#[derive(Debug, Error)]
#[error("the Kafka client cannot be set up")]
pub struct SetupError(#[from] KafkaError);

/// The log in Kafka. Cloning shares it.
#[derive(Clone)]
pub struct KafkaLog {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    appender: Appender,
    fetchers: Fetchers,
    members: Mutex<Vec<Weak<Member>>>,
}

impl KafkaLog {
    /// Uses a cluster. It need not be up: until it is, everything answers that the log is unavailable, or waits.
    pub fn connect(settings: Settings) -> Result<Self, SetupError> {
        gauges::describe();
        let appender = Appender::start(&settings)?;
        let fetchers = Fetchers::new(&settings);
        Ok(Self { inner: Arc::new(Inner { settings, appender, fetchers, members: Mutex::default() }) })
    }

    /// Appends bytes that need not be a record.
    async fn append_bytes(
        &self,
        topic: Topic,
        key: &str,
        body: &[u8],
        within: Duration,
    ) -> Result<Appended, AppendError> {
        let partition = topic.partition_of(key);
        let name = self.inner.settings.topic_name(topic);
        let parcel = Parcel { topic: &name, partition, key, body };
        let (offset, time) = self.inner.appender.append(parcel, within).await?;
        Ok(Appended { position: Position { partition, offset }, time })
    }

    /// Asks the cluster, off the runtime's threads since librdkafka blocks.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Inner) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, crate::error::Cause> {
        let inner = self.inner.clone();
        let answer = tokio::task::spawn_blocking(move || question(&inner)).await?;
        Ok(answer?)
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, topic: Topic, record: &Record, within: Duration) -> Result<Appended, AppendError> {
        let append = async { self.append_bytes(topic, &record.key, &codec::encode(record)?, within).await };
        gauges::counted(topic, append).await
    }

    async fn range(&self, topic: Topic, partition: i32) -> Result<Range, ReadError> {
        if !(0..topic.partitions()).contains(&partition) {
            return Err(ReadError::NoPartition { topic, partition });
        }
        self.ask(move |inner| topics::range(inner, topic, partition, QUESTION_LIMIT))
            .await
            .map_err(ReadError::Unavailable)
    }

    async fn read(&self, topic: Topic, partition: i32, start: Start) -> Result<Box<dyn Reader>, ReadError> {
        let range = self.range(topic, partition).await?;
        let offset = range.start(topic, partition, start)?;
        Ok(Box::new(self.inner.fetchers.read(self.clone(), topic, partition, offset).await?))
    }

    async fn join(&self, topic: Topic, group: &str) -> Result<Consumer, ReadError> {
        let joined = membership::join(&self.inner.settings, topic, group).await;
        let (member, membership) = joined.map_err(ReadError::Refused)?;
        let mut members = self.inner.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(&member));
        drop(members);
        Ok(Consumer::new(Arc::new(self.clone()), topic, member, Box::new(membership)))
    }

    async fn check(&self, within: Duration) -> Result<(), Unready> {
        let counts = self.ask(move |inner| topics::partitions(inner, within)).await.map_err(Unready::Unavailable)?;
        for (topic, partitions) in counts {
            let expected = topic.partitions();
            if i32::try_from(partitions) != Ok(expected) {
                return Err(Unready::Unprepared { name: self.inner.settings.topic_name(topic), partitions, expected });
            }
        }
        Ok(())
    }

    async fn close(&self) {
        for member in self.inner.members.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(member) = member.upgrade() {
                member.close();
            }
        }
        self.inner.appender.close().await;
    }
}

/// The broker's time of a record. Topics are checked to have it when they are prepared.
fn time_of(timestamp: Timestamp) -> OffsetDateTime {
    pkg_db::from_millis(timestamp.to_millis().unwrap_or_default())
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod real_faults;
#[cfg(test)]
mod real_kafka;

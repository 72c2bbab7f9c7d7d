//! How to use a Kafka cluster, and what librdkafka is told of it.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::{ACCOUNTS_RETENTION, Topic};

/// How to use a Kafka cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Some of the brokers, as `host:port,host:port`.
    pub brokers: String,
    /// What the names of topics and groups begin with, so that several logs can be on one cluster.
    pub prefix: String,
    /// How many copies there are of each record. It takes effect when a topic is created.
    pub replication_factor: i32,
    /// How many copies there are before an append is answered.
    pub min_insync_replicas: i32,
    /// How long records of accounts stay.
    pub accounts_retention: Duration,
    /// How long a record waits for others to be sent with.
    pub linger: Duration,
    /// The most records that wait to be sent or for their answer, and the most that wait for the cluster to come back.
    /// Further ones are [`crate::AppendError::Full`].
    pub queue_records: usize,
    /// The most bytes of them.
    pub queue_bytes: usize,
    /// For how long a record is tried again after its first attempt to be sent.
    pub delivery_timeout: Duration,
    /// How long a broker holds the request of a reader that has read everything; whatever comes is sent at once. Short
    /// times cost requests while nothing happens. Long ones hold up partitions that are begun, or whose reader was slow,
    /// since librdkafka has one request under way for all of them.
    pub fetch_wait: Duration,
    /// When a member of a group that has stopped to give signs of life counts as dead. Brokers have a smallest one (6 s,
    /// unless they are told otherwise).
    pub session_timeout: Duration,
    /// How long a partition's next worker waits for the one before.
    pub handover_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            prefix: "muster".to_owned(),
            replication_factor: 1,
            min_insync_replicas: 1,
            accounts_retention: ACCOUNTS_RETENTION,
            linger: Duration::from_millis(1),
            queue_records: 100_000,
            queue_bytes: 64 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(30),
            fetch_wait: Duration::from_millis(20),
            session_timeout: Duration::from_secs(10),
            handover_limit: Duration::from_secs(10),
        }
    }
}

/// A broker that has gone is tried again after this, and then after longer times…
const RECONNECT_FIRST: &str = "50";
/// …up to this.
const RECONNECT_LAST: &str = "1000";
/// A request without an answer for this long is given up, and the connection with it.
const SOCKET_TIMEOUT: &str = "10000";
/// How much is read ahead for each partition.
const READ_AHEAD_KBYTES: &str = "2048";
/// How many records are read ahead for each partition, if they are small.
const READ_AHEAD_RECORDS: &str = "10000";
/// When what was read ahead has been used up, reading goes on after this.
const READ_AHEAD_PAUSE: &str = "5";
/// After an error of a partition, its leader is asked again after this.
const FETCH_ERROR_PAUSE: &str = "100";
/// How soon a member of a group sees a topic that was created after it joined.
const TOPIC_REFRESH: &str = "10000";
/// Signs of life within the time after which a member counts as dead.
const SIGNS_OF_LIFE: u32 = 5;

impl Settings {
    /// The name of a topic on the cluster.
    #[must_use]
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}.{topic}", self.prefix)
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The most with which an idempotent producer keeps the order.
            .set("max.in.flight.requests.per.connection", "5")
            .set("linger.ms", millis(self.linger))
            .set("message.timeout.ms", millis(self.delivery_timeout))
            .set("queue.buffering.max.messages", self.queue_records.to_string())
            .set("queue.buffering.max.kbytes", self.queue_bytes.div_ceil(1024).to_string());
        config
    }

    /// For reading partitions that were chosen by hand. Its group is never joined, but librdkafka wants a name.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer("readers");
        config
            // What cannot be read is told, not skipped.
            .set("auto.offset.reset", "error")
            // To gather more costs a reader who is not busy more than it saves one who is.
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", millis(self.fetch_wait))
            .set("queued.max.messages.kbytes", READ_AHEAD_KBYTES)
            .set("queued.min.messages", READ_AHEAD_RECORDS)
            .set("fetch.queue.backoff.ms", READ_AHEAD_PAUSE)
            .set("fetch.error.backoff.ms", FETCH_ERROR_PAUSE)
            .set("check.crcs", "true");
        config
    }

    /// For being a member of a group; nothing is read by it.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let session = self.session_timeout;
        let mut config = self.consumer(group);
        config
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(session))
            .set("heartbeat.interval.ms", millis(session / SIGNS_OF_LIFE))
            // A handover stops the thread that answers the group, on purpose.
            .set("max.poll.interval.ms", millis(session + 2 * self.handover_limit))
            .set("topic.metadata.refresh.interval.ms", TOPIC_REFRESH);
        config
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.client()
    }

    fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", format!("{}.{group}", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "muster")
            .set("reconnect.backoff.ms", RECONNECT_FIRST)
            .set("reconnect.backoff.max.ms", RECONNECT_LAST)
            .set("socket.timeout.ms", SOCKET_TIMEOUT)
            .set("log.connection.close", "false");
        config
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

//! Appending to Kafka.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use rdkafka::bindings::{rd_kafka_message_status, rd_kafka_msg_status_t};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::Instant;

use super::{Settings, voice};
use crate::{AppendError, gauges};

/// How long the producer's thread waits for answers before it looks at the rest.
const POLL: Duration = Duration::from_millis(100);
/// How long a cluster that was gone is asked whether it is back, each time.
const PROBE: Duration = Duration::from_millis(500);
/// How long closing waits for answers to what was sent.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// One record on its way.
pub(super) struct Parcel<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) key: &'a str,
    pub(super) body: &'a [u8],
}

/// Where a record is now, and the broker's time of it.
pub(super) type Delivered = (i64, OffsetDateTime);
type Outcome = Result<Delivered, Undelivered>;

/// An idempotent producer. A thread of its own hears the answers, asks whether a cluster that was gone is back, and
/// replaces a producer that librdkafka has given up.
pub(super) struct Appender {
    shared: Arc<Shared>,
    /// How many wait for the cluster to come back, and how many bytes they have…
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    /// …and they go on in their order.
    turn: Mutex<()>,
}

struct Shared {
    producer: RwLock<BaseProducer<Answers>>,
    settings: Settings,
    /// Whether the cluster answers. Nothing is sent before it has done so once.
    up: watch::Sender<bool>,
    closed: AtomicBool,
    stopped: AtomicBool,
}

impl Appender {
    pub(super) fn start(settings: &Settings) -> Result<Self, KafkaError> {
        let up = watch::Sender::new(false);
        let shared = Arc::new(Shared {
            producer: RwLock::new(produce(settings, &up)?),
            settings: settings.clone(),
            up,
            closed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new().name("kafka-append".to_owned());
        let for_thread = shared.clone();
        thread.spawn(move || attend(&for_thread)).map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { shared, waiting: AtomicUsize::new(0), waiting_bytes: AtomicUsize::new(0), turn: Mutex::new(()) })
    }

    /// Sends a record and waits for the answer.
    pub(super) async fn append(&self, parcel: Parcel<'_>, within: Duration) -> Result<Delivered, AppendError> {
        let deadline = Instant::now() + within;
        let answered = match tokio::time::timeout_at(deadline, self.send(&parcel)).await {
            Ok(sent) => sent?,
            Err(_elapsed) => return Err(AppendError::Unavailable(Box::new(Gone))),
        };
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(delivered)) => delivered.map_err(Undelivered::meaning),
            Ok(Err(forgotten)) => Err(AppendError::Unknown(Box::new(forgotten))),
            Err(elapsed) => Err(AppendError::Unknown(Box::new(elapsed))),
        }
    }

    /// Puts a record into the queue, in the order of the calls. While the cluster is gone it waits: what is not in the
    /// queue will not be sent, so the caller can be told for certain.
    async fn send(&self, parcel: &Parcel<'_>) -> Result<oneshot::Receiver<Outcome>, AppendError> {
        if self.waiting.load(Ordering::SeqCst) == 0 && *self.shared.up.borrow() {
            return self.shared.enqueue(parcel);
        }
        let _waiting = Waiting::begin(self, parcel.body.len())?;
        let _turn = self.turn.lock().await;
        let mut up = self.shared.up.subscribe();
        // The sender lives as long as this.
        let _ = up.wait_for(|up| *up || self.shared.closed.load(Ordering::SeqCst)).await;
        self.shared.enqueue(parcel)
    }

    /// Asks the cluster a question over the producer's connections; it blocks.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Client<Answers>) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        question(self.shared.producer().client())
    }

    pub(super) async fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Whoever waits for the cluster looks again.
        self.shared.up.send_modify(|_| ());
        let shared = self.shared.clone();
        let flushed = tokio::task::spawn_blocking(move || shared.producer().flush(CLOSE_LIMIT)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the log was closed before all appended records were answered");
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn enqueue(&self, parcel: &Parcel<'_>) -> Result<oneshot::Receiver<Outcome>, AppendError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(AppendError::Closed);
        }
        let (answer, answered) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(parcel.topic, Box::new(answer))
            .partition(parcel.partition)
            .key(parcel.key)
            .payload(parcel.body);
        match self.producer().send(record) {
            Ok(()) => Ok(answered),
            Err((error, _record)) => Err(Undelivered { error, perhaps: false }.meaning()),
        }
    }

    fn producer(&self) -> RwLockReadGuard<'_, BaseProducer<Answers>> {
        self.producer.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for the cluster, counted.
struct Waiting<'a> {
    appender: &'a Appender,
    bytes: usize,
}

impl<'a> Waiting<'a> {
    fn begin(appender: &'a Appender, bytes: usize) -> Result<Self, AppendError> {
        let settings = &appender.shared.settings;
        let before = appender.waiting.fetch_add(1, Ordering::SeqCst);
        let bytes_before = appender.waiting_bytes.fetch_add(bytes, Ordering::SeqCst);
        let waiting = Self { appender, bytes };
        let fits = before < settings.queue_records && bytes_before + bytes <= settings.queue_bytes;
        if fits { Ok(waiting) } else { Err(AppendError::Full) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.appender.waiting.fetch_sub(1, Ordering::SeqCst);
        self.appender.waiting_bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// The work of the producer's thread.
fn attend(shared: &Shared) {
    while !shared.stopped.load(Ordering::SeqCst) {
        if !*shared.up.borrow() {
            // Asking for all topics creates none, even where brokers create what they are asked for.
            let answered = shared.producer().client().fetch_metadata(None, PROBE).is_ok();
            if answered && shared.up.send_replace(true) {
                continue;
            }
        }
        shared.producer().poll(POLL);
        gauges::waiting(shared.producer().in_flight_count());
        let given_up = shared.producer().client().fatal_error();
        if let Some((error, reason)) = given_up {
            tracing::error!(%error, reason, "the producer has failed for good; the cluster may have lost records");
            replace(shared);
        }
    }
}

/// Begins anew with another producer id. What the old one had in its queue is answered as undelivered.
fn replace(shared: &Shared) {
    match produce(&shared.settings, &shared.up) {
        Ok(fresh) => {
            let mut producer = shared.producer.write().unwrap_or_else(PoisonError::into_inner);
            let failed = std::mem::replace(&mut *producer, fresh);
            drop(producer);
            drop(failed);
        }
        // It is tried again after the next wait for answers.
        Err(error) => tracing::error!(%error, "the producer cannot be replaced"),
    }
}

fn produce(settings: &Settings, up: &watch::Sender<bool>) -> Result<BaseProducer<Answers>, KafkaError> {
    BaseProducer::from_config_and_context(&settings.producer(), Answers { up: up.clone() })
}

/// Hears what librdkafka has to say.
pub(super) struct Answers {
    up: watch::Sender<bool>,
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        voice::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        voice::error(&error, reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.up.send_replace(false);
        }
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<oneshot::Sender<Outcome>>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Self::DeliveryOpaque) {
        let delivered = match result {
            Ok(message) => Ok((message.offset(), super::time_of(message.timestamp()))),
            Err((error, message)) => Err(Undelivered { error: error.clone(), perhaps: may_be_persisted(message) }),
        };
        // A caller that went away needs no answer.
        let _ = answer.send(delivered);
    }
}

#[expect(unsafe_code, reason = "the safe interface does not tell a record that was never sent from a lost answer")]
fn may_be_persisted(message: &rdkafka::message::BorrowedMessage<'_>) -> bool {
    // SAFETY: the message is alive, and it is one of a delivery report, as the function demands.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status != rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// The cluster is gone, and the record was not sent.
#[derive(Debug, Error)]
#[error("no broker answers")]
struct Gone;

/// A record that the cluster has not acknowledged.
#[derive(Debug, Error)]
#[error("not delivered")]
pub(super) struct Undelivered {
    #[source]
    error: KafkaError,
    /// Whether it was sent, so that it may be in the log.
    perhaps: bool,
}

impl Undelivered {
    fn meaning(self) -> AppendError {
        use RDKafkaErrorCode as Code;
        match self.error.rdkafka_error_code() {
            _ if self.perhaps => AppendError::Unknown(Box::new(self)),
            Some(Code::QueueFull) => AppendError::Full,
            Some(
                Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::MessageSizeTooLarge
                | Code::InvalidRecord
                | Code::PolicyViolation
                | Code::InvalidArgument,
            ) => AppendError::Refused(Box::new(self)),
            _ => AppendError::Unavailable(Box::new(self)),
        }
    }
}

//! Reading partitions of Kafka by hand.
//!
//! A client of librdkafka reads a partition once at a time but many partitions together, over one connection per broker.
//! So readers share a client, and there is another one only where two of them read the same partition.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use thiserror::Error;
use tokio::sync::{Notify, oneshot};

use super::voice::Voice;
use super::{KafkaLog, Settings};
use crate::error::Cause;
use crate::{Entry, Log, Position, ReadError, Reader, Topic, codec};

/// How long a fetcher's thread waits for orders before it hears what librdkafka has to say.
const POLL: Duration = Duration::from_millis(100);
/// The most clients, and so the most readers of one partition at the same time in this process.
const MAX_FETCHERS: usize = 16;

/// The clients that read.
pub(super) struct Fetchers {
    settings: Settings,
    started: Mutex<Vec<Fetcher>>,
}

/// One client, owned by a thread: it may block, so orders are given to it. The thread ends when nobody can give any.
#[derive(Clone)]
struct Fetcher {
    orders: Sender<Order>,
    /// What it reads.
    taken: Arc<Mutex<HashSet<Place>>>,
}

/// A partition, by its topic's full name.
type Place = (Arc<str>, i32);
type Queue = PartitionQueue<Voice>;

enum Order {
    Begin { place: Place, offset: i64, ready: Arc<Notify>, answer: oneshot::Sender<Result<Queue, KafkaError>> },
    End { place: Place, queue: Option<Queue> },
}

impl Fetchers {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), started: Mutex::default() }
    }

    /// Reads a partition from an offset that it has.
    pub(super) async fn read(
        &self,
        log: KafkaLog,
        topic: Topic,
        partition: i32,
        offset: i64,
    ) -> Result<KafkaReader, ReadError> {
        let place: Place = (self.settings.topic_name(topic).into(), partition);
        let mut seat = self.seat(&place).map_err(ReadError::Refused)?;
        let ready = Arc::new(Notify::new());
        let (answer, answered) = oneshot::channel();
        let order = Order::Begin { place, offset, ready: ready.clone(), answer };
        // A thread that has ended drops the order, and its answer with it.
        let _ = seat.fetcher.orders.send(order);
        match answered.await {
            Ok(Ok(queue)) => {
                seat.queue = Some(queue);
                Ok(KafkaReader { log, topic, partition, next: offset, ready, seat, failed: None })
            }
            Ok(Err(error)) => Err(ReadError::Unavailable(Box::new(error))),
            Err(gone) => Err(ReadError::Unavailable(Box::new(gone))),
        }
    }

    fn seat(&self, place: &Place) -> Result<Seat, Cause> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        for fetcher in &*started {
            if fetcher.taken().insert(place.clone()) {
                return Ok(Seat { fetcher: fetcher.clone(), place: place.clone(), queue: None });
            }
        }
        if started.len() == MAX_FETCHERS {
            return Err(Box::new(TooManyReaders));
        }
        let fetcher = Fetcher::start(&self.settings)?;
        fetcher.taken().insert(place.clone());
        started.push(fetcher.clone());
        Ok(Seat { fetcher, place: place.clone(), queue: None })
    }
}

impl Fetcher {
    fn start(settings: &Settings) -> Result<Self, Cause> {
        let (orders, ordered) = channel();
        let config = settings.reader();
        let thread = std::thread::Builder::new().name("kafka-read".to_owned());
        thread.spawn(move || match BaseConsumer::from_config_and_context(&config, Voice) {
            Ok(consumer) => attend(&Arc::new(consumer), &ordered),
            Err(error) => tracing::error!(%error, "the log cannot be read"),
        })?;
        Ok(Self { orders, taken: Arc::default() })
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<Place>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at a fetcher for one partition. Its end is ordered before the place is free, and orders keep their sequence.
struct Seat {
    fetcher: Fetcher,
    place: Place,
    queue: Option<Queue>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The queue goes along: it may be the last that keeps the client, whose end blocks.
        let order = Order::End { place: self.place.clone(), queue: self.queue.take() };
        let _ = self.fetcher.orders.send(order);
        self.fetcher.taken().remove(&self.place);
    }
}

/// The work of a fetcher's thread.
fn attend(consumer: &Arc<BaseConsumer<Voice>>, orders: &Receiver<Order>) {
    loop {
        match orders.recv_timeout(POLL) {
            Ok(Order::Begin { place, offset, ready, answer }) => {
                // Whoever went away meanwhile has ordered the end already.
                let _ = answer.send(begin(consumer, &place, offset, ready));
            }
            Ok(Order::End { place, queue }) => {
                // One that was never begun cannot be ended, and need not be.
                let _ = consumer.incremental_unassign(&list(&place, Offset::Invalid));
                drop(queue);
            }
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Records come by the partitions' queues; here are only events.
        while consumer.poll(Duration::ZERO).is_some() {}
    }
}

fn begin(
    consumer: &Arc<BaseConsumer<Voice>>,
    place: &Place,
    offset: i64,
    ready: Arc<Notify>,
) -> Result<Queue, KafkaError> {
    // The queue first, so that nothing goes to the common one.
    let Some(mut queue) = consumer.split_partition_queue(&place.0, place.1) else {
        return Err(KafkaError::Subscription("the partition has no queue".to_owned()));
    };
    queue.set_nonempty_callback(move || ready.notify_one());
    consumer.incremental_assign(&list(place, Offset::Offset(offset)))?;
    Ok(queue)
}

fn list(place: &Place, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(&place.0, place.1);
    // An offset that is not negative is always accepted, and without one it is not looked at.
    let _ = element.set_offset(offset);
    list
}

/// Reads one partition.
pub(super) struct KafkaReader {
    log: KafkaLog,
    topic: Topic,
    partition: i32,
    /// The offset after the last record that was given out.
    next: i64,
    ready: Arc<Notify>,
    seat: Seat,
    failed: Option<KafkaError>,
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self, max: usize) -> Result<Vec<Entry>, ReadError> {
        loop {
            if let Some(error) = &self.failed {
                return Err(self.meaning(error.clone()).await);
            }
            let entries = self.take(max);
            if !entries.is_empty() {
                return Ok(entries);
            }
            if self.failed.is_none() {
                self.ready.notified().await;
            }
        }
    }
}

impl KafkaReader {
    /// What has been read ahead.
    fn take(&mut self, max: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Some(queue) = &self.seat.queue else { return entries };
        while entries.len() < max.max(1) {
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => entries.push(entry(self.topic, &message)),
                Some(Err(error)) if ends(&error) => {
                    self.failed = Some(error);
                    break;
                }
                // librdkafka goes on by itself.
                Some(Err(error)) => tracing::debug!(target: "kafka", %error, "reading was disturbed"),
            }
        }
        if let Some(last) = entries.last() {
            self.next = last.position.offset + 1;
        }
        entries
    }

    async fn meaning(&self, error: KafkaError) -> ReadError {
        if !is_out_of_range(&error) {
            return ReadError::Refused(Box::new(error));
        }
        let (topic, partition, offset) = (self.topic, self.partition, self.next);
        match self.log.range(topic, partition).await {
            Ok(range) => ReadError::OutOfRange { topic, partition, offset, range },
            Err(error) => error,
        }
    }
}

fn entry(topic: Topic, message: &BorrowedMessage<'_>) -> Entry {
    Entry {
        position: Position { partition: message.partition(), offset: message.offset() },
        time: super::time_of(message.timestamp()),
        record: codec::decode(topic, message.payload().unwrap_or_default()),
    }
}

/// Whether reading does not go on after this error.
fn ends(error: &KafkaError) -> bool {
    let for_good = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
        )
    );
    for_good || is_out_of_range(error) || matches!(error, KafkaError::MessageConsumptionFatal(_))
}

fn is_out_of_range(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange))
}

#[derive(Debug, Error)]
#[error("one partition is read by more than {MAX_FETCHERS} readers")]
struct TooManyReaders;

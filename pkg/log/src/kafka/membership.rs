//! Being a member of a group of Kafka's.
//!
//! The client of a member reads nothing: partitions that the group gives it go to the [`Member`], and librdkafka is told
//! that none is to be read. So what is read never depends on what librdkafka believes to be the position.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::oneshot;

use super::{Settings, voice};
use crate::error::Cause;
use crate::lease::Member;
use crate::{Topic, gauges};

/// How long the thread waits for the group before it looks whether it is to leave.
const POLL: Duration = Duration::from_millis(50);

/// Leaves the group when it is dropped, in the background.
pub(super) struct Membership {
    leaving: Arc<AtomicBool>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::SeqCst);
    }
}

/// Begins to join a group. The rest happens in the background, whether the cluster is there or not.
pub(super) async fn join(settings: &Settings, topic: Topic, group: &str) -> Result<(Arc<Member>, Membership), Cause> {
    let released = Arc::new(Released::default());
    let member = Member::new({
        let released = released.clone();
        move |_partition| released.tell()
    });
    let (config, name) = (settings.member(group), settings.topic_name(topic));
    let context = Group { topic, member: member.clone(), released, handover_limit: settings.handover_limit };
    let membership = Membership { leaving: Arc::default() };
    let leaving = membership.leaving.clone();

    let (answer, answered) = oneshot::channel();
    let thread = std::thread::Builder::new().name("kafka-member".to_owned());
    thread.spawn(move || match subscribe(&config, context, &name) {
        Ok(consumer) => {
            // If nobody waits for the answer any more, the membership was dropped.
            let _ = answer.send(Ok(()));
            attend(consumer, &leaving);
        }
        Err(error) => {
            let _ = answer.send(Err(error));
        }
    })?;
    answered.await??;
    Ok((member, membership))
}

fn subscribe(config: &ClientConfig, context: Group, topic: &str) -> KafkaResult<BaseConsumer<Group>> {
    let consumer = BaseConsumer::from_config_and_context(config, context)?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// The work of a member's thread.
fn attend(consumer: BaseConsumer<Group>, leaving: &AtomicBool) {
    while !leaving.load(Ordering::SeqCst) {
        // Nothing is read, so there are only events and errors; the latter have been logged.
        let _ = consumer.poll(POLL);
    }
    let group = consumer.context().clone();
    group.hand_over(&group.member.granted());
    // Tells the group, if it can be reached, so that others need not wait for signs of life.
    drop(consumer);
    group.member.close();
}

/// Hears what the group decides.
struct Group {
    topic: Topic,
    member: Arc<Member>,
    released: Arc<Released>,
    handover_limit: Duration,
}

impl Group {
    /// Has the work on partitions ended, and waits for it.
    fn hand_over(&self, partitions: &[i32]) {
        for partition in partitions {
            self.member.revoke(*partition);
        }
        let held = || partitions.iter().filter(|partition| self.member.holds(**partition)).count();
        let overdue = self.released.wait(self.handover_limit, || held() == 0);
        if overdue {
            let partitions = held();
            tracing::warn!(topic = %self.topic, partitions, "partitions are handed over though their work has not ended");
            (0..partitions).for_each(|_| gauges::overdue(self.topic));
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        voice::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        voice::error(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let nothing = TopicPartitionList::new();
        let accepted = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                for partition in partitions {
                    self.member.grant(partition);
                }
                consumer.incremental_assign(&nothing)
            }
            _ if consumer.assignment_lost() => {
                // The group believes that this member is dead; others have begun, and there is nobody to wait for.
                for partition in partitions {
                    self.member.revoke(partition);
                }
                consumer.incremental_unassign(&nothing)
            }
            _ => {
                self.hand_over(&partitions);
                consumer.incremental_unassign(&nothing)
            }
        };
        if let Err(error) = accepted {
            tracing::warn!(topic = %self.topic, %error, "a change of the group was not accepted");
        }
    }
}

/// Wakes who waits until partitions are no longer held.
#[derive(Default)]
struct Released {
    lock: Mutex<()>,
    told: Condvar,
}

impl Released {
    fn tell(&self) {
        // With the lock, so that nobody is between looking and waiting.
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.told.notify_all();
    }

    /// Waits until all are, and says whether that took too long.
    fn wait(&self, limit: Duration, all: impl Fn() -> bool) -> bool {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.wait_timeout_while(lock, limit, |()| !all());
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

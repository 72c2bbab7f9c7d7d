//! Working on a topic together with the other processes of a group.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Log, Partition, ReadError, Topic};

/// The processes that share the partitions of a topic.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What they work on.
    pub topic: Topic,
    /// What they have in common.
    pub name: &'static str,
    /// The pause before work that failed is begun anew.
    pub again: Duration,
}

/// What a group does with a partition.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Why it could not go on.
    type Error: Error + Send;

    /// Works on a partition until it is to be handed over. It may be cut off between any two steps.
    async fn work(&self, partition: &mut Partition) -> Result<(), Self::Error>;

    /// Tells that a partition waits.
    fn report(&self, partition: i32, error: &Self::Error);
}

impl Group {
    /// Works on the partitions that fall to this process, on all of them at once, until it is told to end.
    pub async fn run(self, log: Arc<dyn Log>, work: impl Work, shutdown: CancellationToken) {
        let work = Arc::new(work);
        while !shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                outcome = self.follow(&*log, &work, &shutdown) => {
                    if let Err(error) = outcome {
                        let error: &dyn Error = &error;
                        tracing::warn!(topic = self.topic.name(), error, "the log cannot be followed");
                    }
                }
            }
            // Told to end while it waits, it ends.
            let _ = timeout(self.again, shutdown.cancelled()).await;
        }
    }

    /// Ends when the log is closed.
    async fn follow<W: Work>(
        self,
        log: &dyn Log,
        work: &Arc<W>,
        shutdown: &CancellationToken,
    ) -> Result<(), ReadError> {
        let mut consumer = log.join(self.topic, self.name).await?;
        let workers = TaskTracker::new();
        let stop = shutdown.child_token();
        let _stop = stop.clone().drop_guard();
        while let Some(mut partition) = consumer.next_partition().await {
            let (work, stop) = (work.clone(), stop.clone());
            workers.spawn(stop.run_until_cancelled_owned(async move {
                let Err(error) = work.work(&mut partition).await else { return };
                work.report(partition.number(), &error);
                // Dropped after a pause, it is offered again.
                sleep(self.again).await;
            }));
        }
        Ok(())
    }
}

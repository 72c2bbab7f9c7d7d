//! Work beside the calls: started together, watched, and ended together.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::service::Task;

/// Tasks that run until they are told to end. Dropped, they are aborted.
pub(crate) struct Background {
    running: JoinSet<()>,
    names: BTreeMap<Id, &'static str>,
    shutdown: CancellationToken,
    readiness: Arc<Readiness>,
}

impl Background {
    pub(crate) fn new(readiness: Arc<Readiness>) -> Self {
        Self { running: JoinSet::new(), names: BTreeMap::new(), shutdown: CancellationToken::new(), readiness }
    }

    /// Starts a task. One that ends before it is told to makes its service not ready.
    pub(crate) fn start(&mut self, service: &'static str, task: Task) {
        let (shutdown, readiness, name) = (self.shutdown.clone(), self.readiness.clone(), task.name);
        // The function that makes the future is the task's too: it may panic as well.
        let work = async move { (task.start)(shutdown.clone()).await };
        let shutdown = self.shutdown.clone();
        let handle = self.running.spawn(async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            match (ended, shutdown.is_cancelled()) {
                (Ok(()), true) => return,
                (Ok(()), false) => tracing::error!(service, task = name, "a background task ended by itself"),
                (Err(_panic), _) => tracing::error!(service, task = name, "a background task panicked"),
            }
            readiness.task_ended(service, name);
        });
        self.names.insert(handle.id(), name);
    }

    /// Tells all tasks to end and waits for them until the moment. Tells which ones had to be aborted.
    pub(crate) async fn end(mut self, until: Instant) -> Vec<&'static str> {
        self.shutdown.cancel();
        while let Ok(Some(ended)) = tokio::time::timeout_at(until, self.running.join_next_with_id()).await {
            let id = match ended {
                Ok((id, ())) => id,
                Err(error) => error.id(),
            };
            self.names.remove(&id);
        }
        self.names.into_values().collect()
    }
}

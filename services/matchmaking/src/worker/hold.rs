//! A worker's hold on its queue: the lease, counted by a clock that only goes forward.

use tokio::sync::watch;
use tokio::time::Instant;

/// A hold on a queue. It is good until its lease runs out by the clock of this process, which began to count before the
/// database did: so it ends here first, also if the process stood still.
#[derive(Debug, Clone)]
pub struct Hold {
    epoch: i64,
    until: watch::Receiver<Instant>,
}

/// Who renews a hold.
#[derive(Debug)]
pub struct Holder {
    until: watch::Sender<Instant>,
}

impl Hold {
    /// A hold that is good until then, and who renews it.
    #[must_use]
    pub fn new(epoch: i64, until: Instant) -> (Self, Holder) {
        let (sender, receiver) = watch::channel(until);
        (Self { epoch, until: receiver }, Holder { until: sender })
    }

    /// The epoch of the lease.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Whether nobody else can have the queue now.
    #[must_use]
    pub fn is_good(&self) -> bool {
        Instant::now() < *self.until.borrow()
    }

    /// Waits until it is good: at once, or when it is renewed; for ever if that never happens.
    pub async fn good(&self) {
        let mut until = self.until.clone();
        let is_lost = until.wait_for(|until| Instant::now() < *until).await.is_err();
        if is_lost {
            std::future::pending::<()>().await;
        }
    }
}

impl Holder {
    /// It is good until then.
    pub fn renew(&self, until: Instant) {
        self.until.send_replace(until);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself_and_is_good_again_when_renewed() {
        let second = Duration::from_secs(1);
        let (hold, holder) = Hold::new(7, Instant::now() + second);
        assert!(hold.is_good());
        hold.good().await;
        tokio::time::advance(second).await;
        assert!(!hold.is_good());
        let waiting = tokio::spawn({
            let hold = hold.clone();
            async move { hold.good().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        holder.renew(Instant::now() + second);
        waiting.await.unwrap();
        drop(holder);
        assert!(hold.is_good(), "its time is not over yet");
    }
}

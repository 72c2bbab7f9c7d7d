//! Futures that stand beside a busy one in its task, and are looked at only when they were woken themselves.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// A future of a task that is mostly woken for something else, such as a timer beside a stream of many messages: polling it
/// costs nearly nothing as long as nobody woke it.
pub struct Aside<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl<F: Future> Aside<F> {
    /// The future, which is polled the first time in any case.
    pub fn new(future: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { future: Box::pin(future), waker: Waker::from(bell.clone()), bell }
    }

    /// Polls the future if it was woken. After it was ready it must not be polled again.
    pub fn poll(&mut self, context: &Context<'_>) -> Poll<F::Output> {
        // Before the look at the bell, so that nobody rings unheard.
        self.bell.task.register(context.waker());
        if !self.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.bell.rung.store(false, Ordering::Relaxed);
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }

    /// The future, to be changed; it is polled the next time.
    pub fn change(&mut self) -> Pin<&mut F> {
        self.bell.rung.store(true, Ordering::Release);
        self.future.as_mut()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_not_otherwise() {
        let (polls, notify) = (AtomicUsize::new(0), Notify::new());
        let mut notified = Box::pin(notify.notified());
        let mut aside = Aside::new(poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            notified.as_mut().poll(cx)
        }));
        let unwoken = Context::from_waker(Waker::noop());
        for _ in 0..5 {
            assert!(aside.poll(&unwoken).is_pending());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let woken = poll_fn(|cx| aside.poll(cx));
        tokio::join!(woken, async { notify.notify_waiters() });
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_changed_is_polled_again() {
        let second = std::time::Duration::from_secs(1);
        let mut aside = Aside::new(tokio::time::sleep(second));
        poll_fn(|cx| aside.poll(cx)).await;
        let later = tokio::time::Instant::now() + second;
        aside.change().reset(later);
        poll_fn(|cx| aside.poll(cx)).await;
        assert!(tokio::time::Instant::now() >= later);
    }
}

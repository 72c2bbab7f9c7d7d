//! A connection and its first streams in one task.
//!
//! hyper hands every stream of a connection to an executor. If that makes each a task of its own, whatever a stream has to
//! say takes two turns of the scheduler: the stream's, and then the connection's. A player's connection has one or two
//! streams, so these share the task of the connection. A proxy's has hundreds: all but the first are tasks of their own,
//! and run on all cores.

use std::array;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use hyper::rt::Executor;

/// A stream shares the task of its connection unless so many are open already.
const STREAMS_AT_HOME: usize = 2;

/// The parts of a task: its connection, then its streams. Each has a bit.
const PARTS: usize = 1 + STREAMS_AT_HOME;
const CONNECTION: usize = 0;
const CONNECTION_BIT: u8 = 1 << CONNECTION;
const STREAM_BITS: u8 = (1 << PARTS) - 1 - CONNECTION_BIT;

/// A connection with its first streams. Dropped before its end, it takes these along.
pub(crate) struct OwnTask<C> {
    connection: Pin<Box<C>>,
    streams: [Option<BoxFuture<'static, ()>>; STREAMS_AT_HOME],
    shared: Arc<Shared>,
    wakers: [Waker; PARTS],
}

/// Where hyper brings the streams of one connection.
#[derive(Clone)]
pub(crate) struct StreamExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    bells: Bells,
    /// Streams that the connection brought while it was polled: no more than have a place.
    arrived: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// How many streams are open, here and elsewhere.
    open: AtomicUsize,
}

impl<C: Future> OwnTask<C> {
    /// A connection that brings its streams to the executor.
    pub(crate) fn new(connection: impl FnOnce(StreamExecutor) -> C) -> Self {
        let shared = Arc::new(Shared { bells: Bells::new(), arrived: Mutex::default(), open: AtomicUsize::new(0) });
        Self {
            connection: Box::pin(connection(StreamExecutor { shared: shared.clone() })),
            streams: [const { None }; STREAMS_AT_HOME],
            wakers: array::from_fn(|part| Waker::from(Arc::new(Bell { shared: shared.clone(), part }))),
            shared,
        }
    }

    /// Polls the parts that were woken: streams first, so that the connection writes at once what all of them have to say,
    /// and then those that it has brought something. What these say to that is written in the next turn, after whomever
    /// they have woken: one who publishes does not get ahead of those who listen.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<C::Output> {
        let shared = self.shared.clone();
        shared.bells.attend(cx.waker());
        self.poll_streams();
        if shared.bells.take(CONNECTION_BIT) != 0 {
            let mut connection_cx = Context::from_waker(&self.wakers[CONNECTION]);
            if let Poll::Ready(ended) = self.connection.as_mut().poll(&mut connection_cx) {
                self.part_with_streams();
                return Poll::Ready(ended);
            }
            self.take_in();
            self.poll_streams();
        }
        if shared.bells.leave() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_streams(&mut self) {
        let rung = self.shared.bells.take(STREAM_BITS);
        for (stream, part) in self.streams.iter_mut().zip(1..).filter(|(_, part)| rung & 1 << part != 0) {
            let mut cx = Context::from_waker(&self.wakers[part]);
            if stream.as_mut().is_some_and(|stream| stream.poll_unpin(&mut cx).is_ready()) {
                *stream = None;
            }
        }
    }

    /// Whether other tasks have streams of this connection.
    pub(crate) fn has_streams_elsewhere(&self) -> bool {
        self.shared.open.load(Ordering::Relaxed) > self.streams.iter().flatten().count()
    }

    /// The connection, to be changed; it is polled the next time.
    pub(crate) fn change(&mut self) -> Pin<&mut C> {
        self.wakers[CONNECTION].wake_by_ref();
        self.connection.as_mut()
    }

    /// Gives a place to streams that arrived.
    fn take_in(&mut self) {
        for arrived in self.shared.arrived().drain(..) {
            match self.streams.iter_mut().zip(1..).find(|(place, _)| place.is_none()) {
                Some((place, part)) => {
                    *place = Some(arrived);
                    self.wakers[part].wake_by_ref();
                }
                None => drop(tokio::spawn(arrived)),
            }
        }
    }

    /// What a stream has begun when its connection ends it ends by itself, as those elsewhere do.
    fn part_with_streams(&mut self) {
        self.take_in();
        for stream in self.streams.iter_mut().filter_map(Option::take) {
            tokio::spawn(stream);
        }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let opened_before = self.shared.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(self.shared.clone());
        let stream = async move {
            let _open = open;
            stream.await;
        };
        if opened_before < STREAMS_AT_HOME {
            // As in a task of its own, a panic is told by the panic hook and is the end of this stream alone.
            self.shared.arrived().push(AssertUnwindSafe(stream).catch_unwind().map(drop).boxed());
        } else {
            tokio::spawn(stream);
        }
    }
}

/// An open stream, counted until this is dropped.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn arrived(&self) -> MutexGuard<'_, Vec<BoxFuture<'static, ()>>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which parts of a task were woken. While the task looks at them it need not be woken itself.
struct Bells {
    /// A bit for each part, and [`ATTENDED`].
    rung: AtomicU8,
    task: AtomicWaker,
}

const ATTENDED: u8 = 1 << 7;
const _: () = assert!(PARTS <= 7, "every part has a bit of its own");

/// Wakes one part.
struct Bell {
    shared: Arc<Shared>,
    part: usize,
}

impl Bells {
    /// All parts are looked at the first time.
    fn new() -> Self {
        Self { rung: AtomicU8::new(CONNECTION_BIT | STREAM_BITS), task: AtomicWaker::new() }
    }

    /// The task begins to look at what rings.
    fn attend(&self, task: &Waker) {
        self.task.register(task);
        self.rung.fetch_or(ATTENDED, Ordering::AcqRel);
    }

    /// Which of these parts rang since the last time.
    fn take(&self, parts: u8) -> u8 {
        self.rung.fetch_and(!parts, Ordering::AcqRel) & parts
    }

    /// The task looks no more. Says whether something rang meanwhile; otherwise it is woken by the next one that does.
    fn leave(&self) -> bool {
        self.rung.fetch_and(!ATTENDED, Ordering::AcqRel) != ATTENDED
    }

    fn ring(&self, part: usize) {
        // Otherwise the task looks anyway, or was woken for another part.
        if self.rung.fetch_or(1 << part, Ordering::AcqRel) == 0 {
            self.task.wake();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.bells.ring(self.part);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::time::Duration;

    use futures::channel::oneshot;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A connection that brings streams as it is told to, counts its turns, and ends when nobody is left to tell it.
    struct World {
        bring: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
        turns: Arc<AtomicUsize>,
        task: JoinHandle<()>,
    }

    fn world() -> World {
        let (bring, mut brought) = mpsc::unbounded_channel();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let mut own_task = OwnTask::new(|executor| {
            poll_fn(move |cx| {
                counted.fetch_add(1, Ordering::Relaxed);
                while let Poll::Ready(brought) = brought.poll_recv(cx) {
                    let Some(stream) = brought else { return Poll::Ready(()) };
                    executor.execute(stream);
                }
                Poll::Pending
            })
        });
        let task = tokio::spawn(async move { poll_fn(|cx| own_task.poll(cx)).await });
        World { bring, turns, task }
    }

    impl World {
        /// Brings a stream, and waits until it runs. Returns the task that it runs in, and what ends it.
        async fn open(&self) -> (tokio::task::Id, oneshot::Sender<()>) {
            let (runs, is_running) = oneshot::channel();
            let (end, ended) = oneshot::channel();
            self.bring(async move {
                runs.send(tokio::task::id()).expect("it is waited for");
                // An error is that nobody holds the other side any more: the end as well.
                let _ = ended.await;
            });
            (within(is_running).await.expect("it runs"), end)
        }

        fn bring(&self, stream: impl Future<Output = ()> + Send + 'static) {
            self.bring.send(stream.boxed()).expect("the connection is there");
        }
    }

    async fn within<F: Future>(future: F) -> F::Output {
        timeout(PATIENCE, future).await.expect("it takes no time")
    }

    #[tokio::test]
    async fn the_first_streams_run_at_home_and_others_elsewhere() {
        let world = world();
        let home = world.task.id();
        let mut open = Vec::new();
        for number in 0..STREAMS_AT_HOME + 2 {
            let (task, end) = world.open().await;
            assert_eq!(task == home, number < STREAMS_AT_HOME);
            open.push(end);
        }
        drop(open);
        // All have ended, so there is room at home again, sooner or later.
        within(async { while world.open().await.0 != home {} }).await;
    }

    #[tokio::test]
    async fn the_connection_gets_its_turn_while_streams_wait() {
        let world = world();
        for _ in 0..STREAMS_AT_HOME {
            world.bring(pending());
        }
        let before = world.turns.load(Ordering::Relaxed);
        world.open().await;
        assert!(world.turns.load(Ordering::Relaxed) > before);
    }

    #[tokio::test]
    async fn a_stream_that_is_woken_leaves_the_connection_alone() {
        let world = world();
        let (say, mut said) = mpsc::unbounded_channel();
        let (hear, mut heard) = mpsc::unbounded_channel();
        world.bring(async move {
            while let Some(word) = said.recv().await {
                hear.send(word).expect("it is heard");
            }
        });
        say.send(0).expect("the stream is there");
        assert_eq!(within(heard.recv()).await, Some(0));
        let before = world.turns.load(Ordering::Relaxed);
        for word in 1..100 {
            say.send(word).expect("the stream is there");
            assert_eq!(within(heard.recv()).await, Some(word));
        }
        assert_eq!(world.turns.load(Ordering::Relaxed), before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_forgotten_however_they_are_woken() {
        const WORDS: usize = 10_000;
        let world = world();
        let mut talks = Vec::new();
        for _ in 0..STREAMS_AT_HOME {
            let (say, mut said) = mpsc::channel(1);
            let (hear, mut heard) = mpsc::channel(1);
            world.bring(async move {
                while let Some(word) = said.recv().await {
                    hear.send(word).await.expect("it is heard");
                }
            });
            talks.push(tokio::spawn(async move {
                for word in 0..WORDS {
                    say.send(word).await.expect("the stream is there");
                    assert_eq!(heard.recv().await, Some(word));
                }
            }));
        }
        for talk in talks {
            within(talk).await.expect("it was heard to the end");
        }
    }

    #[tokio::test]
    async fn a_stream_that_panics_ends_alone() {
        let world = world();
        let (_, _end) = world.open().await;
        world.bring(async { panic!("a stream may do so") });
        within(async { while world.open().await.0 != world.task.id() {} }).await;
    }

    #[tokio::test]
    async fn streams_survive_the_end_of_their_connection_and_not_that_of_its_task() {
        let ended = world();
        let (_, end) = ended.open().await;
        drop(ended.bring);
        within(ended.task).await.expect("it ends");
        assert!(!end.is_canceled(), "what was begun goes on");

        let dropped = world();
        let (_, mut end) = dropped.open().await;
        dropped.task.abort();
        within(end.cancellation()).await;
    }
}

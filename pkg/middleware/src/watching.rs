//! Streams of what somebody watches: what there is to tell, signs of life while that is nothing, and a farewell when the
//! server drains.

use std::time::{Duration, SystemTime};

use futures::stream::{self, BoxStream, StreamExt};
use pkg_ambient::Ambient;
use pkg_api::game::v1::{GoAway, GoAwayReason, Heartbeat};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// How long a stream is silent at most: clients give up one that says nothing for three times as long.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Those who watch come back within this time when they are sent elsewhere.
const COME_BACK_WITHIN: Duration = Duration::from_secs(3);

/// What a stream tells of. [`watch`] makes the stream.
pub trait Watched: Send + 'static {
    /// What the stream says.
    type Message: Send;
    /// The message as the API has it.
    type Answer: Send + 'static;

    /// Whether nothing more is told once the server drains. Otherwise what is there by then is still told, so that an end
    /// that has come is not missed.
    const LEAVES_AT_ONCE: bool = false;

    /// What comes next, as long as that takes; `None` when nothing follows. An error is the end as well. Nothing may be lost
    /// if the wait is given up.
    fn next_message(&mut self) -> impl Future<Output = Option<Result<Self::Message, Status>>> + Send;

    /// A sign of life.
    fn heartbeat(heartbeat: Heartbeat) -> Self::Message;

    /// The last message before the stream ends in good order.
    fn go_away(go_away: GoAway) -> Self::Message;

    /// Wraps a message.
    fn answer(message: Self::Message) -> Self::Answer;
}

/// The answer of a streaming method that lets something be watched. It ends with what is watched, with its error, or with
/// a [`GoAway`] as the server drains, which is [`RequestContext::draining`](crate::RequestContext::draining).
pub fn watch<W: Watched>(
    watched: W,
    draining: CancellationToken,
    ambient: Ambient,
) -> BoxStream<'static, Result<W::Answer, Status>> {
    let watching = Watching { watched, draining, ambient, silent_until: Instant::now() + HEARTBEAT, has_ended: false };
    let answers = stream::unfold(watching, Watching::next);
    answers.map(|message| message.map(W::answer)).boxed()
}

/// A sign of life of now.
#[must_use]
pub fn heartbeat(ambient: &Ambient) -> Heartbeat {
    Heartbeat { server_time: Some(SystemTime::from(ambient.now()).into()) }
}

/// The last message of a stream whose server drains. Clients come back within this time, spread over it.
#[must_use]
pub fn go_away(ambient: &Ambient, come_back_within: Duration) -> GoAway {
    let random = u16::from_le_bytes(ambient.random());
    let delay = come_back_within.mul_f64(f64::from(random) / f64::from(u16::MAX));
    GoAway { reason: GoAwayReason::Drain.into(), retry_delay: prost_types::Duration::try_from(delay).ok() }
}

struct Watching<W> {
    watched: W,
    draining: CancellationToken,
    ambient: Ambient,
    silent_until: Instant,
    has_ended: bool,
}

impl<W: Watched> Watching<W> {
    async fn next(mut self) -> Option<(Result<W::Message, Status>, Self)> {
        if self.has_ended {
            return None;
        }
        let message = tokio::select! {
            biased;
            () = self.draining.cancelled(), if W::LEAVES_AT_ONCE => Ok(self.leave()),
            next = self.watched.next_message() => next?,
            () = self.draining.cancelled() => Ok(self.leave()),
            () = sleep_until(self.silent_until) => Ok(W::heartbeat(heartbeat(&self.ambient))),
        };
        self.has_ended |= message.is_err();
        self.silent_until = Instant::now() + HEARTBEAT;
        Some((message, self))
    }

    fn leave(&mut self) -> W::Message {
        self.has_ended = true;
        W::go_away(go_away(&self.ambient, COME_BACK_WITHIN))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::mpsc;
    use tonic::Code;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Told {
        Number(u32),
        Heartbeat,
        GoAway(Duration),
    }

    struct Numbers<const AT_ONCE: bool>(mpsc::UnboundedReceiver<Result<u32, Status>>);

    impl<const AT_ONCE: bool> Watched for Numbers<AT_ONCE> {
        type Message = Told;
        type Answer = Option<Told>;

        const LEAVES_AT_ONCE: bool = AT_ONCE;

        async fn next_message(&mut self) -> Option<Result<Told, Status>> {
            self.0.recv().await.map(|number| number.map(Told::Number))
        }

        fn heartbeat(heartbeat: Heartbeat) -> Told {
            assert!(heartbeat.server_time.is_some());
            Told::Heartbeat
        }

        fn go_away(go_away: GoAway) -> Told {
            assert_eq!(go_away.reason(), GoAwayReason::Drain);
            Told::GoAway(go_away.retry_delay.expect("there is one").try_into().expect("it is not negative"))
        }

        fn answer(message: Told) -> Option<Told> {
            Some(message)
        }
    }

    struct World {
        numbers: mpsc::UnboundedSender<Result<u32, Status>>,
        draining: CancellationToken,
        stream: BoxStream<'static, Result<Option<Told>, Status>>,
    }

    fn world<const AT_ONCE: bool>() -> World {
        let (numbers, receiver) = mpsc::unbounded_channel();
        let draining = CancellationToken::new();
        let stream = watch(Numbers::<AT_ONCE>(receiver), draining.clone(), Ambient::system());
        World { numbers, draining, stream }
    }

    impl World {
        fn tell(&self, number: u32) {
            self.numbers.send(Ok(number)).expect("it is watched");
        }

        async fn next(&mut self) -> Option<Told> {
            self.stream.next().await?.expect("it is no error")
        }

        async fn is_sent_away(&mut self) -> bool {
            let last = self.next().await;
            let in_time = matches!(last, Some(Told::GoAway(delay)) if delay <= COME_BACK_WITHIN);
            in_time && self.next().await.is_none()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_gives_signs_of_life() {
        let mut world = world::<false>();
        let begun = Instant::now();
        assert_eq!(world.next().await, Some(Told::Heartbeat));
        assert_eq!(begun.elapsed(), HEARTBEAT);
        tokio::time::advance(HEARTBEAT / 2).await;
        world.tell(1);
        assert_eq!(world.next().await, Some(Told::Number(1)));
        assert_eq!(world.next().await, Some(Told::Heartbeat));
        assert_eq!(begun.elapsed(), HEARTBEAT * 5 / 2, "whatever is told is a sign of life");
    }

    #[tokio::test]
    async fn a_drain_is_the_end_of_a_stream_that_waits() {
        let mut world = world::<false>();
        assert!(world.stream.next().now_or_never().is_none());
        world.draining.cancel();
        assert!(world.is_sent_away().await);
    }

    #[tokio::test]
    async fn what_is_there_is_told_before_a_drain_or_not() {
        let mut one = world::<false>();
        one.tell(1);
        one.draining.cancel();
        assert_eq!(one.next().await, Some(Told::Number(1)));
        assert!(one.is_sent_away().await);
        let mut other = world::<true>();
        other.tell(1);
        other.draining.cancel();
        assert!(other.is_sent_away().await);
    }

    #[tokio::test]
    async fn it_ends_with_what_is_watched() {
        let World { numbers, draining: _draining, mut stream } = world::<false>();
        drop(numbers);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_follows_an_error() {
        let mut world = world::<false>();
        world.numbers.send(Err(Status::not_found("it was removed"))).expect("it is watched");
        world.tell(1);
        let error = world.stream.next().await.expect("it is told").expect_err("it is an error");
        assert_eq!(error.code(), Code::NotFound);
        assert!(world.stream.next().await.is_none());
    }
}

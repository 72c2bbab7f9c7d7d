//! The body of an answer under way: the outer layers, for as long as the answer takes.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use crate::aside::Aside;
use crate::caller::RequestContext;
use crate::frames::{FrameScanner, too_large};
use crate::normalise::{self, Outcome};
use crate::observation::Observation;
use crate::panic_guard;
use crate::problem::Problem;
use crate::streams::StreamLease;

/// When a stream ends by itself, and the problem that it then ends with.
pub(crate) struct Expiry {
    sleep: Aside<Sleep>,
    problem: fn() -> Problem,
}

impl Expiry {
    pub(crate) fn at(moment: Instant, problem: fn() -> Problem) -> Self {
        Self { sleep: Aside::new(tokio::time::sleep_until(moment)), problem }
    }
}

/// What guards an answer that is a stream.
pub(crate) struct StreamGuard {
    pub(crate) lease: StreamLease,
    pub(crate) expiry: Option<Expiry>,
}

impl StreamGuard {
    /// The problem that the stream must end with, once it must.
    pub(crate) async fn ended(&mut self) -> Problem {
        poll_fn(|cx| self.poll_ended(cx)).await
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Problem> {
        if let Some(problem) = self.lease.poll_end(cx) {
            return Poll::Ready(problem);
        }
        match self.expiry.as_mut() {
            Some(expiry) => expiry.sleep.poll(cx).map(|()| (expiry.problem)()),
            None => Poll::Pending,
        }
    }
}

/// An answer's body. It ends in trailers with a right status, whatever becomes of the handler's own body, and is
/// observed when it ends or is dropped.
pub(crate) struct Answer {
    inner: Option<Body>,
    /// What is still to be sent after the data of an answer that was cut short.
    last: Option<HeaderMap>,
    guard: Option<StreamGuard>,
    scanner: FrameScanner,
    limit: usize,
    context: Arc<RequestContext>,
    observation: Observation,
}

impl Answer {
    pub(crate) fn new(
        inner: Body,
        guard: Option<StreamGuard>,
        limit: usize,
        context: Arc<RequestContext>,
        observation: Observation,
    ) -> Self {
        let scanner = FrameScanner::new(limit);
        Self { inner: Some(inner), last: None, guard, scanner, limit, context, observation }
    }

    /// The trailers that end the answer with this status; the handler's body and the stream's place are given up.
    fn end(&mut self, status: Status) -> HeaderMap {
        let status = normalise::with_reason(status);
        let mut trailers = HeaderMap::new();
        normalise::write(&status, &mut trailers);
        self.close(&Outcome::of(&status));
        trailers
    }

    fn close(&mut self, outcome: &Outcome) {
        self.inner = None;
        self.guard = None;
        self.observation.finish(outcome.code, outcome.error.as_deref());
    }

    /// The next frame of the handler's body; a panic in it becomes a problem.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        let context = &self.context;
        let polled =
            catch_unwind(AssertUnwindSafe(|| context.sync_scope(|| http_body::Body::poll_frame(Pin::new(inner), cx))));
        polled.unwrap_or_else(|payload| {
            Poll::Ready(Some(Err(panic_guard::problem(payload.as_ref(), self.observation.request_id()).into())))
        })
    }

    /// Data as it is, or what of it stands before a message that is too large.
    fn pass(&mut self, mut data: Bytes) -> Frame<Bytes> {
        let Err(good) = self.scanner.scan(&data) else { return Frame::data(data) };
        let trailers = self.end(too_large(self.limit).into());
        data.truncate(good);
        if data.is_empty() {
            return Frame::trailers(trailers);
        }
        self.last = Some(trailers);
        Frame::data(data)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(trailers) = this.last.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if this.inner.is_none() {
            return Poll::Ready(None);
        }
        if let Some(Poll::Ready(problem)) = this.guard.as_mut().map(|guard| guard.poll_ended(cx)) {
            return Poll::Ready(Some(Ok(Frame::trailers(this.end(problem.into())))));
        }
        let frame = match this.poll_inner(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => Frame::trailers(HeaderMap::new()),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(status))) => {
                return Poll::Ready(Some(Ok(Frame::trailers(this.end(status)))));
            }
        };
        match frame.into_data() {
            Ok(data) => Poll::Ready(Some(Ok(this.pass(data)))),
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                let outcome = normalise::normalise(&mut trailers);
                this.close(&outcome);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }

    /// Told to the HTTP server, which otherwise would wait for an end that was already said.
    fn is_end_stream(&self) -> bool {
        self.inner.is_none() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

//! The answer of an open stream, as the connection takes it: only when the client has room for more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use pkg_api::events::v1::connect_events_response::Message;
use pkg_middleware::{Aside, HEARTBEAT, RequestContext, go_away, heartbeat};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use super::EventParts;
use super::client::Client;
use crate::subscription::{Outgoing, Subscription, frame};

/// Clients that are sent away come back spread over this time: who plays misses more than who watches.
const COME_BACK_WITHIN: Duration = Duration::from_secs(2);

/// An open stream.
pub(super) struct EventStream {
    parts: Arc<EventParts>,
    subscription: Subscription,
    /// The other direction, where there is one.
    client: Option<Client>,
    out: Outgoing,
    /// How it ends, once it does: after what is still to be sent.
    end: Option<Status>,
    is_over: bool,
    draining: Aside<WaitForCancellationFutureOwned>,
    heartbeat: Aside<Sleep>,
    sent_at: Instant,
}

impl EventStream {
    pub(super) fn new(
        parts: Arc<EventParts>,
        subscription: Subscription,
        first: Outgoing,
        client: Option<Client>,
        context: &RequestContext,
    ) -> Self {
        Self {
            parts,
            subscription,
            client,
            out: first,
            end: None,
            is_over: false,
            draining: Aside::new(context.draining().clone().cancelled_owned()),
            heartbeat: Aside::new(sleep(HEARTBEAT)),
            sent_at: Instant::now(),
        }
    }

    /// Fills what is to be sent. The error is how the stream ends.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        loop {
            if let Some(client) = &mut self.client {
                client.poll(cx, &mut self.subscription, &mut self.out)?;
            }
            let was_busy = self.subscription.is_busy();
            if let Poll::Ready(Err(error)) = self.subscription.poll(cx, &mut self.out) {
                return Err(error.into());
            }
            // Whoever waited for the subscription has its turn.
            if !was_busy || self.subscription.is_busy() {
                break;
            }
        }
        if self.draining.poll(cx).is_ready() {
            self.parts.subscriptions.leases.leave();
            self.out.push(frame(Message::GoAway(go_away(&self.parts.ambient, COME_BACK_WITHIN))));
            return Err(Status::ok(""));
        }
        self.poll_heartbeat(cx);
        Ok(())
    }

    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) {
        while self.out.is_empty() && self.heartbeat.poll(cx).is_ready() {
            let (due, now) = (self.sent_at + HEARTBEAT, Instant::now());
            if due <= now {
                self.out.push(frame(Message::Heartbeat(heartbeat(&self.parts.ambient))));
            }
            // Every message is a sign of life; the timer is not moved for each of them.
            self.heartbeat.change().reset(if due <= now { now + HEARTBEAT } else { due });
        }
    }
}

impl http_body::Body for EventStream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if this.end.is_none() && !this.out.is_full() {
            this.end = this.poll_out(cx).err();
        }
        if let Some(bytes) = this.out.take() {
            this.sent_at = Instant::now();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(status) = this.end.take() else { return Poll::Pending };
        this.is_over = true;
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

//! What the client says on `ConnectEvents`: one message after the other, the next one once this one is done. So what a client
//! sends waits with the connection, in its window, and nowhere else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use pkg_api::events::v1::connect_events_request::Message as Said;
use pkg_api::events::v1::connect_events_response::Message;
use pkg_api::events::v1::{ConnectEventsRequest, PublishAccepted, StreamPublication};
use pkg_middleware::Actor;
use tonic::codec::Streaming;
use tonic::{Code, Status};

use super::super::{parse_events as parse, tell_events as tell};
use super::EventParts;
use crate::publishing::{Outcome, PublicationError};
use crate::subscription::{Outgoing, Subscription, frame};

/// After so many messages it is the turn of others.
const MESSAGES_AT_ONCE: usize = 32;

/// The client's side of a stream.
pub(super) struct Client {
    parts: Arc<EventParts>,
    actor: Actor,
    /// Absent once the client has said all it will.
    incoming: Option<Streaming<ConnectEventsRequest>>,
    publication: Option<InFlight>,
}

struct InFlight {
    number: i64,
    outcome: BoxFuture<'static, Result<Vec<Outcome>, PublicationError>>,
}

impl Client {
    pub(super) fn new(incoming: Streaming<ConnectEventsRequest>, actor: Actor, parts: Arc<EventParts>) -> Self {
        Self { parts, actor, incoming: Some(incoming), publication: None }
    }

    /// Does what the client says, until it must wait for something. The error ends the stream.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        subscription: &mut Subscription,
        out: &mut Outgoing,
    ) -> Result<(), Status> {
        for _ in 0..MESSAGES_AT_ONCE {
            if let Some(InFlight { number, outcome }) = &mut self.publication {
                let Poll::Ready(outcome) = outcome.poll_unpin(cx) else { return Ok(()) };
                let number = *number;
                self.publication = None;
                answer(number, outcome, out)?;
            }
            if subscription.is_busy() || out.is_full() {
                return Ok(());
            }
            let Some(incoming) = &mut self.incoming else { return Ok(()) };
            match Pin::new(incoming).poll_next(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(None) => {
                    self.incoming = None;
                    return Ok(());
                }
                Poll::Ready(Some(message)) => self.take(message?, subscription, out)?,
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn take(
        &mut self,
        message: ConnectEventsRequest,
        subscription: &mut Subscription,
        out: &mut Outgoing,
    ) -> Result<(), Status> {
        match message.message {
            Some(Said::Subscribe(request)) => subscription.follow(parse::wanted(&request)?),
            Some(Said::Unsubscribe(request)) => subscription.unfollow(&parse::topic("topic", &request.topic)?, out),
            Some(Said::Publish(StreamPublication { number, publication })) => {
                let publication = parse::publication(publication.unwrap_or_default())?;
                let (parts, actor) = (self.parts.clone(), self.actor);
                let outcome = async move { parts.publisher.publish(actor, publication).await }.boxed();
                self.publication = Some(InFlight { number, outcome });
            }
            None => return Err(parse::nothing_said().into()),
        }
        Ok(())
    }
}

/// Answers a publication; what the client must not have sent ends the stream.
fn answer(number: i64, outcome: Result<Vec<Outcome>, PublicationError>, out: &mut Outgoing) -> Result<(), Status> {
    match outcome {
        Ok(_) if number == 0 => {}
        Ok(outcomes) => {
            let response = Some(tell::outcomes(&outcomes));
            out.push(frame(Message::PublishAccepted(PublishAccepted { number, response })));
        }
        Err(error) => {
            let status = Status::from(error);
            if status.code() == Code::InvalidArgument {
                return Err(status);
            }
            out.push(frame(Message::PublishRefused(tell::refused(number, &status))));
        }
    }
    Ok(())
}

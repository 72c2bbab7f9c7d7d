//! `muster.events.v1.EventService`.
//!
//! The two streams are served by hand: their messages are encoded once for all clients of this node, so what goes to
//! each is bytes.

mod client;
mod stream;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use pkg_ambient::Ambient;
use pkg_api::events::v1::{
    CreateAnnouncementRequest, CreateAnnouncementResponse, ListAnnouncementsRequest, ListAnnouncementsResponse,
    PublishRequest, PublishResponse, SubscribeRequest, event_service_server,
};
use pkg_middleware::{Actor, Caller, Problem, RequestContext};
use tonic::body::Body;
use tonic::codec::{BufferSettings, Streaming};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Status};
use tonic_prost::{ProstCodec, ProstDecoder};
use tower::service_fn;

use self::client::Client;
use self::stream::EventStream;
use super::{parse_events as parse, tell_events as tell};
use crate::announcement::Announcements;
use crate::publishing::Publisher;
use crate::subscription::{Follower, Outgoing, Subscription, Subscriptions};

/// The buffer that a stream reads its messages into; larger messages get a larger one. Tonic's own is 8 KiB, for each of
/// many idle streams.
const READ_BUFFER_BYTES: usize = 512;

/// The handlers. Clones share everything.
#[derive(Clone)]
pub struct EventApi {
    parts: Arc<EventParts>,
}

/// What the handlers work with.
pub struct EventParts {
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) publisher: Publisher,
    pub(crate) announcements: Announcements,
    pub(crate) ambient: Ambient,
}

type Handled<T> = Result<tonic::Response<T>, Status>;

impl EventApi {
    pub(crate) fn new(parts: EventParts) -> Self {
        Self { parts: Arc::new(parts) }
    }
}

impl NamedService for EventApi {
    const NAME: &'static str = event_service_server::SERVICE_NAME;
}

impl tower::Service<Request<Body>> for EventApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let parts = self.parts.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default();
            Ok(match method {
                "Subscribe" => parts.subscribe(request).await.unwrap_or_else(Status::into_http),
                "ConnectEvents" => parts.connect_events(request).unwrap_or_else(Status::into_http),
                "Publish" => {
                    let handler = service_fn(move |request| parts.clone().publish(request));
                    unary::<_, PublishRequest, PublishResponse>(handler, request).await
                }
                "CreateAnnouncement" => {
                    let handler = service_fn(move |request| parts.clone().create_announcement(request));
                    unary::<_, CreateAnnouncementRequest, CreateAnnouncementResponse>(handler, request).await
                }
                "ListAnnouncements" => {
                    let handler = service_fn(move |request| parts.clone().list_announcements(request));
                    unary::<_, ListAnnouncementsRequest, ListAnnouncementsResponse>(handler, request).await
                }
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}

async fn unary<H, I, O>(handler: H, request: Request<Body>) -> Response<Body>
where
    H: UnaryService<I, Response = O>,
    I: prost::Message + Default + Send + 'static,
    O: prost::Message + Send + 'static,
{
    Grpc::new(ProstCodec::<O, I>::default()).unary(handler, request).await
}

impl EventParts {
    /// Answers when all topics are followed, so that a refusal is the status of the call.
    async fn subscribe(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (follower, context) = admitted(&request)?;
        let mut messages = incoming::<SubscribeRequest>(request)?;
        let message = messages.message().await?.ok_or_else(no_message)?;
        let mut subscription = Subscription::new(self.subscriptions.clone(), follower);
        subscription.follow(parse::wanted(&message)?);
        let mut first = Outgoing::default();
        poll_fn(|cx| subscription.poll(cx, &mut first)).await?;
        Ok(answer(EventStream::new(self, subscription, first, None, &context)))
    }

    fn connect_events(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (follower, context) = admitted(&request)?;
        let subscription = Subscription::new(self.subscriptions.clone(), follower);
        let client = Client::new(incoming(request)?, follower.actor, self.clone());
        Ok(answer(EventStream::new(self, subscription, Outgoing::default(), Some(client), &context)))
    }

    async fn publish(self: Arc<Self>, request: tonic::Request<PublishRequest>) -> Handled<PublishResponse> {
        let who = Actor::of(&request)?;
        let outcomes = self.publisher.publish(who, parse::publication(request.into_inner())?).await?;
        Ok(tonic::Response::new(tell::outcomes(&outcomes)))
    }

    async fn create_announcement(
        self: Arc<Self>,
        request: tonic::Request<CreateAnnouncementRequest>,
    ) -> Handled<CreateAnnouncementResponse> {
        let announcement = self.announcements.create(parse::new_announcement(request.get_ref())?).await?;
        Ok(tonic::Response::new(CreateAnnouncementResponse { announcement: Some(announcement.to_api()) }))
    }

    async fn list_announcements(
        self: Arc<Self>,
        request: tonic::Request<ListAnnouncementsRequest>,
    ) -> Handled<ListAnnouncementsResponse> {
        let parse::AnnouncementPage { game, after, size } = parse::announcement_page(request.get_ref())?;
        let mut found = self.announcements.list(game, after, size + 1).await?;
        let more = found.len() > size;
        found.truncate(size);
        Ok(tonic::Response::new(tell::announcements(&found, more)))
    }
}

/// Who calls, and what is known of the request.
fn admitted(request: &Request<Body>) -> Result<(Follower, RequestContext), Status> {
    let caller = request.extensions().get::<Caller>();
    let context = RequestContext::among(request.extensions());
    let (caller, context) = caller.zip(context).ok_or_else(|| Problem::internal("the request came past the server"))?;
    Ok((parse::follower(caller)?, context.clone()))
}

/// The messages of a request.
fn incoming<M>(request: Request<Body>) -> Result<Streaming<M>, Status>
where
    M: prost::Message + Default + 'static,
{
    if request.headers().get("grpc-encoding").is_some_and(|encoding| encoding != "identity") {
        let problem = Problem::new(Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED", "messages must not be compressed");
        return Err(problem.into());
    }
    let decoder = ProstDecoder::new(BufferSettings::new(READ_BUFFER_BYTES, READ_BUFFER_BYTES));
    Ok(Streaming::new_request(decoder, request.into_body(), None, None))
}

fn no_message() -> Status {
    Problem::new(Code::InvalidArgument, "MALFORMED_MESSAGE", "the call has no message").into()
}

fn answer(stream: EventStream) -> Response<Body> {
    let mut response = Response::new(Body::new(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

//! Somebody who follows a topic by `Subscribe`.

use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::events::v1::{SubscribeRequest, SubscribeResponse, Subscription};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::client::{Client, bearer};
use crate::signer::SignedIn;
use crate::wait::LIMIT;

/// An open stream on one topic.
#[derive(Debug)]
pub struct Follower {
    stream: Streaming<SubscribeResponse>,
    /// Where the topic goes on after what was heard.
    pub cursor: String,
}

impl Follower {
    /// Follows a topic from a cursor on, or from now on.
    pub async fn of(client: &Client, who: &SignedIn, topic: &str, cursor: &str) -> Result<Self, Status> {
        let subscription = Subscription { topic: topic.to_owned(), cursor: cursor.to_owned() };
        let request = SubscribeRequest { subscriptions: vec![subscription] };
        let stream = client.events().subscribe(bearer(request, &who.token)).await?.into_inner();
        let mut follower = Self { stream, cursor: cursor.to_owned() };
        match follower.next().await? {
            Some(Message::Subscribed(subscribed)) => follower.cursor = subscribed.cursor,
            other => panic!("a stream that does not begin with Subscribed: {other:?}"),
        }
        Ok(follower)
    }

    /// What comes next, heartbeats left out; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Message>, Status> {
        loop {
            let next = timeout(LIMIT, self.stream.message()).await;
            let Some(message) = next.unwrap_or_else(|_| panic!("silence for {LIMIT:?}"))? else { return Ok(None) };
            let message = message.message.expect("a message has a kind");
            match &message {
                Message::Heartbeat(_) => continue,
                Message::Event(event) if !event.cursor.is_empty() => self.cursor.clone_from(&event.cursor),
                Message::Gap(gap) => self.cursor.clone_from(&gap.cursor),
                _ => {}
            }
            return Ok(Some(message));
        }
    }

    /// The payload of the next event.
    ///
    /// # Panics
    /// If something else comes.
    pub async fn next_payload(&mut self) -> Payload {
        match self.next().await {
            Ok(Some(Message::Event(event))) => event.payload.expect("an event has a payload"),
            other => panic!("no event: {other:?}"),
        }
    }

    /// The data of the next event of the game's own; other events are passed over.
    ///
    /// # Panics
    /// If something else comes.
    pub async fn next_data(&mut self) -> Vec<u8> {
        loop {
            if let Payload::GameEvent(event) = self.next_payload().await {
                return event.data;
            }
        }
    }
}

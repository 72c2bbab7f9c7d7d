//! A player with a native client: one stream for both directions, made anew whenever it ends.

use std::time::Duration;

use pkg_api::events::v1::connect_events_request::Message as Sent;
use pkg_api::events::v1::connect_events_response::Message as Heard;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{
    ConnectEventsRequest, ConnectEventsResponse, Event, NewEvent, PublishRequest, StreamPublication, SubscribeRequest,
    Subscription,
};
use system_tests::{Client, SignedIn, bearer, game_event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

/// How long it waits before it tries again.
const PAUSE: Duration = Duration::from_millis(50);
/// How many messages may wait to be sent: a subscription and a publication, and that again.
const OUTBOX: usize = 4;

/// What one player does in a session with two.
pub struct Native {
    pub client: Client,
    pub me: SignedIn,
    pub session: String,
    pub cursor: String,
    /// How many events each of the two publishes.
    pub count: usize,
}

/// Who published which event of the session, in the order of its topic: what each publishes is numbered.
#[derive(Default)]
pub struct Order {
    /// For each event: was it ours?
    ours: Vec<bool>,
    next_of_ours: usize,
    next_of_others: usize,
    /// How many streams it took.
    pub streams: usize,
}

/// A publication without an answer.
type Pending = Option<Vec<NewEvent>>;

impl Native {
    /// Publishes batch after batch, of so many events, whenever it is told to, until it has heard everything twice:
    /// what it published, and what the other did. Each is heard once, in its order.
    pub async fn play(mut self, mut turns: mpsc::Receiver<usize>) -> Order {
        let (mut order, mut pending, mut published) = (Order::default(), Pending::None, 0);
        while !order.is_complete(self.count) {
            let (sender, receiver) = mpsc::channel(OUTBOX);
            sender.send(self.subscribe()).await.unwrap();
            if let Some(events) = &pending {
                sender.send(self.publish(events)).await.unwrap();
            }
            let sent = bearer(ReceiverStream::new(receiver), &self.me.token);
            let mut stream = match self.client.events().connect_events(sent).await {
                Ok(answer) => {
                    order.streams += 1;
                    answer.into_inner()
                }
                Err(status) => {
                    assert_lost(&status);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            while !order.is_complete(self.count) {
                tokio::select! {
                    message = stream.message() => {
                        if !self.hear(message, &mut order, &mut pending, &sender).await {
                            break;
                        }
                    }
                    Some(events) = turns.recv(), if pending.is_none() => {
                        let numbers = published..published + events;
                        published += events;
                        let events: Vec<_> = numbers.map(|number| game_event(number.to_string())).collect();
                        sender.send(self.publish(&events)).await.unwrap();
                        pending = Some(events);
                    }
                }
            }
        }
        order
    }

    /// Says whether the stream goes on.
    async fn hear(
        &mut self,
        message: Result<Option<ConnectEventsResponse>, Status>,
        order: &mut Order,
        pending: &mut Pending,
        sender: &mpsc::Sender<ConnectEventsRequest>,
    ) -> bool {
        let message = match message {
            Ok(Some(message)) => message.message.unwrap(),
            Ok(None) => return false,
            Err(status) => {
                assert_lost(&status);
                return false;
            }
        };
        match message {
            Heard::Event(event) => {
                self.cursor.clone_from(&event.cursor);
                order.hear(&event, &self.me.id);
            }
            Heard::PublishAccepted(_) => *pending = None,
            Heard::PublishRefused(refused) => {
                let may_come_again = [Code::Unavailable, Code::ResourceExhausted, Code::Aborted];
                assert!(may_come_again.contains(&Code::from_i32(refused.code)), "{refused:?}");
                tokio::time::sleep(PAUSE).await;
                let events = pending.as_ref().expect("what is refused was published");
                sender.send(self.publish(events)).await.unwrap();
            }
            Heard::Subscribed(_) | Heard::Heartbeat(_) | Heard::GoAway(_) => {}
            Heard::Gap(_) | Heard::TopicClosed(_) => panic!("events are lost: {message:?}"),
        }
        true
    }

    fn subscribe(&self) -> ConnectEventsRequest {
        let subscription = Subscription { topic: format!("session/{}", self.session), cursor: self.cursor.clone() };
        let subscribe = SubscribeRequest { subscriptions: vec![subscription] };
        ConnectEventsRequest { message: Some(Sent::Subscribe(subscribe)) }
    }

    fn publish(&self, events: &[NewEvent]) -> ConnectEventsRequest {
        let publication = PublishRequest { session_id: self.session.clone(), events: events.to_vec() };
        let publication = StreamPublication { number: 1, publication: Some(publication) };
        ConnectEventsRequest { message: Some(Sent::Publish(publication)) }
    }
}

impl Order {
    fn hear(&mut self, event: &Event, me: &str) {
        let Some(Payload::GameEvent(moved)) = &event.payload else { return };
        let is_ours = event.player_id == me;
        let next = if is_ours { &mut self.next_of_ours } else { &mut self.next_of_others };
        let number: usize = std::str::from_utf8(&moved.data).unwrap().parse().unwrap();
        assert_eq!(number, *next, "lost, doubled or out of order; ours: {is_ours}");
        *next += 1;
        self.ours.push(is_ours);
    }

    fn is_complete(&self, count: usize) -> bool {
        self.next_of_ours == count && self.next_of_others == count
    }

    /// A letter for each event, as the other one sees it: "m" for mine, "t" for theirs.
    pub fn as_the_other_sees_it(&self) -> String {
        self.ours.iter().map(|is_ours| if *is_ours { 't' } else { 'm' }).collect()
    }
}

/// A stream may break or be refused while replicas go and come; nothing else may be wrong.
fn assert_lost(status: &Status) {
    let lost = [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled];
    assert!(lost.contains(&status.code()), "{status:?}");
}

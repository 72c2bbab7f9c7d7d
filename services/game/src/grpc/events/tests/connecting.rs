//! Both directions on one stream.

use pkg_api::events::v1::connect_events_request::Message as Said;
use pkg_api::events::v1::connect_events_response::Message;
use pkg_api::events::v1::{
    ConnectEventsRequest, ConnectEventsResponse, NewEvent, PublishRequest, StreamPublication, TopicCloseReason,
    Unsubscribe, game_event,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::world::{
    Client, World, addressed, error, eventually, failure, name, retained, session_topic, unretained, wanted,
};
use crate::grpc::harness::in_time;

struct Connection {
    say: mpsc::Sender<ConnectEventsRequest>,
    told: Streaming<ConnectEventsResponse>,
}

impl Connection {
    async fn open(client: &Client) -> Self {
        let (say, said) = mpsc::channel(1_000);
        let told =
            client.events.clone().connect_events(ReceiverStream::new(said)).await.expect("it opens").into_inner();
        Self { say, told }
    }

    async fn say(&self, message: Said) {
        self.say.send(ConnectEventsRequest { message: Some(message) }).await.expect("it is heard");
    }

    async fn follow(&mut self, session: Uuid) {
        self.say(Said::Subscribe(wanted(&[(&session_topic(session), "")]))).await;
        assert!(matches!(self.next().await, Message::Subscribed(_)));
    }

    async fn publish(&self, number: i64, session: Uuid, events: Vec<NewEvent>) {
        let publication = Some(PublishRequest { session_id: session.to_string(), events });
        self.say(Said::Publish(StreamPublication { number, publication })).await;
    }

    /// The next message that is not about connections.
    async fn try_next(&mut self) -> Result<Option<Message>, Status> {
        loop {
            let told = in_time(self.told.message()).await?;
            match told.map(|told| told.message.expect("it says something")) {
                Some(Message::Event(event)) if !format!("{:?}", event.payload).contains("GameEvent") => {}
                other => return Ok(other),
            }
        }
    }

    async fn next(&mut self) -> Message {
        self.try_next().await.expect("it goes on").expect("it has not ended")
    }
}

#[tokio::test]
async fn topics_come_and_go_and_publications_are_answered() {
    let world = World::start().await;
    let player = world.player().await;
    let (one, other) = (world.session(&[(&player, None)]).await, world.session(&[(&player, None)]).await);
    let mut connection = Connection::open(&player).await;
    connection.follow(one).await;
    connection.follow(other).await;

    connection.publish(7, one, vec![retained("kept")]).await;
    connection.publish(8, other, vec![unretained("passing")]).await;
    let (mut events, mut numbers) = (Vec::new(), Vec::new());
    while events.len() + numbers.len() < 4 {
        match connection.next().await {
            Message::Event(event) => events.push((event.topic.clone(), name(&event))),
            Message::PublishAccepted(accepted) => {
                numbers.push((accepted.number, accepted.response.unwrap().events.len()));
            }
            other => panic!("{other:?}"),
        }
    }
    events.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(events, [(session_topic(one), "kept".to_owned()), (session_topic(other), "passing".to_owned())]);
    assert_eq!(numbers, [(7, 1), (8, 1)]);

    connection.say(Said::Unsubscribe(Unsubscribe { topic: session_topic(one) })).await;
    let Message::TopicClosed(closed) = connection.next().await else { panic!("closed") };
    assert_eq!((closed.reason(), closed.topic), (TopicCloseReason::Unsubscribed, session_topic(one)));
    player.publish(one, vec![retained("not heard")]).await.unwrap();
    player.publish(other, vec![retained("heard")]).await.unwrap();
    let Message::Event(event) = connection.next().await else { panic!("an event") };
    assert_eq!(name(&event), "heard");
}

#[tokio::test]
async fn a_refused_publication_does_not_end_the_stream_but_an_invalid_one_does() {
    let world = World::start().await;
    let player = world.player().await;
    let game = world.make_game("slow", 100, 1_000).await;
    let session = world.session_of(game, &[(&player, Some("red"))]).await;
    let mut connection = Connection::open(&player).await;

    connection.publish(1, session, vec![addressed("x", game_event::Audience::Team("green".to_owned()))]).await;
    let Message::PublishRefused(refused) = connection.next().await else { panic!("refused") };
    assert_eq!((refused.number, refused.code, refused.reason.as_str()), (1, Code::NotFound as i32, "TEAM_NOT_FOUND"));
    connection.publish(0, Uuid::from_u128(1), vec![retained("x")]).await;
    let Message::PublishRefused(refused) = connection.next().await else { panic!("refused") };
    assert_eq!((refused.number, refused.reason.as_str()), (0, "SESSION_NOT_FOUND"));
    connection.publish(2, session, vec![unretained("x"); 100]).await;
    assert!(matches!(connection.next().await, Message::PublishAccepted(accepted) if accepted.number == 2));
    connection.publish(3, session, vec![unretained("x"); 100]).await;
    let Message::PublishRefused(refused) = connection.next().await else { panic!("refused") };
    assert_eq!((refused.number, refused.reason.as_str()), (3, "RATE_LIMITED"));
    assert!(refused.retry_delay.is_some());

    connection.publish(4, session, vec![]).await;
    assert_eq!(failure(connection.try_next().await), error(Code::InvalidArgument, "INVALID_FIELD"));

    let mut connection = Connection::open(&player).await;
    connection.say.send(ConnectEventsRequest { message: None }).await.unwrap();
    assert_eq!(failure(connection.try_next().await), error(Code::InvalidArgument, "INVALID_FIELD"));
    let mut connection = Connection::open(&player).await;
    connection.say(Said::Subscribe(wanted(&[(&session_topic(Uuid::from_u128(1)), "")]))).await;
    assert_eq!(failure(connection.try_next().await), error(Code::NotFound, "TOPIC_NOT_FOUND"));
}

#[tokio::test]
async fn who_asks_for_no_answer_gets_none_and_order_holds() {
    let world = World::start().await;
    let (player, other) = (world.player().await, world.player().await);
    let session = world.session(&[(&player, None), (&other, None)]).await;
    let mut stream = other.follow(session, "").await;
    let mut connection = Connection::open(&player).await;
    for number in 0..500 {
        connection.publish(0, session, vec![unretained(number)]).await;
        assert_eq!(stream.names(1).await, [number.to_string()]);
    }
    connection.publish(1, session, vec![retained("end")]).await;
    assert!(matches!(connection.next().await, Message::PublishAccepted(accepted) if accepted.number == 1));
}

#[tokio::test]
async fn the_seat_is_given_up_with_the_topic() {
    let world = World::start().await;
    let player = world.player().await;
    let session = world.session(&[(&player, None)]).await;
    let mut connection = Connection::open(&player).await;
    connection.follow(session).await;
    assert!(world.connected(session, &player).await);
    connection.say(Said::Unsubscribe(Unsubscribe { topic: session_topic(session) })).await;
    assert!(matches!(connection.next().await, Message::TopicClosed(_)));
    eventually("the seat is not connected", async || !world.connected(session, &player).await).await;
}

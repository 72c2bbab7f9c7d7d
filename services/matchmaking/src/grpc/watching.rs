//! The stream of `WatchTicket`.

use pkg_api::game::v1::{GoAway, Heartbeat};
use pkg_api::matchmaking::v1::WatchTicketResponse;
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_middleware::Watched;
use tonic::Status;

use crate::tickets::TicketWatch;

impl Watched for TicketWatch {
    type Message = Message;
    type Answer = WatchTicketResponse;

    async fn next_message(&mut self) -> Option<Result<Message, Status>> {
        self.next().await.map(|view| Ok(Message::Ticket(view.message())))
    }

    fn heartbeat(heartbeat: Heartbeat) -> Message {
        Message::Heartbeat(heartbeat)
    }

    fn go_away(go_away: GoAway) -> Message {
        Message::GoAway(go_away)
    }

    fn answer(message: Message) -> WatchTicketResponse {
        WatchTicketResponse { message: Some(message) }
    }
}

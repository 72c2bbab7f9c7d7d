//! The stream of `WatchBoard`.

use pkg_api::game::v1::{GoAway, Heartbeat};
use pkg_api::leaderboard::v1::WatchBoardResponse;
use pkg_api::leaderboard::v1::watch_board_response::Message;
use pkg_middleware::Watched;
use tonic::Status;

use super::answer::view;
use crate::watching::BoardWatch;

impl Watched for BoardWatch {
    type Message = Message;
    type Answer = WatchBoardResponse;

    async fn next_message(&mut self) -> Option<Result<Message, Status>> {
        let seen = self.next().await;
        Some(seen.map(|seen| Message::View(view(&seen, self.count()))).map_err(Status::from))
    }

    fn heartbeat(heartbeat: Heartbeat) -> Message {
        Message::Heartbeat(heartbeat)
    }

    fn go_away(go_away: GoAway) -> Message {
        Message::GoAway(go_away)
    }

    fn answer(message: Message) -> WatchBoardResponse {
        WatchBoardResponse { message: Some(message) }
    }
}

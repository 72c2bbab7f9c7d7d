//! The stream of `WatchDefinitions`.

use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_api::game::v1::{CaughtUp, GoAway, Heartbeat, WatchDefinitionsResponse};
use pkg_middleware::Watched;
use tonic::Status;

use crate::catalog::{Followed, Follower};
use crate::grpc::problems::store;

impl Watched for Follower {
    type Message = Message;
    type Answer = WatchDefinitionsResponse;

    /// Whoever follows again is told of everything.
    const LEAVES_AT_ONCE: bool = true;

    async fn next_message(&mut self) -> Option<Result<Message, Status>> {
        Some(match self.next().await {
            Ok(Followed::Definition(state)) => Ok(Message::Definition((*state).into())),
            Ok(Followed::CaughtUp) => Ok(Message::CaughtUp(CaughtUp {})),
            Err(error) => Err(store(&error).into()),
        })
    }

    fn heartbeat(heartbeat: Heartbeat) -> Message {
        Message::Heartbeat(heartbeat)
    }

    fn go_away(go_away: GoAway) -> Message {
        Message::GoAway(go_away)
    }

    fn answer(message: Message) -> WatchDefinitionsResponse {
        WatchDefinitionsResponse { message: Some(message) }
    }
}

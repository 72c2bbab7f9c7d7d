//! The stream of `WatchDefinitions`.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use pkg_ambient::Ambient;
use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_api::game::v1::{CaughtUp, WatchDefinitionsResponse};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::catalog::{Followed, Follower};
use crate::grpc::answer::{go_away, heartbeat};
use crate::grpc::problems::store;

/// How long a stream is silent before it says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

type Item = Result<WatchDefinitionsResponse, Status>;

struct Watching {
    follower: Follower,
    draining: CancellationToken,
    ambient: Ambient,
    silent_until: Instant,
    ended: bool,
}

pub(super) fn stream(follower: Follower, draining: CancellationToken, ambient: Ambient) -> BoxStream<'static, Item> {
    let silent_until = Instant::now() + HEARTBEAT;
    let watching = Watching { follower, draining, ambient, silent_until, ended: false };
    stream::unfold(watching, Watching::next).boxed()
}

impl Watching {
    async fn next(mut self) -> Option<(Item, Self)> {
        if self.ended {
            return None;
        }
        // In this order: a drain does not wait for what there is to say.
        let message = tokio::select! {
            biased;
            () = self.draining.cancelled() => {
                self.ended = true;
                Ok(Message::GoAway(go_away(&self.ambient)))
            }
            followed = self.follower.next() => match followed {
                Ok(Followed::Definition(state)) => Ok(Message::Definition((*state).into())),
                Ok(Followed::CaughtUp) => Ok(Message::CaughtUp(CaughtUp {})),
                Err(error) => {
                    self.ended = true;
                    Err(store(&error).into())
                }
            },
            () = tokio::time::sleep_until(self.silent_until) => Ok(Message::Heartbeat(heartbeat(&self.ambient))),
        };
        self.silent_until = Instant::now() + HEARTBEAT;
        Some((message.map(|message| WatchDefinitionsResponse { message: Some(message) }), self))
    }
}

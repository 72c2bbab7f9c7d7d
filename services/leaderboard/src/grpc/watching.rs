//! The stream of `WatchBoard`.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use pkg_ambient::Ambient;
use pkg_api::leaderboard::v1::WatchBoardResponse;
use pkg_api::leaderboard::v1::watch_board_response::Message;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::answer::{go_away, heartbeat, view};
use crate::watching::BoardWatch;

/// How long a stream is silent before it says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

type Item = Result<WatchBoardResponse, Status>;

struct Watching {
    board: BoardWatch,
    draining: CancellationToken,
    ambient: Ambient,
    silent_until: Instant,
    ended: bool,
}

pub fn stream(board: BoardWatch, draining: CancellationToken, ambient: Ambient) -> BoxStream<'static, Item> {
    let silent_until = Instant::now() + HEARTBEAT;
    let watching = Watching { board, draining, ambient, silent_until, ended: false };
    stream::unfold(watching, Watching::next).boxed()
}

impl Watching {
    async fn next(mut self) -> Option<(Item, Self)> {
        if self.ended {
            return None;
        }
        // In this order: what was seen last is told even as the server drains.
        let message = tokio::select! {
            biased;
            seen = self.board.next() => match seen {
                Ok(seen) => Message::View(view(&seen, self.board.count())),
                Err(error) => {
                    self.ended = true;
                    return Some((Err(error.into()), self));
                }
            },
            () = self.draining.cancelled() => {
                self.ended = true;
                Message::GoAway(go_away(&self.ambient))
            }
            () = sleep_until(self.silent_until) => Message::Heartbeat(heartbeat(&self.ambient)),
        };
        self.silent_until = Instant::now() + HEARTBEAT;
        Some((Ok(WatchBoardResponse { message: Some(message) }), self))
    }
}

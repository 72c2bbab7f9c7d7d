//! The stream of `WatchTicket`.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use pkg_ambient::Ambient;
use pkg_api::matchmaking::v1::WatchTicketResponse;
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::answer::{go_away, heartbeat};
use crate::tickets::TicketWatch;

/// How long a stream is silent before it says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

type Item = Result<WatchTicketResponse, Status>;

struct Watching {
    ticket: TicketWatch,
    draining: CancellationToken,
    ambient: Ambient,
    silent_until: Instant,
    ended: bool,
}

pub(super) fn stream(ticket: TicketWatch, draining: CancellationToken, ambient: Ambient) -> BoxStream<'static, Item> {
    let silent_until = Instant::now() + HEARTBEAT;
    let watching = Watching { ticket, draining, ambient, silent_until, ended: false };
    stream::unfold(watching, Watching::next).boxed()
}

impl Watching {
    async fn next(mut self) -> Option<(Item, Self)> {
        if self.ended {
            return None;
        }
        // In this order: the end of a ticket is told even as the server drains.
        let message = tokio::select! {
            biased;
            next = self.ticket.next() => Message::Ticket(next?.message()),
            () = self.draining.cancelled() => {
                self.ended = true;
                Message::GoAway(go_away(&self.ambient))
            }
            () = tokio::time::sleep_until(self.silent_until) => Message::Heartbeat(heartbeat(&self.ambient)),
        };
        self.silent_until = Instant::now() + HEARTBEAT;
        Some((Ok(WatchTicketResponse { message: Some(message) }), self))
    }
}

//! The same crowd before a server that passes on what it gets: the same connections, messages of the same bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::events::v1::{SubscribeRequest, Subscription};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::Crowd;
use super::codec::{Told, told};
use super::heard::Heard;
use super::publisher::{Publisher, Says};
use super::wire::{Opening, Wire};

impl Crowd {
    /// Opens groups of so many players, each on a connection of their own.
    pub async fn gather_bare(relay: SocketAddr, sessions: usize, players: usize) -> anyhow::Result<Self> {
        let (heard, began) = (Arc::new(Heard::new()), Instant::now());
        let (mut publishers, mut wires) = (Vec::new(), Vec::new());
        for _ in 0..sessions {
            let session = Ambient::system().id();
            for place in 1..players {
                let (wire, heard) = (Wire::connect(relay).await?, heard.clone());
                join(&wire, session, move |told| heard.listen(place, told)).await?;
                wires.push(Arc::new(wire));
            }
            let wire = Arc::new(Wire::connect(relay).await?);
            let (tell, answers) = mpsc::unbounded_channel();
            let stream = join(&wire, session, move |told| {
                // After the run nobody listens.
                let _ = tell.send(told);
            })
            .await?;
            wires.push(wire.clone());
            let says = Says::Deliveries { session, player: Ambient::system().id() };
            publishers.push(Publisher { says, wire, stream, told: answers, players: players as u64 });
        }
        Ok(Self { sessions: publishers, wires, heard, seated_in: began.elapsed() })
    }
}

/// Joins the group of a session. Messages may follow; returns the number of the stream.
async fn join(wire: &Wire, session: Uuid, mut hears: impl FnMut(Told) + Send + 'static) -> anyhow::Result<usize> {
    let subscriptions = vec![Subscription { topic: format!("session/{session}"), cursor: String::new() }];
    let message = &SubscribeRequest { subscriptions };
    let opening = Opening { path: "/", token: "", message, goes_on: true, ends: false };
    wire.open(opening, move |message| hears(told(message))).await
}

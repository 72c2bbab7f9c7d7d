//! Players who wait for a match, on connections that they share as behind a proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use pkg_ambient::Ambient;
use pkg_api::matchmaking::v1::matchmaking_service_client::MatchmakingServiceClient;
use pkg_api::matchmaking::v1::watch_ticket_response::Message;
use pkg_api::matchmaking::v1::{
    CreateTicketRequest, GetQueueStatsRequest, SeedRatingRequest, TicketPlayer, TicketStatus, WatchTicketRequest,
    WatchTicketResponse,
};
use pkg_auth::Role;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tonic::Status;
use uuid::Uuid;

use crate::crowd::{Deployment, Opening, Wire};
use crate::load::{Caller, each};

const SERVICE: &str = "/muster.matchmaking.v1.MatchmakingService";
/// How many connections all players share.
const CONNECTIONS: usize = 50;
/// How many calls of a game server are under way at once.
const SERVER_CALLS: usize = 64;
/// How long the queue may take until it knows all of its tickets…
const COUNTED_WITHIN: Duration = Duration::from_mins(1);
/// …and how often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A queue of a game, and the connections to the replicas that serve it.
pub struct Lobby {
    wires: Vec<Arc<Wire>>,
    place: Place,
}

/// A queue of a game.
#[derive(Debug, Clone)]
pub struct Place {
    pub game: String,
    pub queue: &'static str,
}

/// Somebody who is signed in.
pub struct Player {
    wire: Arc<Wire>,
    place: Place,
    token: String,
}

impl Lobby {
    pub async fn open(matchmaking: &[SocketAddr], place: Place) -> anyhow::Result<Self> {
        let wires = (0..CONNECTIONS).map(|number| Wire::connect(matchmaking[number % matchmaking.len()]));
        Ok(Self { wires: try_join_all(wires).await?.into_iter().map(Arc::new).collect(), place })
    }

    /// Somebody with this access token.
    pub fn player(&self, number: usize, token: String) -> Player {
        Player { wire: self.wire(number), place: self.place.clone(), token }
    }

    /// Gives players ratings that are so far apart, in the order in which they stand there.
    pub async fn seed(&self, players: &[Uuid], apart: f64, server_token: &str) -> anyhow::Result<()> {
        self.each_by_server("SeedRating", players.len(), server_token, |number| SeedRatingRequest {
            game_id: self.place.game.clone(),
            queue_key: self.place.queue.to_owned(),
            player_id: players[number].to_string(),
            skill: apart * f64::from(u32::try_from(number).unwrap_or(u32::MAX)),
            uncertainty: None,
        })
        .await
    }

    /// Puts each of these players into the queue.
    pub async fn queue_up(&self, players: &[Uuid], server_token: &str) -> anyhow::Result<()> {
        self.each_by_server("CreateTicket", players.len(), server_token, |number| {
            let player = TicketPlayer { player_id: players[number].to_string(), ..TicketPlayer::default() };
            CreateTicketRequest { players: vec![player], ..self.place.wish(String::new()) }
        })
        .await
    }

    /// Waits until whoever works on the queue has so many tickets.
    pub async fn wait_until_counted(&self, tickets: i64, server: &Deployment, token: &str) -> anyhow::Result<()> {
        let mut client = MatchmakingServiceClient::new(server.connect(0).await?);
        let until = Instant::now() + COUNTED_WITHIN;
        loop {
            let mut request = tonic::Request::new(GetQueueStatsRequest {
                game_id: self.place.game.clone(),
                queue_key: self.place.queue.to_owned(),
            });
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
            let stats = client.get_queue_stats(request).await?.into_inner().stats.context("an answer has stats")?;
            if stats.ticket_count == tickets {
                return Ok(());
            }
            let counted = stats.ticket_count;
            ensure!(Instant::now() < until, "{counted} of {tickets} tickets wait after {COUNTED_WITHIN:?}");
            sleep(ASK_EVERY).await;
        }
    }

    /// Makes a call for each number below the count.
    async fn each_by_server<M: prost::Message + 'static>(
        &self,
        method: &'static str,
        count: usize,
        token: &str,
        message: impl Fn(usize) -> M,
    ) -> anyhow::Result<()> {
        each(0..count, SERVER_CALLS, |number| {
            let (wire, message, token) = (self.wire(number), message(number), token.to_owned());
            async move { call(&wire, method, &token, &message, |_| ()).await }
        })
        .await
    }

    fn wire(&self, number: usize) -> Arc<Wire> {
        self.wires[number % self.wires.len()].clone()
    }
}

impl Place {
    /// Of the caller, who has nothing to say, or of those whom a game server adds.
    fn wish(&self, ticket_id: String) -> CreateTicketRequest {
        let (game_id, queue_key) = (self.game.clone(), self.queue.to_owned());
        CreateTicketRequest { ticket_id, game_id, queue_key, ..CreateTicketRequest::default() }
    }
}

impl Caller for Player {
    /// From sending the ticket until its stream says that there is a match, whose session is there then.
    async fn call(&mut self) -> Result<(), Status> {
        let ticket_id = Ambient::system().id().to_string();
        call(&self.wire, "CreateTicket", &self.token, &self.place.wish(ticket_id.clone()), |_| ()).await?;
        let (tell, ended) = oneshot::channel();
        let mut tell = Some(tell);
        let hears = move |message: &[u8]| {
            if let Some(status) = last_status(message)
                && let Some(tell) = tell.take()
            {
                // Nobody waits any more if the run was given up.
                let _ = tell.send(status);
            }
        };
        call(&self.wire, "WatchTicket", &self.token, &WatchTicketRequest { ticket_id }, hears).await?;
        match ended.await {
            Ok(TicketStatus::Matched) => Ok(()),
            Ok(other) => Err(Status::aborted(format!("the ticket ended as {}", other.as_str_name()))),
            Err(_) => Err(Status::aborted("the stream ended before the ticket did")),
        }
    }
}

async fn call<M: prost::Message>(
    wire: &Wire,
    method: &str,
    token: &str,
    message: &M,
    hears: impl FnMut(&[u8]) + Send + 'static,
) -> Result<(), Status> {
    let path = &format!("{SERVICE}/{method}");
    let opened = wire.open(Opening { path, token, message, goes_on: false, ends: true }, hears).await;
    opened.map(drop).map_err(|_| Status::aborted(format!("{method} failed")))
}

/// What has become of a ticket, if this message says that it has come to its end.
fn last_status(message: &[u8]) -> Option<TicketStatus> {
    let Some(Message::Ticket(ticket)) = WatchTicketResponse::decode(message).ok()?.message else { return None };
    match ticket.status() {
        TicketStatus::Unspecified | TicketStatus::Queued | TicketStatus::Matching => None,
        last => Some(last),
    }
}

/// The access token of a game server.
pub fn server_token(deployment: &Deployment) -> String {
    deployment.token(Ambient::system().id(), Role::Server)
}

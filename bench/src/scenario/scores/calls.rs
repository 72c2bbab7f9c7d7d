//! The calls that are measured. Clients are cheap, since they share the cores with what is measured.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::try_join_all;
use pkg_ambient::Ambient;
use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1::{
    BatchSubmitScoresRequest, BatchSubmitScoresResponse, ListEntriesAroundRequest, ListEntriesAroundResponse,
    ListEntriesRequest, ListEntriesResponse, NewScore, SubmissionStatus, SubmitScoreRequest, SubmitScoreResponse,
};
use pkg_auth::Role;
use prost::Message;
use tonic::Status;
use uuid::Uuid;

use super::CONNECTIONS;
use super::stage::{LARGE, Stage};
use crate::crowd::{Opening, Wire};
use crate::load::{Caller, Dice, each};

const SERVICE: &str = "/muster.leaderboard.v1.LeaderboardService";
/// How many scores are in a batch…
const BATCH: usize = 100;
/// …and how many batches are under way at once.
const BATCHES: usize = 8;
/// How many entries are read around a player.
const AROUND: i32 = 11;

/// Who submits.
#[derive(Debug, Clone, Copy)]
pub enum Players {
    /// A game server, for so many players.
    NamedByServer(usize),
    /// So many players, each with a token of their own.
    Themselves(usize),
}

/// Submits scores of one player after the other, at random.
pub struct Submit {
    wire: Arc<Wire>,
    who: Arc<Who>,
    game: String,
    board: &'static str,
    dice: Dice,
}

enum Who {
    Server { token: String, players: Vec<String> },
    Players(Vec<String>),
}

impl Submit {
    pub async fn callers(
        stage: &Stage,
        board: &'static str,
        players: Players,
        at_once: u32,
    ) -> anyhow::Result<Vec<Self>> {
        let who = Arc::new(match players {
            Players::NamedByServer(count) => {
                let players = ids(count).iter().map(Uuid::to_string).collect();
                Who::Server { token: stage.server_token(), players }
            }
            Players::Themselves(count) => {
                let token = |player: Uuid| stage.deployment().token(player, Role::Player);
                Who::Players(ids(count).into_iter().map(token).collect())
            }
        });
        Self::all(&stage.leaderboards(), stage.game(), board, &who, at_once).await
    }

    /// One for each of these players, who submit for themselves.
    pub async fn by_themselves(
        addresses: &[SocketAddr],
        game: &str,
        board: &'static str,
        tokens: Vec<String>,
    ) -> anyhow::Result<Vec<Self>> {
        let at_once = u32::try_from(tokens.len())?;
        Self::all(addresses, game, board, &Arc::new(Who::Players(tokens)), at_once).await
    }

    async fn all(
        addresses: &[SocketAddr],
        game: &str,
        board: &'static str,
        who: &Arc<Who>,
        at_once: u32,
    ) -> anyhow::Result<Vec<Self>> {
        let wires = connect(addresses).await?;
        let caller = |number: u32| Self {
            wire: wires[number as usize % wires.len()].clone(),
            who: who.clone(),
            game: game.to_owned(),
            board,
            dice: Dice(number.into()),
        };
        Ok((0..at_once).map(caller).collect())
    }
}

impl Caller for Submit {
    async fn call(&mut self) -> Result<(), Status> {
        let value = i64::from_ne_bytes(self.dice.roll().to_ne_bytes());
        let score = |player_id: &str| new_score(&self.game, self.board, player_id, value);
        let (token, score) = match &*self.who {
            Who::Server { token, players } => (token.as_str(), score(self.dice.choose(players))),
            Who::Players(tokens) => (self.dice.choose(tokens), score("")),
        };
        let request = SubmitScoreRequest { score: Some(score) };
        let answer: SubmitScoreResponse = call(&self.wire, "SubmitScore", token, &request).await?;
        let submission = answer.submission.unwrap_or_default();
        let ranked = submission.outcomes.iter().all(|outcome| outcome.rank.is_some());
        if submission.status() == SubmissionStatus::Accepted && !submission.outcomes.is_empty() && ranked {
            Ok(())
        } else {
            Err(Status::aborted(format!("a score without its rank: {:?}", submission.status())))
        }
    }
}

/// Reads the ten best.
pub struct ReadTop {
    wire: Arc<Wire>,
    token: String,
    request: ListEntriesRequest,
}

impl ReadTop {
    pub async fn callers(stage: &Stage, at_once: u32) -> anyhow::Result<Vec<Self>> {
        let (wires, token) = (wires(stage).await?, stage.player_token());
        let request = ListEntriesRequest {
            game_id: stage.game().to_owned(),
            board_key: LARGE.to_owned(),
            page_size: 10,
            ..ListEntriesRequest::default()
        };
        let wire = |number: u32| wires[number as usize % wires.len()].clone();
        let caller = |number| Self { wire: wire(number), token: token.clone(), request: request.clone() };
        Ok((0..at_once).map(caller).collect())
    }
}

impl Caller for ReadTop {
    async fn call(&mut self) -> Result<(), Status> {
        let answer: ListEntriesResponse = call(&self.wire, "ListEntries", &self.token, &self.request).await?;
        let entries = answer.view.map_or(0, |view| view.entries.len());
        if entries == 10 { Ok(()) } else { Err(Status::aborted(format!("{entries} entries are not ten"))) }
    }
}

/// Reads the places around one player after the other, at random.
pub struct ReadAround {
    wire: Arc<Wire>,
    token: String,
    game: String,
    players: Arc<Vec<String>>,
    dice: Dice,
}

impl ReadAround {
    pub async fn callers(stage: &Stage, players: &Arc<Vec<String>>, at_once: u32) -> anyhow::Result<Vec<Self>> {
        let (wires, token) = (wires(stage).await?, stage.player_token());
        let caller = |number: u32| Self {
            wire: wires[number as usize % wires.len()].clone(),
            token: token.clone(),
            game: stage.game().to_owned(),
            players: players.clone(),
            dice: Dice(number.into()),
        };
        Ok((0..at_once).map(caller).collect())
    }
}

impl Caller for ReadAround {
    async fn call(&mut self) -> Result<(), Status> {
        let player = self.dice.choose(&self.players);
        let request = ListEntriesAroundRequest {
            game_id: self.game.clone(),
            board_key: LARGE.to_owned(),
            player_id: player.to_owned(),
            period: LeaderboardPeriod::AllTime.into(),
            count: AROUND,
            ..ListEntriesAroundRequest::default()
        };
        let answer: ListEntriesAroundResponse = call(&self.wire, "ListEntriesAround", &self.token, &request).await?;
        let is_there = answer.view.is_some_and(|view| view.entries.iter().any(|entry| entry.player_id == player));
        if is_there { Ok(()) } else { Err(Status::aborted("the player is not among them")) }
    }
}

/// Fills a board with a score of each of so many players. Says who they are.
pub async fn fill(stage: &Stage, board: &'static str, count: usize) -> anyhow::Result<Vec<String>> {
    let players: Vec<String> = ids(count).iter().map(Uuid::to_string).collect();
    let (wires, token) = (wires(stage).await?, stage.server_token());
    let dice = Arc::new(Mutex::new(Dice(1)));
    each(players.chunks(BATCH).enumerate(), BATCHES, |(number, players)| {
        let roll = || {
            let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
            i64::from_ne_bytes(dice.roll().to_ne_bytes())
        };
        let scores = players.iter().map(|player| new_score(stage.game(), board, player, roll())).collect();
        let request = BatchSubmitScoresRequest { scores };
        let (wire, token) = (wires[number % wires.len()].clone(), token.clone());
        async move {
            let answer: BatchSubmitScoresResponse = call(&wire, "BatchSubmitScores", &token, &request).await?;
            let all = answer.submissions.iter().all(|it| it.status() == SubmissionStatus::Accepted);
            if all { Ok(()) } else { Err(Status::aborted("a score was not accepted in time")) }
        }
    })
    .await?;
    Ok(players)
}

pub async fn wires(stage: &Stage) -> anyhow::Result<Vec<Arc<Wire>>> {
    connect(&stage.leaderboards()).await
}

async fn connect(addresses: &[SocketAddr]) -> anyhow::Result<Vec<Arc<Wire>>> {
    let wires = (0..CONNECTIONS.get() as usize).map(|number| Wire::connect(addresses[number % addresses.len()]));
    Ok(try_join_all(wires).await?.into_iter().map(Arc::new).collect())
}

fn new_score(game: &str, board: &str, player_id: &str, value: i64) -> NewScore {
    NewScore {
        submission_id: Ambient::system().id().to_string(),
        game_id: game.to_owned(),
        board_key: board.to_owned(),
        player_id: player_id.to_owned(),
        value,
        ..NewScore::default()
    }
}

fn ids(count: usize) -> Vec<Uuid> {
    let ambient = Ambient::system();
    (0..count).map(|_| ambient.id()).collect()
}

/// Makes a call and reads its answer.
pub async fn call<M: Message + Default + 'static>(
    wire: &Wire,
    method: &str,
    token: &str,
    message: &impl Message,
) -> Result<M, Status> {
    let path = &format!("{SERVICE}/{method}");
    let answer = Arc::new(Mutex::new(None));
    let hears = {
        let answer = answer.clone();
        move |message: &[u8]| *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(M::decode(message))
    };
    let opened = wire.open(Opening { path, token, message, goes_on: false, ends: true }, hears).await;
    opened.map_err(|_| Status::aborted(format!("{method} failed")))?;
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    match answer {
        Some(Ok(answer)) => Ok(answer),
        _ => Err(Status::aborted(format!("{method} was not answered"))),
    }
}

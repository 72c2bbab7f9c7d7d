//! Clients of somebody who is signed in, with the calls that many tests make.

use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1 as api;
use pkg_api::leaderboard::v1::leaderboard_service_client::LeaderboardServiceClient;
use pkg_middleware::InProcess;
use pkg_middleware::testing::SignedIn;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::{GAME, player};

/// A client.
#[derive(Clone)]
pub(crate) struct Client {
    /// For the calls that are not here.
    pub(crate) grpc: LeaderboardServiceClient<SignedIn<InProcess>>,
}

/// A client on a connection of its own.
pub(crate) type Connected = LeaderboardServiceClient<SignedIn<Channel>>;

/// A score of the caller's, with an id of its own.
pub(crate) fn score(board: &str, id: u128, value: i64) -> api::NewScore {
    api::NewScore {
        submission_id: Uuid::from_u128(id).to_string(),
        game_id: GAME.to_string(),
        board_key: board.to_owned(),
        value,
        ..Default::default()
    }
}

/// The entries of a board, from the top.
pub(crate) fn entries(board: &str, page_size: i32) -> api::ListEntriesRequest {
    api::ListEntriesRequest { game_id: GAME.to_string(), board_key: board.to_owned(), page_size, ..Default::default() }
}

/// The entries around a player.
pub(crate) fn around(board: &str, number: u128, count: i32) -> api::ListEntriesAroundRequest {
    api::ListEntriesAroundRequest {
        game_id: GAME.to_string(),
        board_key: board.to_owned(),
        player_id: player(number).to_string(),
        count,
        ..Default::default()
    }
}

/// A player's entry.
pub(crate) fn entry(board: &str, number: u128) -> api::GetEntryRequest {
    api::GetEntryRequest {
        game_id: GAME.to_string(),
        board_key: board.to_owned(),
        player_id: player(number).to_string(),
        ..Default::default()
    }
}

/// The rank, the player's number and the value of entries.
pub(crate) fn places(view: &api::BoardView) -> Vec<(i64, u128, i64)> {
    let number = |id: &str| Uuid::try_parse(id).expect("an id").as_u128() - player(0).as_u128();
    view.entries.iter().map(|entry| (entry.rank, number(&entry.player_id), entry.value)).collect()
}

impl Client {
    pub(super) fn new(channel: SignedIn<InProcess>) -> Self {
        Self { grpc: LeaderboardServiceClient::new(channel) }
    }

    pub(crate) async fn submit(&mut self, score: api::NewScore) -> Result<api::Submission, Status> {
        let answer = self.grpc.submit_score(api::SubmitScoreRequest { score: Some(score) }).await?;
        Ok(answer.into_inner().submission.expect("a submission"))
    }

    pub(crate) async fn submit_many(&mut self, scores: Vec<api::NewScore>) -> Result<Vec<api::Submission>, Status> {
        Ok(self.grpc.batch_submit_scores(api::BatchSubmitScoresRequest { scores }).await?.into_inner().submissions)
    }

    pub(crate) async fn list(&mut self, request: api::ListEntriesRequest) -> Result<api::ListEntriesResponse, Status> {
        Ok(self.grpc.list_entries(request).await?.into_inner())
    }

    /// The places of a view from the top.
    pub(crate) async fn top(&mut self, board: &str, count: i32) -> Vec<(i64, u128, i64)> {
        let answer = self.list(entries(board, count)).await.expect("it is read");
        places(&answer.view.expect("a view"))
    }

    /// The places of today's view from the top.
    pub(crate) async fn top_of_today(&mut self, board: &str, count: i32) -> Vec<(i64, u128, i64)> {
        let request = api::ListEntriesRequest { period: LeaderboardPeriod::Daily.into(), ..entries(board, count) };
        places(&self.list(request).await.expect("it is read").view.expect("a view"))
    }

    pub(crate) async fn around(&mut self, request: api::ListEntriesAroundRequest) -> Result<api::BoardView, Status> {
        Ok(self.grpc.list_entries_around(request).await?.into_inner().view.expect("a view"))
    }

    pub(crate) async fn watch(
        &mut self,
        request: api::WatchBoardRequest,
    ) -> Result<Streaming<api::WatchBoardResponse>, Status> {
        Ok(self.grpc.watch_board(request).await?.into_inner())
    }
}

//! `muster.leaderboard.v1.LeaderboardService`.

use futures::stream::BoxStream;
use pkg_ambient::Ambient;
use pkg_api::leaderboard::v1::leaderboard_service_server::LeaderboardService;
use pkg_api::leaderboard::v1::{
    self as api, BatchGetEntriesRequest, BatchGetEntriesResponse, BatchSubmitScoresRequest, BatchSubmitScoresResponse,
    GetEntryRequest, GetEntryResponse, GetSubmissionRequest, GetSubmissionResponse, ListEntriesAroundRequest,
    ListEntriesAroundResponse, ListEntriesRequest, ListEntriesResponse, ListPeriodsRequest, ListPeriodsResponse,
    ListPlayerScoresRequest, ListPlayerScoresResponse, SubmitScoreRequest, SubmitScoreResponse, WatchBoardRequest,
    WatchBoardResponse,
};
use pkg_middleware::{RequestContext, watch};
use tonic::{Request, Response, Status};

use super::parse::{self, asked, id, optional_id};
use super::{answer, page_token, problems};
use crate::catalog::Catalog;
use crate::message;
use crate::reading::Readings;
use crate::submission::{Actor, State, Submission};
use crate::submitting::Submissions;
use crate::watching::Watches;

/// The handlers.
pub struct LeaderboardApi {
    pub(crate) submissions: Submissions,
    pub(crate) readings: Readings,
    pub(crate) watches: Watches,
    pub(crate) catalog: Catalog,
    pub(crate) ambient: Ambient,
}

type Answer<T> = Result<Response<T>, Status>;

impl LeaderboardApi {
    fn submission(&self, submission: &Submission) -> api::Submission {
        let board = self.catalog.known(&submission.board);
        message::submission(submission, board.as_ref().map(|board| &board.rules))
    }
}

#[tonic::async_trait]
impl LeaderboardService for LeaderboardApi {
    type WatchBoardStream = BoxStream<'static, Result<WatchBoardResponse, Status>>;

    async fn submit_score(&self, request: Request<SubmitScoreRequest>) -> Answer<SubmitScoreResponse> {
        let (by, deadline) = (Actor::of(&request)?, RequestContext::of(&request)?.deadline);
        let submission = self.submissions.submit(parse::score(request.get_ref())?, by, deadline).await?;
        if matches!(submission.state, State::Differs(_)) {
            return Err(problems::submission_differs().into());
        }
        Ok(Response::new(SubmitScoreResponse { submission: Some(self.submission(&submission)) }))
    }

    async fn batch_submit_scores(
        &self,
        request: Request<BatchSubmitScoresRequest>,
    ) -> Answer<BatchSubmitScoresResponse> {
        let (by, deadline) = (Actor::of(&request)?, RequestContext::of(&request)?.deadline);
        let submissions = self.submissions.submit_many(parse::scores(request.get_ref())?, by, deadline).await?;
        let submissions = submissions.iter().map(|submission| self.submission(submission)).collect();
        Ok(Response::new(BatchSubmitScoresResponse { submissions }))
    }

    async fn get_submission(&self, request: Request<GetSubmissionRequest>) -> Answer<GetSubmissionResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let board = parse::board(&request.game_id, &request.board_key)?;
        let submission = id("submission_id", &request.submission_id)?;
        let player = optional_id("player_id", &request.player_id)?;
        self.readings.applied(&board, parse::min_offset(&board, &request.min_position)?).await?;
        let found = self.submissions.look(&board, player, submission, by).await?;
        Ok(Response::new(GetSubmissionResponse { submission: Some(self.submission(&found)) }))
    }

    async fn list_entries(&self, request: Request<ListEntriesRequest>) -> Answer<ListEntriesResponse> {
        let request = request.get_ref();
        let (asked, max) = (asked!(request)?, parse::ENTRIES.of(request.page_size)?);
        let start = page_token::entry(&asked.board, &request.page_token)?;
        let page = self.readings.entries(&asked, start, max).await?;
        Ok(Response::new(answer::entries(&page)))
    }

    async fn get_entry(&self, request: Request<GetEntryRequest>) -> Answer<GetEntryResponse> {
        let request = request.get_ref();
        let found = self.readings.entry(&asked!(request)?, id("player_id", &request.player_id)?).await?;
        Ok(Response::new(answer::entry(&found)))
    }

    async fn list_entries_around(
        &self,
        request: Request<ListEntriesAroundRequest>,
    ) -> Answer<ListEntriesAroundResponse> {
        let request = request.get_ref();
        let (asked, count) = (asked!(request)?, parse::AROUND.of(request.count)?);
        let view = self.readings.around(&asked, id("player_id", &request.player_id)?, count).await?;
        Ok(Response::new(ListEntriesAroundResponse { view: Some(answer::view(&view, count)) }))
    }

    async fn batch_get_entries(&self, request: Request<BatchGetEntriesRequest>) -> Answer<BatchGetEntriesResponse> {
        let request = request.get_ref();
        let players = parse::players(&request.player_ids)?;
        let view = self.readings.of_players(&asked!(request)?, &players).await?;
        Ok(Response::new(BatchGetEntriesResponse { view: Some(answer::view(&view, players.len())) }))
    }

    async fn list_player_scores(&self, request: Request<ListPlayerScoresRequest>) -> Answer<ListPlayerScoresResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let asked = parse::asked_for_history(&request.game_id, &request.board_key, &request.min_position)?;
        let (player, max) = (id("player_id", &request.player_id)?, parse::PAGE.of(request.page_size)?);
        let before = page_token::number(&asked.board, &request.page_token)?;
        let page = self.readings.player_scores(&asked, player, sees_refused(by, player), before, max).await?;
        Ok(Response::new(answer::player_scores(&page)))
    }

    async fn list_periods(&self, request: Request<ListPeriodsRequest>) -> Answer<ListPeriodsResponse> {
        let request = request.get_ref();
        let board = (request.game_id.as_str(), request.board_key.as_str());
        let asked = parse::asked_with(board, request.period, None, "")?;
        let before = page_token::number(&asked.board, &request.page_token)?;
        let page = self.readings.periods(&asked, before, parse::PAGE.of(request.page_size)?).await?;
        Ok(Response::new(answer::periods(&page)))
    }

    async fn watch_board(&self, request: Request<WatchBoardRequest>) -> Answer<Self::WatchBoardStream> {
        let draining = RequestContext::of(&request)?.draining().clone();
        let board = self.watches.watch(parse::wish(request.get_ref())?).await?;
        Ok(Response::new(watch(board, draining, self.ambient.clone())))
    }
}

/// Whether somebody is shown a player's refused scores.
fn sees_refused(by: Actor, player: uuid::Uuid) -> bool {
    match by {
        Actor::Player(caller) => caller == player,
        Actor::Server(_) | Actor::Admin(_) => true,
    }
}

#[cfg(test)]
mod tests;

//! `muster.leaderboard.v1.HistoryService`.

mod answer;
mod parse;
mod problems;
#[cfg(test)]
mod tests;

use pkg_api::leaderboard::v1::history_service_server::HistoryService;
use pkg_api::leaderboard::v1::{
    GetPlayerStatsRequest, GetPlayerStatsResponse, GetSessionMatchRequest, GetSessionMatchResponse,
    ListPlayerMatchesRequest, ListPlayerMatchesResponse, ListSessionResultsRequest, ListSessionResultsResponse,
};
use tonic::{Request, Response, Status};

use super::parse::id;
use crate::match_reading::{MatchError, MatchReadings};

/// The handlers.
pub struct HistoryApi {
    matches: MatchReadings,
}

type Answer<T> = Result<Response<T>, Status>;

impl HistoryApi {
    pub(crate) fn new(matches: MatchReadings) -> Self {
        Self { matches }
    }
}

#[tonic::async_trait]
impl HistoryService for HistoryApi {
    async fn list_player_matches(
        &self,
        request: Request<ListPlayerMatchesRequest>,
    ) -> Answer<ListPlayerMatchesResponse> {
        let (wished, after, size) = parse::player_matches(request.get_ref())?;
        let matches = self.matches.of_player(&wished, after, size + 1).await?;
        Ok(Response::new(answer::player_matches(&matches, size).map_err(MatchError::from)?))
    }

    async fn get_session_match(&self, request: Request<GetSessionMatchRequest>) -> Answer<GetSessionMatchResponse> {
        let found = self.matches.of_session(id("session_id", &request.get_ref().session_id)?).await?;
        let found = answer::match_record(&found).map_err(MatchError::from)?;
        Ok(Response::new(GetSessionMatchResponse { r#match: Some(found) }))
    }

    async fn list_session_results(
        &self,
        request: Request<ListSessionResultsRequest>,
    ) -> Answer<ListSessionResultsResponse> {
        let (session, after, size) = parse::session_results(request.get_ref())?;
        let results = self.matches.results(session, after, size + 1).await?;
        Ok(Response::new(answer::session_results(&results, size).map_err(MatchError::from)?))
    }

    async fn get_player_stats(&self, request: Request<GetPlayerStatsRequest>) -> Answer<GetPlayerStatsResponse> {
        let request = request.get_ref();
        let (game, player) = (id("game_id", &request.game_id)?, id("player_id", &request.player_id)?);
        let stats = self.matches.stats(player, game).await?;
        Ok(Response::new(answer::player_stats(game, player, &stats)))
    }
}

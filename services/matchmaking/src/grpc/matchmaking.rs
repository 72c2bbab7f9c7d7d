//! `muster.matchmaking.v1.MatchmakingService`.

use futures::stream::BoxStream;
use pkg_ambient::Ambient;
use pkg_api::matchmaking::v1::matchmaking_service_server::MatchmakingService;
use pkg_api::matchmaking::v1::{
    CancelTicketRequest, CancelTicketResponse, CreateTicketRequest, CreateTicketResponse, GetActiveMatchRequest,
    GetActiveMatchResponse, GetQueueStatsRequest, GetQueueStatsResponse, GetRatingRequest, GetRatingResponse,
    GetTicketRequest, GetTicketResponse, ListRatingsRequest, ListRatingsResponse, SeedRatingRequest,
    SeedRatingResponse, WatchTicketRequest, WatchTicketResponse,
};
use pkg_middleware::{Actor, RequestContext, watch};
use tonic::{Request, Response, Status};

use super::answer;
use super::parse::{self, id, optional_id, queue_key};
use crate::tickets::Tickets;

/// The handlers.
pub struct MatchmakingApi {
    pub(crate) tickets: Tickets,
    pub(crate) ambient: Ambient,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl MatchmakingService for MatchmakingApi {
    type WatchTicketStream = BoxStream<'static, Result<WatchTicketResponse, Status>>;

    async fn create_ticket(&self, request: Request<CreateTicketRequest>) -> Answer<CreateTicketResponse> {
        let by = Actor::of(&request)?;
        let view = self.tickets.create(parse::wish(request.get_ref())?, by).await?;
        Ok(Response::new(CreateTicketResponse { ticket: Some(view.message()) }))
    }

    async fn get_ticket(&self, request: Request<GetTicketRequest>) -> Answer<GetTicketResponse> {
        let by = Actor::of(&request)?;
        let view = self.tickets.get(id("ticket_id", &request.get_ref().ticket_id)?, by).await?;
        Ok(Response::new(GetTicketResponse { ticket: Some(view.message()) }))
    }

    async fn watch_ticket(&self, request: Request<WatchTicketRequest>) -> Answer<Self::WatchTicketStream> {
        let (by, draining) = (Actor::of(&request)?, RequestContext::of(&request)?.draining().clone());
        let ticket = self.tickets.watch(id("ticket_id", &request.get_ref().ticket_id)?, by).await?;
        Ok(Response::new(watch(ticket, draining, self.ambient.clone())))
    }

    async fn cancel_ticket(&self, request: Request<CancelTicketRequest>) -> Answer<CancelTicketResponse> {
        let by = Actor::of(&request)?;
        let view = self.tickets.cancel(id("ticket_id", &request.get_ref().ticket_id)?, by).await?;
        Ok(Response::new(CancelTicketResponse { ticket: Some(view.message()) }))
    }

    async fn get_active_match(&self, request: Request<GetActiveMatchRequest>) -> Answer<GetActiveMatchResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (game, player) = (id("game_id", &request.game_id)?, optional_id("player_id", &request.player_id)?);
        let active = self.tickets.active(game, player, by).await?;
        Ok(Response::new(GetActiveMatchResponse { active: active.map(answer::active) }))
    }

    async fn get_queue_stats(&self, request: Request<GetQueueStatsRequest>) -> Answer<GetQueueStatsResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (game, queue) = (id("game_id", &request.game_id)?, queue_key(&request.queue_key)?);
        let stats = self.tickets.stats(game, &queue, by).await?;
        Ok(Response::new(GetQueueStatsResponse { stats: Some(answer::stats(&stats)) }))
    }

    async fn get_rating(&self, request: Request<GetRatingRequest>) -> Answer<GetRatingResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (game, queue) = (id("game_id", &request.game_id)?, queue_key(&request.queue_key)?);
        let rating = self.tickets.rating(game, &queue, id("player_id", &request.player_id)?, by).await?;
        Ok(Response::new(GetRatingResponse { rating: Some(answer::rating(&rating)) }))
    }

    async fn list_ratings(&self, request: Request<ListRatingsRequest>) -> Answer<ListRatingsResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (player, game) = (id("player_id", &request.player_id)?, optional_id("game_id", &request.game_id)?);
        let (size, after) = (parse::page_size(request.page_size)?, parse::page_token(&request.page_token)?);
        let page = self.tickets.list_ratings(player, game, after.as_ref(), size, by).await?;
        Ok(Response::new(answer::ratings(&page)))
    }

    async fn seed_rating(&self, request: Request<SeedRatingRequest>) -> Answer<SeedRatingResponse> {
        let request = request.get_ref();
        let (game, queue) = (id("game_id", &request.game_id)?, queue_key(&request.queue_key)?);
        let player = id("player_id", &request.player_id)?;
        let rating = self.tickets.seed(game, &queue, player, parse::seed(request)?).await?;
        Ok(Response::new(SeedRatingResponse { rating: Some(answer::stored_rating(&rating)) }))
    }
}

#[cfg(test)]
mod tests;

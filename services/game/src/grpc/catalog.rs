//! `muster.game.v1.CatalogService`.

mod answer;
mod parse;
#[cfg(test)]
mod tests;
mod watching;

use futures::stream::BoxStream;
use pkg_ambient::Ambient;
use pkg_api::game::v1::catalog_service_server::CatalogService;
use pkg_api::game::v1::{
    ApplyGameRequest, ApplyGameResponse, ArchiveGameRequest, ArchiveGameResponse, BatchGetGamesRequest,
    BatchGetGamesResponse, CreateGameRequest, CreateGameResponse, FindGameRequest, FindGameResponse,
    GetDefinitionRequest, GetDefinitionResponse, GetGameRequest, GetGameResponse, ListDefinitionRevisionsRequest,
    ListDefinitionRevisionsResponse, ListGamesRequest, ListGamesResponse, ListTrendingGamesRequest,
    ListTrendingGamesResponse, RestoreGameRequest, RestoreGameResponse, UpdateGameRequest, UpdateGameResponse,
    WatchDefinitionsRequest, WatchDefinitionsResponse,
};
use pkg_middleware::{Caller, RequestContext, watch};
use tonic::{Request, Response, Status};

use super::parse::id;
use crate::catalog::{BATCH_MAX, Catalog, DefinitionFeed, GameState, Trending};

/// The handlers.
pub struct CatalogApi {
    pub(crate) catalog: Catalog,
    pub(crate) trending: Trending,
    pub(crate) feed: DefinitionFeed,
    pub(crate) ambient: Ambient,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CatalogService for CatalogApi {
    type WatchDefinitionsStream = BoxStream<'static, Result<WatchDefinitionsResponse, Status>>;

    async fn create_game(&self, request: Request<CreateGameRequest>) -> Answer<CreateGameResponse> {
        let author = Caller::of(&request)?.user_id;
        let (id, draft) = parse::creation(request.into_inner())?;
        let game = self.catalog.create(id, draft, author).await?;
        Ok(Response::new(CreateGameResponse { game: Some(game.into()) }))
    }

    async fn get_game(&self, request: Request<GetGameRequest>) -> Answer<GetGameResponse> {
        let game = self.catalog.get(id("game_id", &request.get_ref().game_id)?).await?;
        Ok(Response::new(GetGameResponse { game: Some(game.into()) }))
    }

    async fn find_game(&self, request: Request<FindGameRequest>) -> Answer<FindGameResponse> {
        let game = self.catalog.find(&parse::key(&request.get_ref().key)?).await?;
        Ok(Response::new(FindGameResponse { game: Some(game.into()) }))
    }

    async fn batch_get_games(&self, request: Request<BatchGetGamesRequest>) -> Answer<BatchGetGamesResponse> {
        let games = self.catalog.batch(&parse::game_ids(&request.get_ref().game_ids)?).await?;
        Ok(Response::new(BatchGetGamesResponse { games: games.into_iter().map(Into::into).collect() }))
    }

    async fn list_games(&self, request: Request<ListGamesRequest>) -> Answer<ListGamesResponse> {
        let page = parse::game_page(request.get_ref())?;
        let games = self.catalog.list(page.state, page.after.as_ref(), page.size + 1).await?;
        Ok(Response::new(answer::games(games, page.size)))
    }

    async fn list_trending_games(
        &self,
        request: Request<ListTrendingGamesRequest>,
    ) -> Answer<ListTrendingGamesResponse> {
        let (after, size) = parse::trend_page(request.get_ref())?;
        let page = self.trending.page(after, size).await?;
        Ok(Response::new(answer::trending(page)))
    }

    async fn update_game(&self, request: Request<UpdateGameRequest>) -> Answer<UpdateGameResponse> {
        let (id, change) = parse::change(request.into_inner())?;
        let game = self.catalog.update(id, &change).await?;
        Ok(Response::new(UpdateGameResponse { game: Some(game.into()) }))
    }

    async fn archive_game(&self, request: Request<ArchiveGameRequest>) -> Answer<ArchiveGameResponse> {
        let id = id("game_id", &request.get_ref().game_id)?;
        let game = self.catalog.set_state(id, GameState::Archived).await?;
        Ok(Response::new(ArchiveGameResponse { game: Some(game.into()) }))
    }

    async fn restore_game(&self, request: Request<RestoreGameRequest>) -> Answer<RestoreGameResponse> {
        let id = id("game_id", &request.get_ref().game_id)?;
        let game = self.catalog.set_state(id, GameState::Active).await?;
        Ok(Response::new(RestoreGameResponse { game: Some(game.into()) }))
    }

    async fn apply_game(&self, request: Request<ApplyGameRequest>) -> Answer<ApplyGameResponse> {
        let author = Caller::of(&request)?.user_id;
        let apply = parse::apply(request.into_inner())?;
        let applied = self.catalog.apply(&apply, author).await?;
        Ok(Response::new(answer::applied(applied, apply.validate_only)))
    }

    async fn get_definition(&self, request: Request<GetDefinitionRequest>) -> Answer<GetDefinitionResponse> {
        let (id, number) = parse::revision(request.get_ref())?;
        let revision = self.catalog.revision(id, number).await?;
        Ok(Response::new(GetDefinitionResponse { revision: Some(revision.into()) }))
    }

    async fn list_definition_revisions(
        &self,
        request: Request<ListDefinitionRevisionsRequest>,
    ) -> Answer<ListDefinitionRevisionsResponse> {
        let (id, before, size) = parse::revision_page(request.get_ref())?;
        let revisions = self.catalog.revisions(id, before, size + 1).await?;
        Ok(Response::new(answer::revisions(revisions, size)))
    }

    async fn watch_definitions(
        &self,
        request: Request<WatchDefinitionsRequest>,
    ) -> Answer<Self::WatchDefinitionsStream> {
        let draining = RequestContext::of(&request)?.draining().clone();
        let games = super::parse::ids("game_ids", &request.get_ref().game_ids, BATCH_MAX)?;
        let follower = self.feed.follow((!games.is_empty()).then_some(games)).await?;
        Ok(Response::new(watch(follower, draining, self.ambient.clone())))
    }
}

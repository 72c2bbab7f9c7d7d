//! `muster.player.v1.PlayerService`.

use pkg_api::player::v1::player_service_server::PlayerService;
use pkg_api::player::v1::{
    BatchGetPlayersRequest, BatchGetPlayersResponse, FindPlayerRequest, FindPlayerResponse, GetPlayerRequest,
    GetPlayerResponse, GetProfileRequest, GetProfileResponse, UpdateProfileRequest, UpdateProfileResponse,
};
use pkg_middleware::Caller;
use tonic::{Request, Response, Status};

use super::parse;
use crate::profile::Profiles;

/// The handlers.
pub struct PlayerApi {
    pub(crate) profiles: Profiles,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PlayerService for PlayerApi {
    async fn get_player(&self, request: Request<GetPlayerRequest>) -> Answer<GetPlayerResponse> {
        let id = parse::id("player_id", &request.get_ref().player_id)?;
        let profile = self.profiles.get(id).await?;
        Ok(Response::new(GetPlayerResponse { player: Some(profile.into()) }))
    }

    async fn find_player(&self, request: Request<FindPlayerRequest>) -> Answer<FindPlayerResponse> {
        let username = parse::username(&request.get_ref().username)?;
        let profile = self.profiles.find(&username).await?;
        Ok(Response::new(FindPlayerResponse { player: Some(profile.into()) }))
    }

    async fn batch_get_players(&self, request: Request<BatchGetPlayersRequest>) -> Answer<BatchGetPlayersResponse> {
        let ids = parse::player_ids(&request.get_ref().player_ids)?;
        let profiles = self.profiles.batch(&ids).await?;
        Ok(Response::new(BatchGetPlayersResponse { players: profiles.into_iter().map(Into::into).collect() }))
    }

    async fn get_profile(&self, request: Request<GetProfileRequest>) -> Answer<GetProfileResponse> {
        let profile = self.profiles.get(Caller::of(&request)?.user_id).await?;
        Ok(Response::new(GetProfileResponse { profile: Some(profile.into()) }))
    }

    async fn update_profile(&self, request: Request<UpdateProfileRequest>) -> Answer<UpdateProfileResponse> {
        let id = Caller::of(&request)?.user_id;
        let change = parse::profile_change(request.into_inner())?;
        let profile = self.profiles.change(id, &change).await?;
        Ok(Response::new(UpdateProfileResponse { profile: Some(profile.into()) }))
    }
}

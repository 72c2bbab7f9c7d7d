//! `muster.presence.v1`: `PresenceService`, and what other services tell.

use pkg_api::presence::v1::presence_internal_service_server::PresenceInternalService;
use pkg_api::presence::v1::presence_service_server::PresenceService;
use pkg_api::presence::v1::{
    BatchGetPresencesRequest, BatchGetPresencesResponse, GetPresenceRequest, GetPresenceResponse, ReportQueuedRequest,
    ReportQueuedResponse, SetPresenceRequest, SetPresenceResponse,
};
use pkg_middleware::Caller;
use tonic::{Request, Response, Status};

use super::parse_events as parse;
use crate::presence::{DEVICE_LIFETIME, Presences};

/// The handlers, of both services.
#[derive(Clone)]
pub struct PresenceApi {
    pub(crate) presences: Presences,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PresenceService for PresenceApi {
    async fn set_presence(&self, request: Request<SetPresenceRequest>) -> Answer<SetPresenceResponse> {
        let Caller { user_id, session_id, .. } = *Caller::of(&request)?;
        let presence = self.presences.set(user_id, session_id, parse::device_state(request.into_inner())?).await?;
        let time_to_live = prost_types::Duration::try_from(DEVICE_LIFETIME).ok();
        Ok(Response::new(SetPresenceResponse { presence: Some(presence.into()), time_to_live }))
    }

    async fn get_presence(&self, request: Request<GetPresenceRequest>) -> Answer<GetPresenceResponse> {
        let presence = self.presences.one(parse::player_id(&request.get_ref().player_id)?).await?;
        Ok(Response::new(GetPresenceResponse { presence: Some(presence.into()) }))
    }

    async fn batch_get_presences(
        &self,
        request: Request<BatchGetPresencesRequest>,
    ) -> Answer<BatchGetPresencesResponse> {
        let presences = self.presences.many(&parse::player_ids(&request.get_ref().player_ids)?).await?;
        Ok(Response::new(BatchGetPresencesResponse { presences: presences.into_iter().map(Into::into).collect() }))
    }
}

#[tonic::async_trait]
impl PresenceInternalService for PresenceApi {
    async fn report_queued(&self, request: Request<ReportQueuedRequest>) -> Answer<ReportQueuedResponse> {
        let (reports, lifetime) = parse::reports(request.get_ref())?;
        self.presences.report_queued(&reports, lifetime).await?;
        Ok(Response::new(ReportQueuedResponse {}))
    }
}

//! `muster.game.v1.SessionInternalService`.

use pkg_api::game::v1::session_internal_service_server::SessionInternalService;
use pkg_api::game::v1::{
    BatchCheckSeatsRequest, BatchCheckSeatsResponse, BatchGetSessionStatesRequest, BatchGetSessionStatesResponse,
    CreateMatchSessionRequest, CreateMatchSessionResponse,
};
use tonic::{Request, Response, Status};

use super::parse_session as parse;
use crate::session_message;
use crate::sessions::Sessions;

/// The handlers.
pub struct SessionInternalApi {
    pub(crate) sessions: Sessions,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionInternalService for SessionInternalApi {
    async fn create_match_session(
        &self,
        request: Request<CreateMatchSessionRequest>,
    ) -> Answer<CreateMatchSessionResponse> {
        let creation = parse::match_creation(request.get_ref())?;
        let (view, created) = self.sessions.create_match(&creation).await?;
        let session = Some(session_message::session(&view.session, true));
        Ok(Response::new(CreateMatchSessionResponse { session, created, cursor: super::cursor(view.begin) }))
    }

    async fn batch_check_seats(&self, request: Request<BatchCheckSeatsRequest>) -> Answer<BatchCheckSeatsResponse> {
        let queries = parse::seat_queries(&request.get_ref().queries)?;
        let seated = self.sessions.check_seats(&queries).await?;
        Ok(Response::new(BatchCheckSeatsResponse { seated }))
    }

    async fn batch_get_session_states(
        &self,
        request: Request<BatchGetSessionStatesRequest>,
    ) -> Answer<BatchGetSessionStatesResponse> {
        let ids = parse::session_ids(&request.get_ref().session_ids)?;
        let found = self.sessions.states(&ids).await?;
        let statuses = ids.iter().zip(&found).map(|(id, session)| session_message::status(*id, session.as_ref()));
        Ok(Response::new(BatchGetSessionStatesResponse { statuses: statuses.collect() }))
    }
}

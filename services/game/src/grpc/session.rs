//! `muster.game.v1.SessionService`.

use std::time::Duration;

use pkg_api::game::v1::session_service_server::SessionService;
use pkg_api::game::v1::{
    CreateSessionRequest, CreateSessionResponse, DeleteSessionRequest, DeleteSessionResponse, FinishSessionRequest,
    FinishSessionResponse, GetSessionRequest, GetSessionResponse, JoinSessionByCodeRequest, JoinSessionByCodeResponse,
    JoinSessionRequest, JoinSessionResponse, KickPlayerRequest, KickPlayerResponse, LeaveSessionRequest,
    LeaveSessionResponse, ListMySessionsRequest, ListMySessionsResponse, ListOpenSessionsRequest,
    ListOpenSessionsResponse, PauseSessionRequest, PauseSessionResponse, ResumeSessionRequest, ResumeSessionResponse,
    StartSessionRequest, StartSessionResponse, TransferOwnershipRequest, TransferOwnershipResponse,
    UpdateSessionRequest, UpdateSessionResponse,
};
use pkg_api::game::v1::{Session, SessionSummary};
use pkg_middleware::{Actor, RequestContext};
use tonic::{Request, Response, Status};

use super::parse_session as parse;
use crate::session_message;
use crate::sessions::{Page, Sessions, View};

/// How long finishing waits for the record, whatever the caller's deadline…
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// …of which so much is left for the answer.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// The handlers.
pub struct SessionApi {
    pub(crate) sessions: Sessions,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionService for SessionApi {
    async fn create_session(&self, request: Request<CreateSessionRequest>) -> Answer<CreateSessionResponse> {
        let by = Actor::of(&request)?;
        let view = self.sessions.create(parse::creation(request.into_inner())?, by).await?;
        let (session, cursor) = shown(&view, by);
        Ok(Response::new(CreateSessionResponse { session, cursor }))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer<GetSessionResponse> {
        let by = Actor::of(&request)?;
        let view = self.sessions.get(parse::id("session_id", &request.get_ref().session_id)?, by).await?;
        let (session, cursor) = shown(&view, by);
        Ok(Response::new(GetSessionResponse { session, cursor }))
    }

    async fn list_open_sessions(&self, request: Request<ListOpenSessionsRequest>) -> Answer<ListOpenSessionsResponse> {
        let request = request.get_ref();
        let (game, filter) = (parse::id("game_id", &request.game_id)?, parse::open_filter(request)?);
        let page = parse::page(request.page_size, &request.page_token)?;
        let (sessions, next_page_token) = listed(&self.sessions.list_open(game, &filter, page.after, page.size).await?);
        Ok(Response::new(ListOpenSessionsResponse { sessions, next_page_token }))
    }

    async fn list_my_sessions(&self, request: Request<ListMySessionsRequest>) -> Answer<ListMySessionsResponse> {
        let player = Actor::of(&request)?.id();
        let request = request.get_ref();
        let game = parse::optional_id("game_id", &request.game_id)?;
        let page = parse::page(request.page_size, &request.page_token)?;
        let (sessions, next_page_token) = listed(&self.sessions.list_mine(player, game, page.after, page.size).await?);
        Ok(Response::new(ListMySessionsResponse { sessions, next_page_token }))
    }

    async fn join_session(&self, request: Request<JoinSessionRequest>) -> Answer<JoinSessionResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (session, player) = (parse::id("session_id", &request.session_id)?, parse::joiner(&request.player_id, by)?);
        let (team, code) = (parse::team_name("team", &request.team)?, parse::join_code(&request.join_code)?);
        let (session, cursor) = shown(&self.sessions.join(session, player, team, code, by).await?, by);
        Ok(Response::new(JoinSessionResponse { session, cursor }))
    }

    async fn join_session_by_code(
        &self,
        request: Request<JoinSessionByCodeRequest>,
    ) -> Answer<JoinSessionByCodeResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (game, team) = (parse::id("game_id", &request.game_id)?, parse::team_name("team", &request.team)?);
        let code = parse::required_join_code(&request.join_code)?;
        let (session, cursor) = shown(&self.sessions.join_by_code(game, &code, team, by).await?, by);
        Ok(Response::new(JoinSessionByCodeResponse { session, cursor }))
    }

    async fn leave_session(&self, request: Request<LeaveSessionRequest>) -> Answer<LeaveSessionResponse> {
        let by = Actor::of(&request)?;
        self.sessions.leave(parse::id("session_id", &request.get_ref().session_id)?, by).await?;
        Ok(Response::new(LeaveSessionResponse {}))
    }

    async fn kick_player(&self, request: Request<KickPlayerRequest>) -> Answer<KickPlayerResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let session = parse::id("session_id", &request.session_id)?;
        let (player, words) = (parse::id("player_id", &request.player_id)?, parse::kick_reason(&request.reason)?);
        self.sessions.kick(session, player, &words, by).await?;
        Ok(Response::new(KickPlayerResponse {}))
    }

    async fn transfer_ownership(
        &self,
        request: Request<TransferOwnershipRequest>,
    ) -> Answer<TransferOwnershipResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (session, to) =
            (parse::id("session_id", &request.session_id)?, parse::id("player_id", &request.player_id)?);
        let (session, _) = shown(&self.sessions.transfer(session, to, by).await?, by);
        Ok(Response::new(TransferOwnershipResponse { session }))
    }

    async fn update_session(&self, request: Request<UpdateSessionRequest>) -> Answer<UpdateSessionResponse> {
        let by = Actor::of(&request)?;
        let session = parse::id("session_id", &request.get_ref().session_id)?;
        let change = parse::change(request.into_inner())?;
        let (session, _) = shown(&self.sessions.update(session, &change, by).await?, by);
        Ok(Response::new(UpdateSessionResponse { session }))
    }

    async fn start_session(&self, request: Request<StartSessionRequest>) -> Answer<StartSessionResponse> {
        let by = Actor::of(&request)?;
        let session = parse::id("session_id", &request.get_ref().session_id)?;
        let (session, _) = shown(&self.sessions.start(session, by).await?, by);
        Ok(Response::new(StartSessionResponse { session }))
    }

    async fn pause_session(&self, request: Request<PauseSessionRequest>) -> Answer<PauseSessionResponse> {
        let by = Actor::of(&request)?;
        let session = parse::id("session_id", &request.get_ref().session_id)?;
        let (session, _) = shown(&self.sessions.pause(session, by).await?, by);
        Ok(Response::new(PauseSessionResponse { session }))
    }

    async fn resume_session(&self, request: Request<ResumeSessionRequest>) -> Answer<ResumeSessionResponse> {
        let by = Actor::of(&request)?;
        let session = parse::id("session_id", &request.get_ref().session_id)?;
        let (session, _) = shown(&self.sessions.resume(session, by).await?, by);
        Ok(Response::new(ResumeSessionResponse { session }))
    }

    async fn finish_session(&self, request: Request<FinishSessionRequest>) -> Answer<FinishSessionResponse> {
        let by = Actor::of(&request)?;
        let left = RequestContext::of(&request)?.time_left().unwrap_or(FINISH_WITHIN);
        let session = parse::id("session_id", &request.get_ref().session_id)?;
        let results = parse::results(request.into_inner().results)?;
        let within = left.saturating_sub(ANSWER_TIME).min(FINISH_WITHIN);
        let (session, _) = shown(&self.sessions.finish(session, &results, by, within).await?, by);
        Ok(Response::new(FinishSessionResponse { session }))
    }

    async fn delete_session(&self, request: Request<DeleteSessionRequest>) -> Answer<DeleteSessionResponse> {
        let by = Actor::of(&request)?;
        self.sessions.delete(parse::id("session_id", &request.get_ref().session_id)?, by).await?;
        Ok(Response::new(DeleteSessionResponse {}))
    }
}

/// A session as its reader may see it, and where its topic is.
fn shown(view: &View, to: Actor) -> (Option<Session>, String) {
    let session = session_message::session(&view.session, view.session.shows_code_to(to));
    (Some(session), view.cursor.to_string())
}

fn listed(page: &Page) -> (Vec<SessionSummary>, String) {
    let sessions = page.sessions.iter().map(session_message::summary).collect();
    (sessions, page.next.map(parse::page_token).unwrap_or_default())
}

#[cfg(test)]
mod tests;

//! Sessions of matches, as a game service would have them, and which can be in a mood.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use pkg_api::game::v1 as api;
use pkg_api::game::v1::session_internal_service_server::{SessionInternalService, SessionInternalServiceServer};
use pkg_middleware::{AnyChannel, Problem};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::Game;

/// What the sessions of the game service do when they are to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Willing,
    Unavailable,
    TooMany,
    QueueGone,
}

/// The sessions of a game service. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Sessions {
    state: Arc<Mutex<SessionsState>>,
}

struct SessionsState {
    mood: Mood,
    refused: u64,
    created: BTreeMap<Uuid, api::CreateMatchSessionRequest>,
    states: BTreeMap<Uuid, api::SessionState>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        let state =
            SessionsState { mood: Mood::Willing, refused: 0, created: BTreeMap::new(), states: BTreeMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// The sessions that were created, by their ids.
    pub(crate) fn created(&self) -> BTreeMap<Uuid, api::CreateMatchSessionRequest> {
        self.lock().created.clone()
    }

    /// How often one was refused.
    pub(crate) fn refused(&self) -> u64 {
        self.lock().refused
    }

    pub(crate) fn set(&self, session: Uuid, state: api::SessionState) {
        self.lock().states.insert(session, state);
    }

    fn lock(&self) -> MutexGuard<'_, SessionsState> {
        self.state.lock().unwrap()
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionInternalService for Sessions {
    async fn create_match_session(
        &self,
        request: Request<api::CreateMatchSessionRequest>,
    ) -> Answer<api::CreateMatchSessionResponse> {
        let request = request.into_inner();
        let mut state = self.lock();
        state.refused += u64::from(state.mood != Mood::Willing);
        let refuse = |code, reason| Err(Problem::new(code, reason, "for the test").into());
        match state.mood {
            Mood::Willing => {}
            Mood::Unavailable => return refuse(Code::Unavailable, "STORE_UNAVAILABLE"),
            Mood::TooMany => return refuse(Code::ResourceExhausted, "TOO_MANY_SESSIONS"),
            Mood::QueueGone => return refuse(Code::NotFound, "QUEUE_NOT_FOUND"),
        }
        let id = Uuid::try_parse(&request.session_id).expect("an id");
        let before = state.created.insert(id, request.clone());
        assert!(before.as_ref().is_none_or(|before| *before == request), "a repeated call is the same");
        let session = api::Session { session_id: request.session_id, ..Default::default() };
        let (created, cursor) = (before.is_none(), "begin".to_owned());
        Ok(Response::new(api::CreateMatchSessionResponse { session: Some(session), created, cursor }))
    }

    async fn batch_check_seats(&self, _: Request<api::BatchCheckSeatsRequest>) -> Answer<api::BatchCheckSeatsResponse> {
        Err(Status::unimplemented("matchmaking does not ask this"))
    }

    async fn batch_get_session_states(
        &self,
        request: Request<api::BatchGetSessionStatesRequest>,
    ) -> Answer<api::BatchGetSessionStatesResponse> {
        let state = self.lock();
        let status = |session_id: String| {
            let id = Uuid::try_parse(&session_id).expect("an id");
            let state = state.states.get(&id).copied().unwrap_or(api::SessionState::Unspecified);
            api::SessionStatus { session_id, state: state.into(), player_ids: Vec::new() }
        };
        let statuses = request.into_inner().session_ids.into_iter().map(status).collect();
        Ok(Response::new(api::BatchGetSessionStatesResponse { statuses }))
    }
}

/// The way to both services of the game.
pub(crate) fn channel(game: &Game, sessions: &Sessions) -> AnyChannel {
    let sessions = SessionInternalServiceServer::new(sessions.clone());
    AnyChannel::new(Routes::new(game.server()).add_service(sessions))
}

//! The other side of the calls to the game service: games, their definitions, sessions of matches, presence.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

use pkg_api::game::v1 as api;
use pkg_api::game::v1::session_internal_service_server::{SessionInternalService, SessionInternalServiceServer};
use pkg_api::presence::v1::presence_internal_service_server::{PresenceInternalService, PresenceInternalServiceServer};
use pkg_api::presence::v1::{QueuedReport, ReportQueuedRequest, ReportQueuedResponse};
use pkg_auth::Role;
use pkg_catalog::testing::TestGames;
use pkg_middleware::{Access, AccessTable, Service};
use tonic::{Request, Response, Status};
use uuid::Uuid;

const SERVICES: Access = Access::Roles(&[Role::Service]);

const CATALOG: AccessTable = &[
    ("CreateGame", SERVICES),
    ("GetGame", SERVICES),
    ("FindGame", SERVICES),
    ("BatchGetGames", SERVICES),
    ("ListGames", SERVICES),
    ("ListTrendingGames", SERVICES),
    ("UpdateGame", SERVICES),
    ("ArchiveGame", SERVICES),
    ("RestoreGame", SERVICES),
    ("ApplyGame", SERVICES),
    ("GetDefinition", SERVICES),
    ("ListDefinitionRevisions", SERVICES),
    ("WatchDefinitions", SERVICES),
];
const SESSIONS: AccessTable =
    &[("CreateMatchSession", SERVICES), ("BatchCheckSeats", SERVICES), ("BatchGetSessionStates", SERVICES)];
const PRESENCE: AccessTable = &[("ReportQueued", SERVICES)];

/// A game service. Cloning shares it. Dereferences to its catalogue.
#[derive(Clone, Default)]
pub(crate) struct Game {
    catalog: TestGames,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<String, api::CreateMatchSessionRequest>,
    queued: BTreeMap<(String, String), bool>,
}

impl Deref for Game {
    type Target = TestGames;

    fn deref(&self) -> &TestGames {
        &self.catalog
    }
}

impl Game {
    pub(super) fn service(&self) -> Service {
        Service::new("game")
            .add(self.catalog.server(), CATALOG)
            .add(SessionInternalServiceServer::new(self.clone()), SESSIONS)
            .add(PresenceInternalServiceServer::new(self.clone()), PRESENCE)
    }

    /// The sessions that were created, by their ids.
    pub(crate) fn sessions(&self) -> BTreeMap<String, api::CreateMatchSessionRequest> {
        self.lock().sessions.clone()
    }

    /// Whether a player waits in a queue of a game, as far as it was told.
    pub(crate) fn queued(&self, player: Uuid, game: Uuid) -> Option<bool> {
        self.lock().queued.get(&(player.to_string(), game.to_string())).copied()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionInternalService for Game {
    async fn create_match_session(
        &self,
        request: Request<api::CreateMatchSessionRequest>,
    ) -> Answer<api::CreateMatchSessionResponse> {
        let request = request.into_inner();
        let session_id = request.session_id.clone();
        let before = self.lock().sessions.insert(session_id.clone(), request);
        let session = api::Session { session_id, ..Default::default() };
        let cursor = "begin".to_owned();
        Ok(Response::new(api::CreateMatchSessionResponse { session: Some(session), created: before.is_none(), cursor }))
    }

    async fn batch_check_seats(&self, _: Request<api::BatchCheckSeatsRequest>) -> Answer<api::BatchCheckSeatsResponse> {
        Err(Status::unimplemented("matchmaking does not ask this"))
    }

    async fn batch_get_session_states(
        &self,
        request: Request<api::BatchGetSessionStatesRequest>,
    ) -> Answer<api::BatchGetSessionStatesResponse> {
        let known = self.lock().sessions.clone();
        let status = |session_id: String| {
            let state = if known.contains_key(&session_id) {
                api::SessionState::Started
            } else {
                api::SessionState::Unspecified
            };
            api::SessionStatus { session_id, state: state.into(), player_ids: Vec::new() }
        };
        let statuses = request.into_inner().session_ids.into_iter().map(status).collect();
        Ok(Response::new(api::BatchGetSessionStatesResponse { statuses }))
    }
}

#[tonic::async_trait]
impl PresenceInternalService for Game {
    async fn report_queued(&self, request: Request<ReportQueuedRequest>) -> Answer<ReportQueuedResponse> {
        let mut state = self.lock();
        for QueuedReport { player_id, game_id, queued } in request.into_inner().reports {
            state.queued.insert((player_id, game_id), queued);
        }
        Ok(Response::new(ReportQueuedResponse {}))
    }
}

//! The other side of the calls to the game service: games, their definitions, sessions of matches, presence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use pkg_api::game::v1::session_internal_service_server::{SessionInternalService, SessionInternalServiceServer};
use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_api::presence::v1::presence_internal_service_server::{PresenceInternalService, PresenceInternalServiceServer};
use pkg_api::presence::v1::{QueuedReport, ReportQueuedRequest, ReportQueuedResponse};
use pkg_auth::Role;
use pkg_middleware::{Access, AccessTable, Problem, Service};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};
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

/// A game service. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Game {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    games: BTreeMap<Uuid, api::DefinitionState>,
    /// Whether those who follow are told of changes.
    silent: bool,
    sessions: BTreeMap<String, api::CreateMatchSessionRequest>,
    queued: BTreeMap<(String, String), bool>,
}

impl Default for Game {
    fn default() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Game {
    pub(super) fn service(&self) -> Service {
        Service::new("game")
            .add(CatalogServiceServer::new(self.clone()), CATALOG)
            .add(SessionInternalServiceServer::new(self.clone()), SESSIONS)
            .add(PresenceInternalServiceServer::new(self.clone()), PRESENCE)
    }

    /// Makes a game, or its next revision.
    pub(crate) fn define(&self, game: Uuid, definition: api::GameDefinition) {
        self.change(game, |state| {
            let revision = state.revision.as_ref().map_or(1, |revision| revision.revision + 1);
            state.revision = Some(api::DefinitionRevision {
                game_id: game.to_string(),
                revision,
                definition: Some(definition),
                ..Default::default()
            });
        });
    }

    pub(crate) fn archive(&self, game: Uuid) {
        self.change(game, |state| state.set_state(api::GameState::Archived));
    }

    /// Those who follow are told of changes no more.
    pub(crate) fn be_silent(&self) {
        self.lock().silent = true;
    }

    /// The sessions that were created, by their ids.
    pub(crate) fn sessions(&self) -> BTreeMap<String, api::CreateMatchSessionRequest> {
        self.lock().sessions.clone()
    }

    /// Whether a player waits in a queue of a game, as far as it was told.
    pub(crate) fn queued(&self, player: Uuid, game: Uuid) -> Option<bool> {
        self.lock().queued.get(&(player.to_string(), game.to_string())).copied()
    }

    fn change(&self, game: Uuid, change: impl FnOnce(&mut api::DefinitionState)) {
        let mut state = self.lock();
        let state_of_game = state.games.entry(game).or_insert_with(|| api::DefinitionState {
            game_key: "duel".to_owned(),
            state: api::GameState::Active.into(),
            ..Default::default()
        });
        change(state_of_game);
        if !state.silent {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn state_of(&self, game: &str) -> Result<api::DefinitionState, Status> {
        let found = Uuid::try_parse(game).ok().and_then(|game| self.lock().games.get(&game).cloned());
        found.ok_or_else(|| Problem::new(Code::NotFound, "GAME_NOT_FOUND", "there is no such game").into())
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("nobody asks this of a game"))
}

#[tonic::async_trait]
impl CatalogService for Game {
    type WatchDefinitionsStream = BoxStream<'static, Result<api::WatchDefinitionsResponse, Status>>;

    async fn get_game(&self, request: Request<api::GetGameRequest>) -> Answer<api::GetGameResponse> {
        let state = self.state_of(&request.get_ref().game_id)?;
        let game = api::Game { key: state.game_key, state: state.state, ..Default::default() };
        Ok(Response::new(api::GetGameResponse { game: Some(game) }))
    }

    async fn get_definition(&self, request: Request<api::GetDefinitionRequest>) -> Answer<api::GetDefinitionResponse> {
        let revision = self.state_of(&request.get_ref().game_id)?.revision;
        Ok(Response::new(api::GetDefinitionResponse { revision }))
    }

    async fn watch_definitions(
        &self,
        _: Request<api::WatchDefinitionsRequest>,
    ) -> Answer<Self::WatchDefinitionsStream> {
        let (state, changed) = (self.state.clone(), self.changed.subscribe());
        // Everything again with each change, as after a stream that was cut.
        let told = stream::unfold((state, changed, true), |(state, mut changed, first)| async move {
            if !first {
                changed.changed().await.ok()?;
            }
            changed.borrow_and_update();
            let games: Vec<_> = state.lock().unwrap().games.values().cloned().collect();
            let messages = games.into_iter().map(Message::Definition).chain([Message::CaughtUp(api::CaughtUp {})]);
            let messages: Vec<_> = messages.collect();
            Some((stream::iter(messages), (state, changed, false)))
        });
        let told = told.flatten().map(|message| Ok(api::WatchDefinitionsResponse { message: Some(message) }));
        Ok(Response::new(told.boxed()))
    }

    async fn create_game(&self, _: Request<api::CreateGameRequest>) -> Answer<api::CreateGameResponse> {
        not_here()
    }

    async fn find_game(&self, _: Request<api::FindGameRequest>) -> Answer<api::FindGameResponse> {
        not_here()
    }

    async fn batch_get_games(&self, _: Request<api::BatchGetGamesRequest>) -> Answer<api::BatchGetGamesResponse> {
        not_here()
    }

    async fn list_games(&self, _: Request<api::ListGamesRequest>) -> Answer<api::ListGamesResponse> {
        not_here()
    }

    async fn list_trending_games(
        &self,
        _: Request<api::ListTrendingGamesRequest>,
    ) -> Answer<api::ListTrendingGamesResponse> {
        not_here()
    }

    async fn update_game(&self, _: Request<api::UpdateGameRequest>) -> Answer<api::UpdateGameResponse> {
        not_here()
    }

    async fn archive_game(&self, _: Request<api::ArchiveGameRequest>) -> Answer<api::ArchiveGameResponse> {
        not_here()
    }

    async fn restore_game(&self, _: Request<api::RestoreGameRequest>) -> Answer<api::RestoreGameResponse> {
        not_here()
    }

    async fn apply_game(&self, _: Request<api::ApplyGameRequest>) -> Answer<api::ApplyGameResponse> {
        not_here()
    }

    async fn list_definition_revisions(
        &self,
        _: Request<api::ListDefinitionRevisionsRequest>,
    ) -> Answer<api::ListDefinitionRevisionsResponse> {
        not_here()
    }
}

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
        not_here()
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

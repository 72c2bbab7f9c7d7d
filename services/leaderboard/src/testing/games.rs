//! The other side of the calls to the game service: definitions of games, and seats in running sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::Request as HttpRequest;
use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use pkg_api::game::v1::session_internal_service_server::{SessionInternalService, SessionInternalServiceServer};
use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_middleware::{AnyChannel, Problem};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

/// A game service. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Games {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    games: BTreeMap<Uuid, api::DefinitionState>,
    /// By session and player.
    seats: BTreeSet<(String, String)>,
    /// How often seats were asked for.
    seats_asked: usize,
    /// Whether those who follow are told of changes.
    silent: bool,
    /// Whether nothing is answered.
    unavailable: bool,
}

impl Default for Games {
    fn default() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Games {
    /// A channel to it that needs no token.
    pub(crate) fn channel(&self) -> AnyChannel {
        let (catalog, sessions) =
            (CatalogServiceServer::new(self.clone()), SessionInternalServiceServer::new(self.clone()));
        AnyChannel::new(tower::service_fn(move |request: HttpRequest<Body>| {
            let (catalog, sessions) = (catalog.clone(), sessions.clone());
            async move {
                if request.uri().path().starts_with("/muster.game.v1.SessionInternalService/") {
                    sessions.oneshot(request).await
                } else {
                    catalog.oneshot(request).await
                }
            }
        }))
    }

    /// Makes a game with these leaderboards, or its next revision.
    pub(crate) fn define(&self, game: Uuid, leaderboards: Vec<api::LeaderboardDefinition>) {
        let definition = api::GameDefinition { leaderboards, ..api::GameDefinition::default() };
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

    /// Gives a player a seat in a running session.
    pub(crate) fn seat(&self, session: Uuid, player: Uuid) {
        self.lock().seats.insert((session.to_string(), player.to_string()));
    }

    pub(crate) fn seats_asked(&self) -> usize {
        self.lock().seats_asked
    }

    /// Those who follow are told of changes no more, or again.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.lock().silent = silent;
        self.changed.send_modify(|count| *count += 1);
    }

    /// It answers nothing any more, or again.
    pub(crate) fn be_unavailable(&self, unavailable: bool) {
        self.lock().unavailable = unavailable;
    }

    fn change(&self, game: Uuid, change: impl FnOnce(&mut api::DefinitionState)) {
        let mut state = self.lock();
        let state_of_game = state.games.entry(game).or_insert_with(|| api::DefinitionState {
            game_key: "duel".to_owned(),
            state: api::GameState::Active.into(),
            ..Default::default()
        });
        change(state_of_game);
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn available(&self) -> Result<MutexGuard<'_, State>, Status> {
        let state = self.lock();
        if state.unavailable {
            Err(Problem::unavailable("STORE_UNAVAILABLE", "for the test").into())
        } else {
            Ok(state)
        }
    }

    fn state_of(&self, game: &str) -> Result<api::DefinitionState, Status> {
        let state = self.available()?;
        let found = Uuid::try_parse(game).ok().and_then(|game| state.games.get(&game).cloned());
        found.ok_or_else(|| Problem::new(Code::NotFound, "GAME_NOT_FOUND", "there is no such game").into())
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("nobody asks this of a game"))
}

#[tonic::async_trait]
impl CatalogService for Games {
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
        drop(self.available()?);
        let (state, changed) = (self.state.clone(), self.changed.subscribe());
        // Everything again with each change, as after a stream that was cut.
        let told = stream::unfold((state, changed, true), |(state, mut changed, first)| async move {
            if !first {
                changed.changed().await.ok()?;
            }
            changed.borrow_and_update();
            let mut messages = Vec::new();
            {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if !state.silent {
                    messages.extend(state.games.values().cloned().map(Message::Definition));
                    messages.push(Message::CaughtUp(api::CaughtUp {}));
                }
            }
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
impl SessionInternalService for Games {
    async fn create_match_session(
        &self,
        _: Request<api::CreateMatchSessionRequest>,
    ) -> Answer<api::CreateMatchSessionResponse> {
        not_here()
    }

    async fn batch_check_seats(
        &self,
        request: Request<api::BatchCheckSeatsRequest>,
    ) -> Answer<api::BatchCheckSeatsResponse> {
        let mut state = self.available()?;
        state.seats_asked += 1;
        let queries = request.into_inner().queries.into_iter();
        let seated = queries.map(|query| state.seats.contains(&(query.session_id, query.player_id))).collect();
        Ok(Response::new(api::BatchCheckSeatsResponse { seated }))
    }

    async fn batch_get_session_states(
        &self,
        _: Request<api::BatchGetSessionStatesRequest>,
    ) -> Answer<api::BatchGetSessionStatesResponse> {
        not_here()
    }
}

//! For tests: a game service of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use pkg_api::game::v1 as api;
use pkg_api::game::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use pkg_api::game::v1::watch_definitions_response::Message;
use pkg_middleware::{AnyChannel, Problem};
use tokio::sync::watch;
use tokio::task::yield_now;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

/// The catalogue of a game service, as far as other services ask for it. Cloning shares it.
#[derive(Clone)]
pub struct TestGames {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    games: BTreeMap<Uuid, api::DefinitionState>,
    /// How often somebody asked for a game.
    asked: usize,
    /// Whether those who follow are told nothing.
    silent: bool,
    /// Whether everything is refused.
    unavailable: bool,
    /// Whether nothing is answered.
    hangs: bool,
}

/// There are no games.
impl Default for TestGames {
    fn default() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl TestGames {
    /// A channel to it that needs no token.
    #[must_use]
    pub fn channel(&self) -> AnyChannel {
        AnyChannel::new(self.server())
    }

    /// It, to be served beside others.
    #[must_use]
    pub fn server(&self) -> CatalogServiceServer<Self> {
        CatalogServiceServer::new(self.clone())
    }

    /// Makes a game, or its next revision.
    pub fn define(&self, game: Uuid, definition: api::GameDefinition) {
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

    /// The game takes nothing new any more.
    pub fn archive(&self, game: Uuid) {
        self.change(game, |state| state.set_state(api::GameState::Archived));
    }

    /// Those who follow are told nothing any more, or all again.
    pub fn be_silent(&self, silent: bool) {
        self.lock().silent = silent;
        self.changed.send_modify(|count| *count += 1);
    }

    /// It answers nothing any more, or again. Streams that are open stay so.
    pub fn be_unavailable(&self, unavailable: bool) {
        self.lock().unavailable = unavailable;
    }

    /// It takes calls, and never answers them.
    pub fn hang(&self) {
        self.lock().hangs = true;
    }

    /// Refuses while it answers nothing: for what else this game service does.
    pub fn check_available(&self) -> Result<(), Status> {
        if self.lock().unavailable {
            return Err(Problem::unavailable("STORE_UNAVAILABLE", "for the test").into());
        }
        Ok(())
    }

    /// How often somebody asked for a game, answered or not.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.lock().asked
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

    async fn state_of(&self, game: &str) -> Result<api::DefinitionState, Status> {
        // Over a network, others ask before there is an answer.
        yield_now().await;
        if self.lock().hangs {
            return std::future::pending().await;
        }
        self.check_available()?;
        let found = Uuid::try_parse(game).ok().and_then(|game| self.lock().games.get(&game).cloned());
        found.ok_or_else(|| Problem::new(Code::NotFound, "GAME_NOT_FOUND", "there is no such game").into())
    }

    /// What those who follow are told now: everything, as after a stream that was cut.
    fn told(&self) -> Vec<Message> {
        let state = self.lock();
        if state.silent {
            return Vec::new();
        }
        let games = state.games.values().cloned().map(Message::Definition);
        games.chain([Message::CaughtUp(api::CaughtUp {})]).collect()
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("no service asks this of a game"))
}

#[tonic::async_trait]
impl CatalogService for TestGames {
    type WatchDefinitionsStream = BoxStream<'static, Result<api::WatchDefinitionsResponse, Status>>;

    async fn get_game(&self, request: Request<api::GetGameRequest>) -> Answer<api::GetGameResponse> {
        self.lock().asked += 1;
        let state = self.state_of(&request.get_ref().game_id).await?;
        let game = api::Game { key: state.game_key, state: state.state, ..Default::default() };
        Ok(Response::new(api::GetGameResponse { game: Some(game) }))
    }

    async fn get_definition(&self, request: Request<api::GetDefinitionRequest>) -> Answer<api::GetDefinitionResponse> {
        let revision = self.state_of(&request.get_ref().game_id).await?.revision;
        Ok(Response::new(api::GetDefinitionResponse { revision }))
    }

    async fn watch_definitions(
        &self,
        _: Request<api::WatchDefinitionsRequest>,
    ) -> Answer<Self::WatchDefinitionsStream> {
        self.check_available()?;
        let mut changed = self.changed.subscribe();
        changed.mark_changed();
        let told = stream::unfold((self.clone(), changed), |(games, mut changed)| async move {
            changed.changed().await.ok()?;
            let told = games.told();
            Some((stream::iter(told), (games, changed)))
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

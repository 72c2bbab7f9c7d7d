//! The other side of the calls to the leaderboard service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use pkg_api::leaderboard::v1::board_internal_service_server::{BoardInternalService, BoardInternalServiceServer};
use pkg_api::leaderboard::v1::{BatchCheckScoresRequest, BatchCheckScoresResponse};
use pkg_middleware::{AnyChannel, Problem};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// A leaderboard service that knows which boards have scores. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Leaderboards {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    scored: BTreeSet<(String, String)>,
    unavailable: bool,
    asked: usize,
}

impl Leaderboards {
    /// A channel to it that needs no token.
    pub(crate) fn channel(&self) -> AnyChannel {
        AnyChannel::new(BoardInternalServiceServer::new(self.clone()))
    }

    /// A board has a score from now on.
    pub(crate) fn score(&self, game: Uuid, key: &str) {
        self.lock().scored.insert((game.to_string(), key.to_owned()));
    }

    /// It answers nothing any more, or again.
    pub(crate) fn be_unavailable(&self, unavailable: bool) {
        self.lock().unavailable = unavailable;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.lock().asked
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[tonic::async_trait]
impl BoardInternalService for Leaderboards {
    async fn batch_check_scores(
        &self,
        request: Request<BatchCheckScoresRequest>,
    ) -> Result<Response<BatchCheckScoresResponse>, Status> {
        let mut state = self.lock();
        state.asked += 1;
        if state.unavailable {
            return Err(Problem::unavailable("STORE_UNAVAILABLE", "for the test").into());
        }
        let boards = request.into_inner().boards.into_iter();
        let has_scores = boards.map(|board| state.scored.contains(&(board.game_id, board.board_key))).collect();
        Ok(Response::new(BatchCheckScoresResponse { has_scores }))
    }
}

//! The other side of the calls to the game service: games with leaderboards, and seats in running sessions.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pkg_api::game::v1 as api;
use pkg_api::game::v1::session_internal_service_server::{SessionInternalService, SessionInternalServiceServer};
use pkg_catalog::testing::TestGames;
use pkg_middleware::AnyChannel;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// A game service. Cloning shares it. Dereferences to its catalogue.
#[derive(Clone, Default)]
pub(crate) struct Games {
    catalog: TestGames,
    seats: Arc<Mutex<Seats>>,
}

#[derive(Default)]
struct Seats {
    /// By session and player.
    taken: BTreeSet<(String, String)>,
    /// How often seats were asked for.
    asked: usize,
}

/// A board that players write to, for all time and daily, the highest value first.
pub(crate) fn board_definition(key: &str, operator: api::LeaderboardOperator) -> api::LeaderboardDefinition {
    api::LeaderboardDefinition {
        key: key.to_owned(),
        order: api::LeaderboardOrder::HighWins.into(),
        operator: operator.into(),
        periods: vec![api::LeaderboardPeriod::AllTime.into(), api::LeaderboardPeriod::Daily.into()],
        writers: api::LeaderboardWriters::Players.into(),
        rate: Some(api::SubmissionRate { count: 100_000, per: Some(prost_types::Duration { seconds: 1, nanos: 0 }) }),
        ..Default::default()
    }
}

impl Deref for Games {
    type Target = TestGames;

    fn deref(&self) -> &TestGames {
        &self.catalog
    }
}

impl Games {
    /// A channel to it that needs no token.
    pub(crate) fn channel(&self) -> AnyChannel {
        let sessions = SessionInternalServiceServer::new(self.clone());
        AnyChannel::new(Routes::new(self.catalog.server()).add_service(sessions))
    }

    /// Makes a game with these leaderboards, or its next revision.
    pub(crate) fn define(&self, game: Uuid, leaderboards: Vec<api::LeaderboardDefinition>) {
        self.catalog.define(game, api::GameDefinition { leaderboards, ..Default::default() });
    }

    /// Gives a player a seat in a running session.
    pub(crate) fn seat(&self, session: Uuid, player: Uuid) {
        self.seats().taken.insert((session.to_string(), player.to_string()));
    }

    pub(crate) fn seats_asked(&self) -> usize {
        self.seats().asked
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("nobody asks this of a session"))
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
        self.catalog.check_available()?;
        let mut seats = self.seats();
        seats.asked += 1;
        let queries = request.into_inner().queries.into_iter();
        let seated = queries.map(|query| seats.taken.contains(&(query.session_id, query.player_id))).collect();
        Ok(Response::new(api::BatchCheckSeatsResponse { seated }))
    }

    async fn batch_get_session_states(
        &self,
        _: Request<api::BatchGetSessionStatesRequest>,
    ) -> Answer<api::BatchGetSessionStatesResponse> {
        not_here()
    }
}

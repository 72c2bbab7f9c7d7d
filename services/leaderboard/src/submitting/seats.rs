//! Who has a seat in a running session: asked of the game service.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::session_internal_service_client::SessionInternalServiceClient;
use pkg_batching::Batcher;
use pkg_middleware::{AnyChannel, CallRefused};
use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::submission::SubmitError;

/// How long an answer is believed, a yes and a no.
const BELIEVED_FOR: Duration = Duration::from_secs(5);
/// How many answers are kept.
const KEPT_MAX: usize = 65_536;
/// How long the game service may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// A question: has this player a seat in this session of this game?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Seat {
    game: Uuid,
    session: Uuid,
    player: Uuid,
}

/// Knows who has a seat.
pub(super) struct Seats {
    kept: Cache<Seat, (Instant, bool)>,
    questions: Batcher<Seat, Result<bool, Unanswerable>>,
}

/// The game service does not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the game service does not say who has a seat")]
struct Unanswerable(#[source] Arc<dyn Error + Send + Sync>);

impl Seats {
    pub(super) fn new(channel: AnyChannel) -> Self {
        let questions = Batcher::spawn(move |seats: Vec<Seat>| {
            let channel = channel.clone();
            async move {
                match ask(channel, &seats).await {
                    Ok(answers) => answers.into_iter().map(Ok).collect(),
                    Err(error) => seats.iter().map(|_| Err(error.clone())).collect(),
                }
            }
        });
        Self { kept: Cache::new(KEPT_MAX), questions }
    }

    /// Whether a player has a seat in a running session of a game, as of a moment ago.
    pub(super) async fn has(&self, game: Uuid, session: Uuid, player: Uuid) -> Result<bool, SubmitError> {
        let seat = Seat { game, session, player };
        if let Some((since, answer)) = self.kept.get(&seat)
            && since.elapsed() < BELIEVED_FOR
        {
            return Ok(answer);
        }
        let asked = Instant::now();
        let answer = self.questions.call(seat).await.map_err(|error| SubmitError::Unavailable(error.into()))?;
        let answer = answer.map_err(|error| SubmitError::Unavailable(error.into()))?;
        self.kept.insert(seat, (asked, answer));
        Ok(answer)
    }
}

async fn ask(channel: AnyChannel, seats: &[Seat]) -> Result<Vec<bool>, Unanswerable> {
    let query = |seat: &Seat| api::SeatQuery {
        game_id: seat.game.to_string(),
        session_id: seat.session.to_string(),
        player_id: seat.player.to_string(),
    };
    let request = api::BatchCheckSeatsRequest { queries: seats.iter().map(query).collect() };
    let mut client = SessionInternalServiceClient::new(channel);
    let answer = timeout(ASK_TIMEOUT, client.batch_check_seats(request)).await;
    let answer = answer.map_err(|elapsed| Unanswerable(Arc::new(elapsed)))?;
    let answer = answer.map_err(|refused| Unanswerable(Arc::new(CallRefused::from(refused))))?;
    Ok(answer.into_inner().seated)
}

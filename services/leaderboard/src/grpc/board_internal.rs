//! `muster.leaderboard.v1.BoardInternalService`.

use pkg_api::leaderboard::v1::board_internal_service_server::BoardInternalService;
use pkg_api::leaderboard::v1::{BatchCheckScoresRequest, BatchCheckScoresResponse, BoardQuery};
use pkg_definition::Key;
use pkg_middleware::{Problem, chain};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::problems::store;
use crate::board::BoardId;
use crate::score_check::{ScoreCheck, ScoreCheckError};

/// How many boards one call asks for at most.
const BOARDS_MAX: usize = 1_000;

/// The handlers.
pub struct BoardInternalApi {
    scores: ScoreCheck,
}

type Answer<T> = Result<Response<T>, Status>;

impl BoardInternalApi {
    pub(crate) fn new(scores: ScoreCheck) -> Self {
        Self { scores }
    }
}

#[tonic::async_trait]
impl BoardInternalService for BoardInternalApi {
    async fn batch_check_scores(&self, request: Request<BatchCheckScoresRequest>) -> Answer<BatchCheckScoresResponse> {
        let boards = boards(&request.get_ref().boards)?;
        let has_scores = self.scores.have_scores(&boards).await?;
        Ok(Response::new(BatchCheckScoresResponse { has_scores }))
    }
}

fn boards(given: &[BoardQuery]) -> Result<Vec<BoardId>, Problem> {
    if given.is_empty() || given.len() > BOARDS_MAX {
        return Err(Problem::invalid_field("boards", format!("has 1 to {BOARDS_MAX} elements")));
    }
    let board = |(place, query): (usize, &BoardQuery)| {
        let invalid = |field: &str, problem: &str| Problem::invalid_field(format!("boards[{place}].{field}"), problem);
        let game = Uuid::try_parse(&query.game_id).map_err(|_| invalid("game_id", "is not a UUID"))?;
        let key =
            Key::parse(&query.board_key).ok_or_else(|| invalid("board_key", "is not the key of a leaderboard"))?;
        Ok(BoardId { game, key })
    };
    given.iter().enumerate().map(board).collect()
}

impl From<ScoreCheckError> for Status {
    fn from(error: ScoreCheckError) -> Self {
        match &error {
            ScoreCheckError::Behind(_) | ScoreCheckError::Slow => Problem::unavailable("SCORES_UNKNOWN", chain(&error)),
            ScoreCheckError::Read(_) => Problem::unavailable("STORE_UNAVAILABLE", chain(&error)),
            ScoreCheckError::Store(error) => store(error),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::grpc::harness::told;

    #[test]
    fn what_is_wrong_is_named() {
        let query = |game_id: &str, board_key: &str| BoardQuery {
            game_id: game_id.to_owned(),
            board_key: board_key.to_owned(),
        };
        let good = query("0198c0de-0000-7000-8000-000000000001", "points");
        assert_eq!(boards(&vec![good.clone(); BOARDS_MAX]).unwrap().len(), BOARDS_MAX);
        for (bad, field) in [
            (vec![], "boards"),
            (vec![good.clone(); BOARDS_MAX + 1], "boards"),
            (vec![good.clone(), query("?", "points")], "boards[1].game_id"),
            (vec![query(&good.game_id, "Points")], "boards[0].board_key"),
        ] {
            let (code, reason, fields) = told(&boards(&bad).unwrap_err().into());
            assert_eq!(
                (code, reason.as_str(), fields),
                (Code::InvalidArgument, "INVALID_FIELD", vec![field.to_owned()])
            );
        }
    }
}

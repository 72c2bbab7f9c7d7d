//! What is checked of a score before it is recorded.

use pkg_definition::Writers;
use uuid::Uuid;

use crate::catalog::DefinedBoard;
use crate::submission::{Actor, NewScore, SubmitError};

/// How many attributes a score has at most…
const ATTRIBUTES_MAX: usize = 16;
/// …and how large they are.
const ATTRIBUTES_BYTES: usize = 2 * 1024;

/// Whose score it is.
pub(super) fn player(score: &NewScore, actor: Actor) -> Result<Uuid, SubmitError> {
    match actor {
        Actor::Server(_) => score.player.ok_or_else(|| SubmitError::Field {
            path: "player_id",
            problem: "is required: a game server has no scores of its own".to_owned(),
        }),
        Actor::Player(own) | Actor::Admin(own) => match score.player {
            Some(other) if other != own => {
                Err(SubmitError::NotAllowed("only game servers submit scores of other players"))
            }
            _ => Ok(own),
        },
    }
}

/// What holds for every board.
pub(super) fn content(score: &NewScore) -> Result<(), SubmitError> {
    if score.attributes.len() > ATTRIBUTES_MAX || score.attributes.size() > ATTRIBUTES_BYTES {
        let problem = format!("has {ATTRIBUTES_MAX} keys and {ATTRIBUTES_BYTES} bytes at most");
        return Err(SubmitError::Field { path: "attributes", problem });
    }
    Ok(())
}

/// What the board as it is defined now says.
pub(super) fn board(board: &DefinedBoard, score: &NewScore, actor: Actor) -> Result<(), SubmitError> {
    let servers_only = board.definition.writers == Writers::Servers;
    if servers_only && !matches!(actor, Actor::Server(_)) {
        return Err(SubmitError::NotAllowed("only game servers submit scores to this leaderboard"));
    }
    if board.archived {
        return Err(SubmitError::GameArchived);
    }
    let (min, max) = (board.definition.min_value, board.definition.max_value);
    if (min..=max).contains(&score.value) { Ok(()) } else { Err(SubmitError::OutOfBounds { min, max }) }
}

/// Whether the same score may have been submitted before: what stands against it now need not have then.
pub(super) fn is_of_now(refusal: &SubmitError) -> bool {
    match refusal {
        SubmitError::GameArchived
        | SubmitError::NotAllowed(_)
        | SubmitError::SeatRequired
        | SubmitError::OutOfBounds { .. } => true,
        SubmitError::Board(_)
        | SubmitError::Field { .. }
        | SubmitError::Limited { .. }
        | SubmitError::Unknown(_)
        | SubmitError::Unavailable(_)
        | SubmitError::Store(_) => false,
    }
}

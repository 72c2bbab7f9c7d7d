//! Creating the session of a match.

use std::time::Duration;

use pkg_api::game::v1::session_internal_service_client::SessionInternalServiceClient;
use pkg_api::game::v1::{CreateMatchSessionRequest, MatchSessionTeam};
use pkg_middleware::{AnyChannel, CallRefused};

use crate::store::{Match, MatchTeam};
use crate::ticket_message;

/// How long the game service may take for one session.
const CREATE_WITHIN: Duration = Duration::from_secs(3);

/// A session was not created.
#[derive(Debug, thiserror::Error)]
pub enum NotCreated {
    /// The same may succeed later; it may also have been done.
    #[error("the session of a match cannot be created now")]
    Now(#[source] CallRefused),
    #[error("the session of a match was not created in time")]
    InTime(#[source] tokio::time::error::Elapsed),
    /// The game has as many sessions as it may: the match comes to nothing, and others may fare better later.
    #[error("the game has as many sessions as it may")]
    TooManySessions,
    /// The game, its queue or the revision of its rules is gone.
    #[error("the queue of a match is gone")]
    QueueGone(#[source] CallRefused),
    /// A defect.
    #[error("the game service does not take a match")]
    Defect(#[source] CallRefused),
}

/// Creates the session of a match, or finds it; answers with the cursor of its topic from its beginning.
pub async fn create(game: AnyChannel, made: &Match) -> Result<String, NotCreated> {
    let mut client = SessionInternalServiceClient::new(game);
    let answer = tokio::time::timeout(CREATE_WITHIN, client.create_match_session(creation(made))).await;
    let created = answer.map_err(NotCreated::InTime)?.map_err(|status| refusal(CallRefused::from(status)))?;
    Ok(created.into_inner().cursor)
}

fn refusal(refused: CallRefused) -> NotCreated {
    match (refused.code, refused.reason.as_str()) {
        (_, "TOO_MANY_SESSIONS") => NotCreated::TooManySessions,
        (_, "GAME_NOT_FOUND" | "QUEUE_NOT_FOUND" | "REVISION_NOT_FOUND") => NotCreated::QueueGone(refused),
        (_, "MATCH_DIFFERS") | ("INVALID_ARGUMENT", _) => NotCreated::Defect(refused),
        _ => NotCreated::Now(refused),
    }
}

/// The same each time: a repeated call is known by it.
fn creation(made: &Match) -> CreateMatchSessionRequest {
    CreateMatchSessionRequest {
        match_id: made.id.to_string(),
        session_id: made.session.to_string(),
        game_id: made.queue.game.to_string(),
        queue_key: made.queue.key.to_string(),
        definition_revision: made.definition_revision,
        region: ticket_message::region(made.region),
        teams: teams(&made.teams),
    }
}

/// Sessions in which everyone plays for themselves have one team without a name.
fn teams(teams: &[MatchTeam]) -> Vec<MatchSessionTeam> {
    let players = |team: &MatchTeam| team.players.iter().map(|player| player.player.to_string()).collect::<Vec<_>>();
    if teams.iter().any(|team| team.name.is_none()) {
        let player_ids = teams.iter().flat_map(players).collect();
        return vec![MatchSessionTeam { name: String::new(), player_ids }];
    }
    let named = teams.iter().map(|team| MatchSessionTeam {
        name: team.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        player_ids: players(team),
    });
    named.collect()
}

//! The records of a match in the log.

use pkg_api::game::v1::SessionEndReason;
use pkg_api::log::v1::{MatchMade, MatchMadePlayer, MatchMadeTeam, Record, SessionEnded, record};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::{Match, MatchTeam, QueueId};
use crate::ticket_message::{duration, region, timestamp};

/// The key of all records of a queue: they are in one order.
pub fn key(queue: &QueueId) -> String {
    format!("{}/{}", queue.game, queue.key)
}

/// A match was made.
pub fn match_made(made: &Match, now: OffsetDateTime) -> Record {
    let event = MatchMade {
        match_id: made.id.to_string(),
        session_id: made.session.to_string(),
        game_id: made.queue.game.to_string(),
        queue_key: made.queue.key.to_string(),
        region: region(made.region),
        teams: made.teams.iter().map(team).collect(),
        definition_revision: made.definition_revision,
        create_time: Some(timestamp(made.created)),
    };
    recorded(made.id, made, record::Event::MatchMade(event), now)
}

/// The session of a match was refused for good: it has ended before it began, with nobody in it.
pub fn never_played(made: &Match, now: OffsetDateTime) -> Record {
    let event = SessionEnded {
        session_id: made.session.to_string(),
        game_id: made.queue.game.to_string(),
        queue_key: made.queue.key.to_string(),
        match_id: made.id.to_string(),
        region: region(made.region),
        create_time: Some(timestamp(made.created)),
        end_time: Some(timestamp(now)),
        reason: SessionEndReason::Deleted.into(),
        definition_revision: made.definition_revision,
        ..SessionEnded::default()
    };
    recorded(made.session, made, record::Event::SessionEnded(event), now)
}

fn recorded(record_id: Uuid, made: &Match, event: record::Event, now: OffsetDateTime) -> Record {
    Record {
        record_id: record_id.to_string(),
        time: Some(timestamp(now)),
        key: key(&made.queue),
        request_id: String::new(),
        event: Some(event),
    }
}

fn team(team: &MatchTeam) -> MatchMadeTeam {
    let players = team.players.iter().map(|player| MatchMadePlayer {
        player_id: player.player.to_string(),
        ticket_id: player.ticket.to_string(),
        wait: Some(duration(player.wait)),
    });
    MatchMadeTeam {
        name: team.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        players: players.collect(),
        win_probability: team.win_probability,
    }
}

//! The record of a match in the log.

use pkg_api::log::v1::{MatchMade, MatchMadePlayer, MatchMadeTeam, Record, record};
use time::OffsetDateTime;

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
    Record {
        record_id: made.id.to_string(),
        time: Some(timestamp(now)),
        key: key(&made.queue),
        request_id: String::new(),
        event: Some(record::Event::MatchMade(event)),
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

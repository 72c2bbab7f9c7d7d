//! How a match is written into a database: as the record that the log has of it.

use pkg_api::game::v1 as game;
use pkg_api::log::v1::{MatchMade, MatchMadePlayer, MatchMadeTeam};
use pkg_db::{from_millis, to_millis};
use pkg_definition::{Key, Region, TeamName};
use prost::Message;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

use super::matches::{Match, MatchPlayer, MatchTeam};
use super::{QueueId, StoreError};

impl Match {
    /// The record of it in the log.
    #[must_use]
    pub fn to_log(&self) -> MatchMade {
        MatchMade {
            match_id: self.id.to_string(),
            session_id: self.session.to_string(),
            game_id: self.queue.game.to_string(),
            queue_key: self.queue.key.to_string(),
            region: game::Region::from(self.region).into(),
            teams: self.teams.iter().map(team_to_log).collect(),
            definition_revision: self.definition_revision,
            create_time: Some(to_timestamp(self.created)),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.to_log().encode_to_vec()
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, StoreError> {
        let body = MatchMade::decode(body).map_err(StoreError::broken)?;
        read(&body).ok_or_else(|| StoreError::broken("a match is damaged"))
    }
}

fn team_to_log(team: &MatchTeam) -> MatchMadeTeam {
    let player = |it: &MatchPlayer| MatchMadePlayer {
        player_id: it.player.to_string(),
        ticket_id: it.ticket.to_string(),
        wait: prost_types::Duration::try_from(it.wait).ok(),
    };
    MatchMadeTeam {
        name: team.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        players: team.players.iter().map(player).collect(),
        win_probability: team.win_probability,
    }
}

fn read(body: &MatchMade) -> Option<Match> {
    Some(Match {
        id: Uuid::try_parse(&body.match_id).ok()?,
        queue: QueueId { game: Uuid::try_parse(&body.game_id).ok()?, key: Key::parse(&body.queue_key)? },
        session: Uuid::try_parse(&body.session_id).ok()?,
        region: Region::from_api(body.region())?,
        teams: body.teams.iter().map(read_team).collect::<Option<_>>()?,
        definition_revision: body.definition_revision,
        created: from_timestamp(body.create_time?)?,
    })
}

fn read_team(body: &MatchMadeTeam) -> Option<MatchTeam> {
    let name = if body.name.is_empty() { None } else { Some(TeamName::parse(&body.name)?) };
    let player = |it: &MatchMadePlayer| {
        Some(MatchPlayer {
            player: Uuid::try_parse(&it.player_id).ok()?,
            ticket: Uuid::try_parse(&it.ticket_id).ok()?,
            wait: Duration::try_from(it.wait.unwrap_or_default()).ok()?,
        })
    };
    let players = body.players.iter().map(player).collect::<Option<_>>()?;
    Some(MatchTeam { name, players, win_probability: body.win_probability })
}

fn to_timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    let nanos = i32::from(time.millisecond()) * 1_000_000;
    prost_types::Timestamp { seconds: time.unix_timestamp(), nanos }
}

fn from_timestamp(time: prost_types::Timestamp) -> Option<OffsetDateTime> {
    let seconds = OffsetDateTime::from_unix_timestamp(time.seconds).ok()?;
    Some(from_millis(to_millis(seconds) + i64::from(time.nanos / 1_000_000)))
}

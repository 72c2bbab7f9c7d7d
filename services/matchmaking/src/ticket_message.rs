//! Tickets and matches as messages of the API.

use std::time::Duration;

use bytes::Bytes;
use pkg_api::game::v1 as game_api;
use pkg_api::matchmaking::v1 as api;
use pkg_definition::Region;
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::matcher::{Unmet, UnmetRule};
use crate::store::{EndReason, RecordedMatch, Stored, TicketStatus};
use crate::ticket::Player;

/// Beyond this, a count of tickets or players is told as this.
const COUNT_MAX: i32 = i32::MAX;

/// A ticket without its match, its estimates, and the revision of its rules.
pub fn ticket(stored: &Stored) -> api::Ticket {
    let (status, end_reason) = status(stored.status);
    api::Ticket {
        ticket_id: stored.ticket.id.to_string(),
        game_id: stored.queue.game.to_string(),
        queue_key: stored.queue.key.to_string(),
        players: stored.ticket.players.iter().map(player).collect(),
        regions: stored.ticket.regions.iter().map(region).collect(),
        status: status.into(),
        end_reason: end_reason.into(),
        create_time: Some(timestamp(stored.ticket.created)),
        expire_time: Some(timestamp(stored.expires)),
        end_time: stored.ended_at.map(timestamp),
        ..api::Ticket::default()
    }
}

/// A match, with the cursor of its session's topic if that is there.
pub fn match_found(found: &RecordedMatch) -> api::Match {
    let made = &found.made;
    let teams = made.teams.iter().map(|team| api::MatchTeam {
        name: team.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        player_ids: team.players.iter().map(|player| player.player.to_string()).collect(),
        win_probability: team.win_probability,
    });
    api::Match {
        match_id: made.id.to_string(),
        game_id: made.queue.game.to_string(),
        queue_key: made.queue.key.to_string(),
        session_id: made.session.to_string(),
        region: region(made.region),
        teams: teams.collect(),
        create_time: Some(timestamp(made.created)),
        session_cursor: found.session_cursor.clone().unwrap_or_default(),
    }
}

/// The id of the news that a ticket has this final status: the same, whoever tells of it. It is one of its player's topic.
pub fn end_news_id(ticket: Uuid, status: api::TicketStatus) -> Uuid {
    // The lowest bits of a UUIDv7 are random: with others it still is one.
    Uuid::from_u128(ticket.as_u128() ^ u128::from((status as i32).unsigned_abs()))
}

/// Why a ticket is not matched yet, as [`crate::store::TicketStore::explain`] keeps it.
pub fn write_unmet(unmet: &[Unmet]) -> Bytes {
    let unmet_rules = unmet.iter().map(unmet_rule).collect();
    api::Ticket { unmet_rules, ..api::Ticket::default() }.encode_to_vec().into()
}

/// What [`write_unmet`] wrote; nothing if another version wrote it.
pub fn read_unmet(why: &Bytes) -> Vec<api::UnmetRule> {
    api::Ticket::decode(why.clone()).map(|ticket| ticket.unmet_rules).unwrap_or_default()
}

fn unmet_rule(unmet: &Unmet) -> api::UnmetRule {
    let (rule, property) = match &unmet.rule {
        UnmetRule::PlayerCount => (api::MatchRule::PlayerCount, ""),
        UnmetRule::Rating => (api::MatchRule::Rating, ""),
        UnmetRule::Region => (api::MatchRule::Region, ""),
        UnmetRule::Latency => (api::MatchRule::Latency, ""),
        UnmetRule::Balance => (api::MatchRule::Balance, ""),
        UnmetRule::Property(property) => (api::MatchRule::Property, property.as_str()),
    };
    api::UnmetRule {
        rule: rule.into(),
        property: property.to_owned(),
        count: i32::try_from(unmet.count).unwrap_or(COUNT_MAX),
        limit: unmet.limit,
        relaxed_time: unmet.relaxed.map(timestamp),
    }
}

pub fn status(status: TicketStatus) -> (api::TicketStatus, api::TicketEndReason) {
    let reason = match status {
        TicketStatus::Queued => return (api::TicketStatus::Queued, api::TicketEndReason::Unspecified),
        TicketStatus::Matching(_) => return (api::TicketStatus::Matching, api::TicketEndReason::Unspecified),
        TicketStatus::Matched(_) => return (api::TicketStatus::Matched, api::TicketEndReason::Unspecified),
        TicketStatus::Ended(reason) => reason,
    };
    match reason {
        EndReason::Cancelled => (api::TicketStatus::Cancelled, api::TicketEndReason::Cancelled),
        EndReason::WaitedTooLong => (api::TicketStatus::Expired, api::TicketEndReason::WaitedTooLong),
        EndReason::PlayerGone => (api::TicketStatus::Expired, api::TicketEndReason::PlayerGone),
        EndReason::AlreadyInMatch => (api::TicketStatus::Refused, api::TicketEndReason::AlreadyInMatch),
        EndReason::QueueClosed => (api::TicketStatus::Refused, api::TicketEndReason::QueueClosed),
        EndReason::RulesChanged => (api::TicketStatus::Refused, api::TicketEndReason::RulesChanged),
        EndReason::AccountGone => (api::TicketStatus::Refused, api::TicketEndReason::AccountGone),
    }
}

fn player(player: &Player) -> api::TicketPlayer {
    let latencies = Region::ALL.into_iter().filter_map(|to| {
        let latency = duration(player.latencies.get(to)?);
        Some(api::RegionLatency { region: region(to), latency: Some(latency) })
    });
    api::TicketPlayer {
        player_id: player.id.to_string(),
        latencies: latencies.collect(),
        properties: player.properties.to_api(),
    }
}

pub fn region(region: Region) -> i32 {
    game_api::Region::from(region).into()
}

pub fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.nanosecond()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.unix_timestamp(), nanos }
}

pub fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

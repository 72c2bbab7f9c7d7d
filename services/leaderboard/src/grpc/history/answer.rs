//! What answers are made of.

use std::time::Duration;

use pkg_api::game::v1::PlayerResult;
use pkg_api::leaderboard::v1 as api;
use pkg_definition::Key;
use prost::Message;
use uuid::Uuid;

use super::parse::{player_match_token, result_token};
use crate::match_reading::PlayerStats;
use crate::message::timestamp;
use crate::store::{
    MatchOutcome, PlayerMatch, PlayerMatchPlace, QueueStats, ResultPlace, SessionResult, StoreError, StoredMatch,
};

/// A page ends early before it becomes larger: a message may have 1 MiB.
const PAGE_BYTES: usize = 512 * 1024;

/// A page of those that were found, one more than a page has at most: then there is another one.
pub(super) fn player_matches(found: &[PlayerMatch], size: usize) -> Result<api::ListPlayerMatchesResponse, StoreError> {
    let place =
        |of: &PlayerMatch| PlayerMatchPlace { ended_ms: pkg_db::to_millis(of.found.ended), session: of.found.session };
    let (matches, next) = page(found, size, player_match)?;
    let next_page_token = next.map(|last| player_match_token(place(last))).unwrap_or_default();
    Ok(api::ListPlayerMatchesResponse { matches, next_page_token })
}

/// As [`player_matches`].
pub(super) fn session_results(
    found: &[SessionResult],
    size: usize,
) -> Result<api::ListSessionResultsResponse, StoreError> {
    let place = |of: &SessionResult| ResultPlace { placement: of.placement, number: of.number };
    let (results, next) = page(found, size, session_result)?;
    let next_page_token = next.map(|last| result_token(place(last))).unwrap_or_default();
    Ok(api::ListSessionResultsResponse { results, next_page_token })
}

/// As many as fit, one at least; and the last of them, if there are more.
fn page<T, M: Message>(
    found: &[T],
    size: usize,
    message: impl Fn(&T) -> Result<M, StoreError>,
) -> Result<(Vec<M>, Option<&T>), StoreError> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for one in found.iter().take(size) {
        let message = message(one)?;
        bytes += message.encoded_len();
        if bytes > PAGE_BYTES && !messages.is_empty() {
            break;
        }
        messages.push(message);
    }
    let more = messages.len() < found.len();
    let last = messages.len().checked_sub(1).filter(|_| more).map(|last| &found[last]);
    Ok((messages, last))
}

fn player_match(of: &PlayerMatch) -> Result<api::PlayerMatch, StoreError> {
    Ok(api::PlayerMatch {
        r#match: Some(match_record(&of.found)?),
        result: Some(result(&of.result)?),
        outcome: outcome(of.result.outcome).into(),
    })
}

fn session_result(of: &SessionResult) -> Result<api::SessionResult, StoreError> {
    Ok(api::SessionResult { result: Some(result(of)?), outcome: outcome(of.outcome).into() })
}

/// The match, with what was kept of it beside the columns.
pub(super) fn match_record(found: &StoredMatch) -> Result<api::MatchRecord, StoreError> {
    let kept = api::MatchRecord::decode(&*found.body).map_err(StoreError::broken)?;
    Ok(api::MatchRecord {
        session_id: found.session.to_string(),
        game_id: found.game.to_string(),
        queue_key: key(found.queue.as_ref()),
        end_time: Some(timestamp(found.ended)),
        player_count: i32::try_from(found.player_count).unwrap_or(i32::MAX),
        ..kept
    })
}

fn result(of: &SessionResult) -> Result<PlayerResult, StoreError> {
    let kept = PlayerResult::decode(&*of.body).map_err(StoreError::broken)?;
    Ok(PlayerResult {
        player_id: of.player.map(|player| player.to_string()).unwrap_or_default(),
        placement: of.placement,
        left_early: of.left_early,
        ..kept
    })
}

fn outcome(outcome: MatchOutcome) -> api::MatchOutcome {
    match outcome {
        MatchOutcome::Won => api::MatchOutcome::Won,
        MatchOutcome::Lost => api::MatchOutcome::Lost,
        MatchOutcome::Drawn => api::MatchOutcome::Drawn,
    }
}

pub(super) fn player_stats(game: Uuid, player: Uuid, stats: &PlayerStats) -> api::GetPlayerStatsResponse {
    let nothing = || api::PlayerStats { play_time: Some(duration(Duration::ZERO)), ..api::PlayerStats::default() };
    api::GetPlayerStatsResponse {
        game_id: game.to_string(),
        player_id: player.to_string(),
        total: Some(stats.total.as_ref().map_or_else(nothing, queue_stats)),
        queues: stats.queues.iter().map(queue_stats).collect(),
    }
}

fn queue_stats(stats: &QueueStats) -> api::PlayerStats {
    api::PlayerStats {
        queue_key: key(stats.queue.as_ref()),
        game_count: stats.games,
        win_count: stats.wins,
        loss_count: stats.losses,
        draw_count: stats.draws,
        left_early_count: stats.left_early,
        play_time: Some(duration(stats.play_time)),
        last_end_time: Some(timestamp(stats.last_ended)),
    }
}

fn key(key: Option<&Key>) -> String {
    key.map(ToString::to_string).unwrap_or_default()
}

/// No play time comes near what a message can say.
fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span).unwrap_or_default()
}

//! What a record says of a session that has ended.

use std::time::Duration;

use bytes::Bytes;
use pkg_api::game::v1 as game_api;
use pkg_api::leaderboard::v1::MatchRecord;
use pkg_api::log::v1::{SessionEnded, record};
use pkg_definition::Key;
use pkg_log::Entry;
use prost::Message;
use prost_types::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::{FinishedMatch, MatchOutcome, MatchResult};

/// The first place.
const FIRST: i32 = 1;

/// The game service has checked all that it records: a defect, there or here.
#[derive(Debug, thiserror::Error)]
#[error("the end of a session is not understood")]
pub(super) struct NotUnderstood;

/// The end of a session that a record tells of; `None` if it tells of something else.
pub(super) fn told(entry: &Entry) -> Option<Result<FinishedMatch, NotUnderstood>> {
    let record = entry.record.as_ref().ok()?;
    let Some(record::Event::SessionEnded(ended)) = &record.event else { return None };
    Some(finished(ended, entry.time).ok_or(NotUnderstood))
}

fn finished(ended: &SessionEnded, recorded: OffsetDateTime) -> Option<FinishedMatch> {
    let queue = match ended.queue_key.as_str() {
        "" => None,
        key => Some(Key::parse(key)?),
    };
    let results = ended.results.as_ref().map_or(&[][..], |results| &results.players);
    // As a whole or not at all: without one of its results it would be another match.
    let results = results.iter().map(|result| self::result(result, results)).collect::<Option<_>>()?;
    Some(FinishedMatch {
        session: id(&ended.session_id)?,
        game: id(&ended.game_id)?,
        queue,
        ended: ended.end_time.as_ref().and_then(time).unwrap_or(recorded),
        play_time: play_time(ended),
        body: body(ended),
        results,
    })
}

fn result(given: &game_api::PlayerResult, all: &[game_api::PlayerResult]) -> Option<MatchResult> {
    let body = game_api::PlayerResult {
        // The columns say these, and the body must not name the player.
        player_id: String::new(),
        placement: 0,
        left_early: false,
        ..given.clone()
    };
    Some(MatchResult {
        player: id(&given.player_id)?,
        placement: Some(given.placement).filter(|placement| *placement >= FIRST)?,
        outcome: outcome(given, all),
        left_early: given.left_early,
        body: body.encode_to_vec().into(),
    })
}

fn outcome(given: &game_api::PlayerResult, all: &[game_api::PlayerResult]) -> MatchOutcome {
    if given.placement != FIRST {
        MatchOutcome::Lost
    } else if all.iter().all(|result| result.placement == FIRST) {
        MatchOutcome::Drawn
    } else {
        MatchOutcome::Won
    }
}

/// How long it was played, pauses not counted; zero if it was never started.
fn play_time(ended: &SessionEnded) -> Duration {
    let start = ended.start_time.as_ref().and_then(time);
    let span = start.zip(ended.end_time.as_ref().and_then(time)).map(|(start, end)| end - start);
    let span = span.and_then(|span| Duration::try_from(span).ok()).unwrap_or_default();
    let paused = ended.paused_duration.and_then(|paused| Duration::try_from(paused).ok()).unwrap_or_default();
    span.saturating_sub(paused)
}

/// What is shown of it beside what the columns say.
fn body(ended: &SessionEnded) -> Bytes {
    let record = MatchRecord {
        match_id: ended.match_id.clone(),
        region: ended.region,
        start_time: ended.start_time,
        end_reason: ended.reason,
        attributes: ended.results.as_ref().map(|results| results.attributes.clone()).unwrap_or_default(),
        ..MatchRecord::default()
    };
    record.encode_to_vec().into()
}

fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

/// To the millisecond, as it is kept.
fn time(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = i128::from(timestamp.seconds) * 1_000_000_000 + i128::from(timestamp.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().map(OffsetDateTime::truncate_to_millisecond)
}

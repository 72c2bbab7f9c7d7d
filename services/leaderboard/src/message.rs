//! Boards and submissions as messages of the API.

use pkg_api::game::v1::LeaderboardPeriod;
use pkg_api::leaderboard::v1 as api;
use pkg_db::from_millis;
use pkg_definition::Period;
use time::OffsetDateTime;

use crate::attributes;
use crate::board::{BoardId, BoardRules, PeriodId, PeriodSpan, Refusal, Standing};
use crate::position;
use crate::store::{BoardView, Ranked, ScoreRow};
use crate::submission::{Pending, State, Submission};

/// A part of a board of which at most so many entries are shown; `None` for a board without records.
pub fn view(board: &BoardId, span: &PeriodSpan, seen: Option<&BoardView>, most: usize) -> api::BoardView {
    let Some(seen) = seen else {
        return api::BoardView { period: Some(period_span(span)), ..api::BoardView::default() };
    };
    api::BoardView {
        period: Some(period_span(span)),
        entries: seen.entries.iter().take(most).map(entry).collect(),
        total_count: count(seen.total),
        position: position::encode(board, seen.mark.offset),
    }
}

pub fn entry(ranked: &Ranked) -> api::Entry {
    api::Entry {
        player_id: ranked.player.to_string(),
        rank: count(ranked.rank),
        value: ranked.entry.value,
        record_time: Some(timestamp(ranked.detail.time)),
        attributes: attributes::read(&ranked.detail.attributes),
    }
}

/// A submission. The rules of its board say when its periods end.
pub fn submission(submission: &Submission, rules: Option<&BoardRules>) -> api::Submission {
    let board = &submission.board;
    match &submission.state {
        State::Pending(pending) => self::pending(board, pending),
        State::Differs(pending) => api::Submission {
            status: api::SubmissionStatus::Refused.into(),
            refusal: api::SubmissionRefusal::SubmissionDiffers.into(),
            ..self::pending(board, pending)
        },
        State::Applied { row, ranks } => applied(board, row, ranks, rules),
    }
}

/// A submission that was applied, with the ranks of its player, one for each of the row's standings or none.
pub fn applied(board: &BoardId, row: &ScoreRow, ranks: &[Option<u64>], rules: Option<&BoardRules>) -> api::Submission {
    let (status, refusal) = match row.refusal {
        None => (api::SubmissionStatus::Accepted, api::SubmissionRefusal::Unspecified),
        Some(refusal) => (api::SubmissionStatus::Refused, self::refusal(refusal)),
    };
    let ranks = ranks.iter().copied().chain(std::iter::repeat(None));
    let outcomes = row.standings.0.iter().filter(|_| row.refusal.is_none()).zip(ranks);
    api::Submission {
        submission_id: row.submission.to_string(),
        game_id: board.game.to_string(),
        board_key: board.key.to_string(),
        player_id: row.player.to_string(),
        value: row.value,
        session_id: row.session.map(|session| session.to_string()).unwrap_or_default(),
        attributes: attributes::read(&row.attributes),
        status: status.into(),
        refusal: refusal.into(),
        position: position::encode(board, row.offset),
        record_time: Some(timestamp(row.time)),
        outcomes: outcomes.map(|(standing, rank)| outcome(standing, rank, rules)).collect(),
    }
}

fn pending(board: &BoardId, pending: &Pending) -> api::Submission {
    let Pending { score, offset, time } = pending;
    api::Submission {
        submission_id: score.submission.to_string(),
        game_id: board.game.to_string(),
        board_key: board.key.to_string(),
        player_id: score.player.map(|player| player.to_string()).unwrap_or_default(),
        value: score.value,
        session_id: score.session.map(|session| session.to_string()).unwrap_or_default(),
        attributes: score.attributes.to_api(),
        status: api::SubmissionStatus::Pending.into(),
        position: position::encode(board, *offset),
        record_time: Some(timestamp(*time)),
        ..api::Submission::default()
    }
}

fn refusal(refusal: Refusal) -> api::SubmissionRefusal {
    match refusal {
        Refusal::SumOverflow => api::SubmissionRefusal::SumOverflow,
        Refusal::BoardChanged => api::SubmissionRefusal::BoardChanged,
        Refusal::AccountGone => api::SubmissionRefusal::AccountGone,
    }
}

fn outcome(standing: &Standing, rank: Option<u64>, rules: Option<&BoardRules>) -> api::PeriodOutcome {
    let Standing { period: PeriodId { kind, start_ms }, entry, previous } = *standing;
    let end = rules.and_then(|rules| rules.calendar.period(kind, from_millis(start_ms)).end_ms);
    let span = PeriodSpan { id: standing.period, end_ms: end };
    api::PeriodOutcome {
        period: Some(period_span(&span)),
        previous_value: previous,
        new_value: entry.value,
        rank: rank.map(count),
    }
}

pub fn period_span(span: &PeriodSpan) -> api::PeriodSpan {
    api::PeriodSpan {
        kind: period(span.id.kind).into(),
        start_time: span.start().map(timestamp),
        end_time: span.end().map(timestamp),
    }
}

pub fn period(period: Period) -> LeaderboardPeriod {
    match period {
        Period::AllTime => LeaderboardPeriod::AllTime,
        Period::Daily => LeaderboardPeriod::Daily,
        Period::Weekly => LeaderboardPeriod::Weekly,
        Period::Monthly => LeaderboardPeriod::Monthly,
    }
}

pub fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.nanosecond()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.unix_timestamp(), nanos }
}

pub fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

//! What answers are made of.

use pkg_api::leaderboard::v1 as api;

use super::page_token;
use crate::board::PeriodSpan;
use crate::message;
use crate::reading::{EntriesPage, EntryFound, HistoryPage, View};
use crate::store::ScoreRow;

/// A view of which at most so many entries are shown.
pub fn view(view: &View, most: usize) -> api::BoardView {
    message::view(&view.board.id, &view.span, view.seen.as_deref(), most)
}

pub fn entries(page: &EntriesPage) -> api::ListEntriesResponse {
    let board = &page.view.board.id;
    api::ListEntriesResponse {
        view: Some(view(&page.view, usize::MAX)),
        next_page_token: page.next.as_ref().map(|next| page_token::of_entry(board, next)).unwrap_or_default(),
    }
}

pub fn entry(found: &EntryFound) -> api::GetEntryResponse {
    api::GetEntryResponse {
        entry: Some(message::entry(&found.ranked)),
        period: Some(message::period_span(&found.span)),
        total_count: message::count(found.total),
        percentile: found.percentile(),
    }
}

pub fn player_scores(page: &HistoryPage<ScoreRow>) -> api::ListPlayerScoresResponse {
    let board = &page.board;
    let last = page.rows.last().filter(|_| page.more);
    api::ListPlayerScoresResponse {
        submissions: page.rows.iter().map(|row| message::applied(&board.id, row, &[], Some(&board.rules))).collect(),
        next_page_token: last.map(|last| page_token::of_number(&board.id, last.offset)).unwrap_or_default(),
    }
}

pub fn periods(page: &HistoryPage<PeriodSpan>) -> api::ListPeriodsResponse {
    let last = page.rows.last().filter(|_| page.more);
    api::ListPeriodsResponse {
        periods: page.rows.iter().map(message::period_span).collect(),
        next_page_token: last.map(|last| page_token::of_number(&page.board.id, last.id.start_ms)).unwrap_or_default(),
    }
}

//! The edge of the service: requests are parsed, the domain is called, its results are mapped.

mod answer;
mod board_internal;
#[cfg(test)]
pub(crate) mod harness;
mod history;
mod leaderboard;
mod page_token;
mod parse;
mod problems;
mod watching;

pub use board_internal::BoardInternalApi;
pub use history::HistoryApi;
pub use leaderboard::LeaderboardApi;

//! Scores that count exactly once, leaderboards, and the history of matches.
//!
//! A score is durable in the log before anything else. From there it goes to the history ([`store::HistoryStore`], the
//! truth that everything else can be made of again) and to the boards ([`store::BoardStore`], made for reading ranks).
//! [`board`] says what a score means and [`reckoning`] what follows from records: pure, without reading or writing anything.

pub mod board;
pub mod rebuild;
pub mod reckoning;
pub mod store;

//! The ports of the leaderboard service, in its own words, and the contracts that their adapters keep.
//!
//! The history is the truth: Postgres or `SQLite` ([`HistoryStore`], [`MatchStore`], [`ErasureStore`], [`Positions`], all
//! in one database). Boards ([`BoardStore`], Redis or memory) are made of it and can be made of it again.
//!
//! # How a score gets from the log to its board
//!
//! One worker has the partition of a board. For the records of a board behind its [`Head`]:
//!
//! 1. what is not known yet of players and submissions is looked up ([`HistoryStore::look_up`]), and the scores are counted
//!    ([`crate::reckoning::reckon`]);
//! 2. [`HistoryStore::append`] moves the board's head from where it was to the last record, over repeated and refused ones
//!    as well, and writes the rows, in one statement; [`Appended::Stale`] means: somebody else was there, begin again at 1;
//! 3. [`BoardStore::apply`] moves the board from the same mark to the same mark, or says where the board is instead;
//! 4. [`Positions::advance`], last.
//!
//! Records up to the head are repetitions: they change nothing, and their rows say what came of them.

mod boards;
#[cfg(test)]
mod boards_contract;
mod boards_memory;
mod boards_redis;
mod erasures;
mod history;
#[cfg(test)]
mod history_contract;
mod history_sql;
mod matches;
#[cfg(test)]
mod matches_contract;
mod matches_sql;
mod positions;
#[cfg(test)]
pub(crate) mod testing;

pub use pkg_log::Positions;
pub use pkg_store::StoreError;

#[cfg(test)]
pub use boards::ENTRIES_MAX;
pub use boards::{
    Applied, Begun, BoardStep, BoardStore, BoardView, Change, Detail, Filled, Finished, Mark, NewEntry, PeriodChanges,
    PeriodOutcome, Place, Ranked, Read, Rebuild, Removed,
};
pub use boards_memory::MemoryBoards;
pub use boards_redis::RedisBoards;
pub use erasures::{Erasure, ErasureStore, SqlErasures};
pub use history::{
    Appended, BeginningPeriod, Head, HistoryStep, HistoryStore, Known, RecordedPeriod, Replayed, ScoreRow, Wanted,
};
pub use history_sql::SqlHistory;
pub use matches::{
    FinishedMatch, MatchOutcome, MatchResult, MatchStore, MatchesApplied, MatchesStep, PlayerMatch, PlayerMatchPlace,
    QueueStats, ResultPlace, SessionResult, StoredMatch,
};
pub use matches_sql::SqlMatches;
pub use positions::SqlPositions;

/// A limit as SQL takes it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

//! The ports of the matchmaking service, in its own words, and the contracts that their adapters keep.
//!
//! Tickets and claims are in Redis or memory: [`TicketStore`]. They are only speed: what decides who is in which match is
//! the unique open seat of [`MatchStore`], in Postgres or SQLite, beside [`RatingStore`] and [`LeaseStore`].

mod leases;
#[cfg(test)]
mod leases_contract;
mod leases_sql;
mod match_body;
mod matches;
#[cfg(test)]
mod matches_contract;
mod matches_sql;
mod positions;
mod ratings;
#[cfg(test)]
mod ratings_contract;
mod ratings_sql;
#[cfg(test)]
pub(crate) mod testing;
mod ticket_body;
mod ticket_news;
mod tickets;
#[cfg(test)]
mod tickets_contract;
mod tickets_memory;
mod tickets_redis;

use pkg_definition::Key;
pub use pkg_store::StoreError;
use time::OffsetDateTime;
use uuid::Uuid;

pub use leases::{Lease, LeaseStore};
pub use leases_sql::SqlLeases;
pub use matches::{
    Aborted, Dispatched, Match, MatchPlayer, MatchState, MatchStore, MatchTeam, OpenSeat, RecentWaits, Recorded,
    RecordedMatch, SeatHolder, SeatRelease,
};
pub use matches_sql::SqlMatches;
pub use positions::SqlPositions;
pub use ratings::{Applied, RatingChange, RatingPlace, RatingStore, Results, Seeded, StoredRating};
pub use ratings_sql::SqlRatings;
// Tests alone give it a name.
#[cfg(test)]
pub use tickets::MadeClaim;
pub use tickets::{
    Acknowledgement, Arrival, ArrivalNumber, Claim, Claimed, Created, EndOutcome, EndReason, Explanation, Fenced,
    GiveBack, NewTicket, News, Sign, Signed, Stored, TicketStatus, TicketStore,
};
pub use tickets_memory::MemoryTickets;
pub use tickets_redis::RedisTickets;

/// A queue of a game.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId {
    /// The game.
    pub game: Uuid,
    /// Its name within the game.
    pub key: Key,
}

/// Not above any `UUIDv7` that is made at this time or later, and above all that were made before its millisecond.
pub(crate) fn least_id(time: OffsetDateTime) -> Uuid {
    Uuid::from_u128(u128::try_from(pkg_db::to_millis(time)).unwrap_or(0) << 80)
}

/// A limit as SQL takes it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

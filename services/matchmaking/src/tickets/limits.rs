//! How much a player may ask of this replica.

use std::num::NonZeroU32;
use std::time::Duration;

use pkg_middleware::{KeyedLimiter, Quota};
use uuid::Uuid;

use super::Actor;

/// How many tickets a player may create or cancel in a minute: someone who cannot decide, but no flood of the queues…
const CHANGES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// …and how many at once.
const CHANGES_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// How many other calls a player may make in a second: a client that polls for several things, but no scan of them…
const READS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// …and how many at once.
const READS_AT_ONCE: NonZeroU32 = NonZeroU32::new(60).expect("not zero");

/// Counts calls of players. Game servers and admins have no limits here.
pub struct Limits {
    changes: KeyedLimiter<Uuid>,
    reads: KeyedLimiter<Uuid>,
}

impl Limits {
    pub fn new() -> Self {
        Self {
            changes: KeyedLimiter::new(Quota::per_minute(CHANGES_PER_MINUTE, CHANGES_AT_ONCE)),
            reads: KeyedLimiter::new(Quota::per_second(READS_PER_SECOND, READS_AT_ONCE)),
        }
    }

    /// Counts a ticket that is created or cancelled. The error is how long to wait.
    pub fn change(&self, by: Actor) -> Result<(), Duration> {
        count(&self.changes, by)
    }

    /// Counts any other call. The error is how long to wait.
    pub fn read(&self, by: Actor) -> Result<(), Duration> {
        count(&self.reads, by)
    }
}

fn count(limiter: &KeyedLimiter<Uuid>, by: Actor) -> Result<(), Duration> {
    match by {
        Actor::Player(player) => limiter.check(&player),
        Actor::Server(_) | Actor::Admin(_) => Ok(()),
    }
}

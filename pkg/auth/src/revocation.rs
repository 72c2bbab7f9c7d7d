//! Revoked sessions: what each replica remembers, and the store that the replicas share.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::token::{LEEWAY, MAX_LIFETIME};

/// How long a revocation is kept: longer than any token that it concerns can be accepted.
pub const REVOCATION_RETENTION: Duration = Duration::from_mins(16);

// A token may be dated by a clock that is ahead by the leeway, and is accepted for the leeway after its end.
const _: () = assert!(REVOCATION_RETENTION.as_secs() > MAX_LIFETIME.as_secs() + 2 * LEEWAY.as_secs());

/// A session whose tokens are no longer accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// The session.
    pub session: Uuid,
    /// When it was revoked, by the store's clock.
    pub at: OffsetDateTime,
}

/// The revocations that a replica knows of, in order of time. Its memory is bounded by the time that is kept.
#[derive(Debug, Clone, Default)]
pub struct RevocationSet {
    latest: HashMap<Uuid, OffsetDateTime>,
    by_time: BTreeSet<(OffsetDateTime, Uuid)>,
}

impl RevocationSet {
    /// Whether the session is revoked.
    #[must_use]
    pub fn contains(&self, session: Uuid) -> bool {
        self.latest.contains_key(&session)
    }

    /// Remembers a revocation and tells whether the session was not in the set yet. Of two revocations of one session
    /// the later one counts.
    pub fn insert(&mut self, revocation: Revocation) -> bool {
        let Revocation { session, at } = revocation;
        let known = self.latest.get(&session).copied();
        match known {
            Some(known) if known >= at => return false,
            Some(known) => self.by_time.remove(&(known, session)),
            None => false,
        };
        self.latest.insert(session, at);
        self.by_time.insert((at, session));
        known.is_none()
    }

    /// Forgets every revocation from before `time`.
    pub fn forget_before(&mut self, time: OffsetDateTime) {
        let kept = self.by_time.split_off(&(time, Uuid::nil()));
        for (_, session) in std::mem::replace(&mut self.by_time, kept) {
            self.latest.remove(&session);
        }
    }

    /// How many sessions are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.latest.len()
    }

    /// Whether no session is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }
}

/// The store of revocations that all replicas write to and read from. It keeps them for [`REVOCATION_RETENTION`].
#[async_trait]
pub trait Revocations: Send + Sync {
    /// Revokes sessions at `now`, or at the store's own time if it keeps one. When it returns, the revocations are
    /// durable and every later [`Self::since`] of any replica shows them. Revoking a session again is no error.
    ///
    /// The store's time never goes back, whatever `now` is: a reader that goes on from the last [`Revocation::at`] that
    /// it has seen misses nothing.
    async fn append(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), RevocationsUnavailable>;

    /// The revocations at or after `from`, in the store's own order of time.
    async fn since(&self, from: OffsetDateTime) -> Result<Vec<Revocation>, RevocationsUnavailable>;
}

/// The store of revocations did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store of revocations is unavailable")]
pub struct RevocationsUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second)
    }

    fn revocation(session: u128, second: i64) -> Revocation {
        Revocation { session: Uuid::from_u128(session), at: at(second) }
    }

    #[test]
    fn a_revocation_is_new_once() {
        let mut set = RevocationSet::default();
        assert!(set.insert(revocation(1, 10)));
        assert!(!set.insert(revocation(1, 10)));
        assert!(!set.insert(revocation(1, 20)));
        assert!(set.contains(Uuid::from_u128(1)));
        assert!(!set.contains(Uuid::from_u128(2)));
    }

    #[test]
    fn what_is_before_the_limit_is_forgotten_and_the_limit_itself_is_kept() {
        let mut set = RevocationSet::default();
        set.insert(revocation(1, 9));
        set.insert(revocation(0, 10));
        set.insert(revocation(3, 11));
        set.forget_before(at(10));
        assert!(!set.contains(Uuid::from_u128(1)));
        assert!(set.contains(Uuid::from_u128(0)));
        assert!(set.contains(Uuid::from_u128(3)));
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn a_later_revocation_of_a_session_keeps_it_longer_and_an_earlier_one_changes_nothing() {
        let mut set = RevocationSet::default();
        set.insert(revocation(1, 10));
        set.insert(revocation(1, 20));
        set.insert(revocation(1, 5));
        set.forget_before(at(20));
        assert!(set.contains(Uuid::from_u128(1)));
        set.forget_before(at(21));
        assert!(set.is_empty());
    }

    proptest! {
        #[test]
        fn a_set_holds_the_sessions_whose_last_revocation_is_recent(
            revocations in prop::collection::vec((0_u128..8, 0_i64..50), 0..40),
            limit in 0_i64..50,
        ) {
            let mut set = RevocationSet::default();
            for (session, second) in &revocations {
                set.insert(revocation(*session, *second));
            }
            set.forget_before(at(limit));
            for session in 0..8 {
                let recent = revocations.iter().any(|(other, second)| *other == session && *second >= limit);
                prop_assert_eq!(set.contains(Uuid::from_u128(session)), recent);
            }
            prop_assert_eq!(set.latest.len(), set.by_time.len());
        }
    }
}

//! How many events may be published in a second, changes of entities among them: each key with a rate of its own, in
//! bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pkg_middleware::Actor;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Sessions, Standing};
use crate::session::EventLimits;

/// How many locks there are.
const SHARDS: usize = 16;
/// How many keys a shard counts each by itself; with more, keys share buckets until old ones are as good as new.
const MAX_KEYS: usize = 8_192;
/// How many of those a shard has, beside the others.
const SHARED_BUCKETS: u64 = 1_024;
/// A shard is looked through for keys as good as new after it was asked so often at least.
const CLEAN_FROM: usize = 256;
/// A publication of so many events is possible at once whatever the rate, or it would never be.
const LEAST_BURST: u32 = 100;
/// How many times as many events as a player a game server may publish.
const SERVER_RATE_FACTOR: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

/// Whose events are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bucket {
    Session(Uuid),
    /// Of one publisher in one session.
    Publisher(Uuid, Uuid),
}

/// Events a second. Counted on this node alone.
pub(super) struct Rates {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    begin: Instant,
}

#[derive(Default)]
struct Shard {
    /// When each bucket is full again, since the beginning.
    full_at: HashMap<Bucket, Duration>,
    /// How many times it was asked since it was looked through.
    asked: usize,
}

impl Sessions {
    /// Counts events of somebody in a session, or changes of its entities, as far as both their rate and the session's
    /// allow all of them. The error is how long to wait.
    pub fn spend(
        &self,
        who: Actor,
        session: Uuid,
        standing: &Standing,
        limits: &EventLimits,
        events: usize,
    ) -> Result<(), Duration> {
        let now = Instant::now();
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let own = match standing {
            Standing::Server => limits.player_events_per_second.saturating_mul(SERVER_RATE_FACTOR),
            Standing::Seated { .. } | Standing::Admin => limits.player_events_per_second,
        };
        self.rates.take(Bucket::Publisher(session, who.id()), events, own, now)?;
        self.rates.take(Bucket::Session(session), events, limits.session_events_per_second, now)
    }
}

impl Rates {
    pub(super) fn new(now: Instant) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new(), begin: now }
    }

    /// Takes so many events out of a bucket that holds a second's worth, or none of them. The error is how long to wait.
    fn take(&self, bucket: Bucket, events: u32, per_second: NonZeroU32, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.begin);
        let hash = self.hasher.hash_one(bucket);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        shard.clean(now);
        let bucket = if shard.full_at.len() < MAX_KEYS || shard.full_at.contains_key(&bucket) {
            bucket
        } else {
            // By other bits than those that chose the shard.
            Bucket::Session(Uuid::from_u64_pair(0, (hash >> 32) % SHARED_BUCKETS))
        };
        let full_at = shard.full_at.entry(bucket).or_default();
        let each = Duration::from_secs(1) / per_second.get();
        let capacity = each * per_second.get().max(LEAST_BURST);
        let filled_at = (*full_at).max(now) + each * events;
        let wait = filled_at.saturating_sub(now + capacity);
        if wait.is_zero() {
            *full_at = filled_at;
            Ok(())
        } else {
            Err(wait)
        }
    }
}

impl Shard {
    /// Looks at every key only after it was asked as often as there are keys: constant cost each time.
    fn clean(&mut self, now: Duration) {
        self.asked += 1;
        if self.asked > self.full_at.len().max(CLEAN_FROM) {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.asked = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(per_second: u32) -> NonZeroU32 {
        NonZeroU32::new(per_second).unwrap()
    }

    fn key(number: u128) -> Bucket {
        Bucket::Publisher(Uuid::from_u128(1), Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_holds_its_rate_and_others_go_on() {
        let now = Instant::now();
        let rates = Rates::new(now);
        assert!(rates.take(key(1), 200, rate(200), now).is_ok());
        let wait = rates.take(key(1), 50, rate(200), now).unwrap_err();
        assert_eq!(wait, SECOND / 4);
        assert!(rates.take(key(2), 200, rate(200), now).is_ok());
        assert!(rates.take(key(1), 50, rate(200), now + wait).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_a_publication_or_none() {
        let now = Instant::now();
        let rates = Rates::new(now);
        assert!(rates.take(key(1), 60, rate(1), now).is_ok());
        assert!(rates.take(key(1), 60, rate(1), now).is_err());
        assert!(rates.take(key(1), 40, rate(1), now).is_ok(), "nothing was taken for what was refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_keys_neither_fills_the_memory_nor_lifts_the_limit() {
        let now = Instant::now();
        let rates = Rates::new(now);
        let admitted = (0..300_000).filter(|number| rates.take(key(*number), 100, rate(1), now).is_ok()).count();
        let kept: usize = rates.shards.iter().map(|shard| shard.lock().unwrap().full_at.len()).sum();
        assert!(kept <= SHARDS * (MAX_KEYS + 1_024), "{kept}");
        assert!(admitted <= kept);
        for number in 300_000..400_000 {
            assert!(rates.take(key(number), 1, rate(1), now + 200 * SECOND).is_ok());
        }
        let kept: usize = rates.shards.iter().map(|shard| shard.lock().unwrap().full_at.len()).sum();
        assert!(kept <= SHARDS * (MAX_KEYS + 1_024), "{kept}");
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate_and_a_burst_are_let_through(
            takes in prop::collection::vec((0_u64..500, 1_u32..40), 1..200),
            per_second in 1_u32..300,
        ) {
            let begin = Instant::now();
            let rates = Rates::new(begin);
            let (mut at, mut admitted) = (Duration::ZERO, 0.0);
            for (pause, events) in takes {
                at += Duration::from_millis(pause);
                if rates.take(key(1), events, rate(per_second), begin + at).is_ok() {
                    admitted += f64::from(events);
                }
                let allowed = f64::from(per_second.max(LEAST_BURST)) + at.as_secs_f64() * f64::from(per_second);
                prop_assert!(admitted <= allowed + 1.0);
            }
        }
    }
}

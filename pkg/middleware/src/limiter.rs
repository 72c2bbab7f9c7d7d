//! Rate limits per key, in bounded memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};

/// How many keys are counted each by itself. Beyond that keys share [`SHARED_BUCKETS`] until old ones are forgotten.
pub const MAX_KEYS: usize = 100_000;

/// How many buckets the keys share that found no place of their own.
pub const SHARED_BUCKETS: u64 = 4_096;

/// The fewest checks between two cleanings; with many keys it is as many as there are keys.
const CLEAN_EVERY: usize = 1_024;

/// What one key may do: a burst at once, and then one more per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    period: Duration,
    burst: NonZeroU32,
}

impl Quota {
    /// One use per `period` on average and `burst` at once. A period below a nanosecond counts as one.
    #[must_use]
    pub fn every(period: Duration, burst: NonZeroU32) -> Self {
        Self { period: period.max(Duration::from_nanos(1)), burst }
    }

    /// `rate` uses per second on average and `burst` at once.
    #[must_use]
    pub fn per_second(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::every(Duration::from_secs(1) / rate.get(), burst)
    }

    /// `rate` uses per minute on average and `burst` at once.
    #[must_use]
    pub fn per_minute(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::every(Duration::from_mins(1) / rate.get(), burst)
    }

    fn as_governor(self) -> governor::Quota {
        governor::Quota::with_period(self.period)
            .unwrap_or_else(|| governor::Quota::per_second(self.burst))
            .allow_burst(self.burst)
    }
}

/// A rate limit for every key on its own.
///
/// Memory is bounded: keys that are as good as new are forgotten as checks go by, and beyond [`MAX_KEYS`] live keys,
/// new and old ones share buckets by a hash that nobody outside can foresee. So a flood of made-up keys can make the
/// limit stricter for others, but never lift it and never fill the memory.
#[derive(Debug)]
pub struct KeyedLimiter<K: Hash + Eq + Clone> {
    own: DefaultKeyedRateLimiter<K>,
    shared: DefaultKeyedRateLimiter<u64>,
    clock: DefaultClock,
    hasher: RandomState,
    max_keys: usize,
    until_cleaning: AtomicUsize,
}

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// A limiter that gives every key this quota.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with_max_keys(quota, MAX_KEYS)
    }

    fn with_max_keys(quota: Quota, max_keys: usize) -> Self {
        Self {
            own: RateLimiter::keyed(quota.as_governor()),
            shared: RateLimiter::keyed(quota.as_governor()),
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            max_keys,
            until_cleaning: AtomicUsize::new(CLEAN_EVERY),
        }
    }

    /// Takes one use from the key's quota; the error is how long to wait for the next one.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        self.clean_now_and_then();
        let checked = if self.own.len() < self.max_keys {
            self.own.check_key(key)
        } else {
            self.shared.check_key(&(self.hasher.hash_one(key) % SHARED_BUCKETS))
        };
        checked.map_err(|refusal| refusal.wait_time_from(self.clock.now()))
    }

    /// Cleaning looks at every key, so it waits for as many checks as there are keys: constant cost per check.
    fn clean_now_and_then(&self) {
        let left = self.until_cleaning.fetch_sub(1, Ordering::Relaxed);
        if left != 1 {
            return;
        }
        self.own.retain_recent();
        self.own.shrink_to_fit();
        self.until_cleaning.store(self.own.len().max(CLEAN_EVERY), Ordering::Relaxed);
    }
}

/// The key under which an address is limited: an IPv6 client has a whole /64 to choose from, so that counts as one.
#[must_use]
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).expect("not zero")
    }

    #[test]
    fn a_key_has_its_burst_and_then_waits_while_others_go_on() {
        let limiter = KeyedLimiter::new(Quota::every(Duration::from_hours(1), count(2)));

        assert_eq!(limiter.check(&"a"), Ok(()));
        assert_eq!(limiter.check(&"a"), Ok(()));
        let wait = limiter.check(&"a").expect_err("the burst is used up");
        assert!(wait > Duration::ZERO && wait <= Duration::from_hours(1));
        assert_eq!(limiter.check(&"b"), Ok(()));
    }

    #[test]
    fn a_flood_of_keys_neither_fills_the_memory_nor_lifts_the_limit() {
        let limiter = KeyedLimiter::with_max_keys(Quota::every(Duration::from_hours(1), count(1)), 100);
        let admitted = (0..20_000_u32).filter(|key| limiter.check(key).is_ok()).count();

        assert!(limiter.own.len() <= 100);
        assert!(admitted <= 100 + usize::try_from(SHARED_BUCKETS).expect("small"));
    }

    #[test]
    fn keys_as_good_as_new_are_forgotten() {
        let limiter = KeyedLimiter::new(Quota::every(Duration::from_nanos(1), count(1)));
        for key in 0..100_000_u32 {
            let _ = limiter.check(&key);
        }
        assert!(limiter.own.len() <= 3 * CLEAN_EVERY, "{} keys are left", limiter.own.len());
    }

    #[test]
    fn an_ipv6_network_is_one_key_and_a_mapped_address_is_ipv4() {
        let key = |text: &str| address_key(text.parse().expect("an address"));

        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
    }
}

//! Time and randomness, handed in as arguments.
//!
//! Everything that decides by the clock or by chance takes an [`Ambient`], so that a test can say what time it is.
//! Only the executable and adapters call [`Ambient::system`].

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The clock of the machine.
#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock for tests: it stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    milliseconds: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at a fixed moment of 2026.
    #[must_use]
    pub fn new() -> Arc<Self> {
        const START: i64 = 1_780_000_000_000;
        Arc::new(Self { milliseconds: AtomicI64::new(START) })
    }

    /// Moves the clock forward; anything below a millisecond is dropped.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.milliseconds.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        let milliseconds = self.milliseconds.load(Ordering::SeqCst);
        OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(milliseconds)
    }
}

/// The time and the randomness that a component may use.
#[derive(Clone)]
pub struct Ambient {
    clock: Arc<dyn Clock>,
}

impl Ambient {
    /// The machine's clock and the operating system's random numbers.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock) }
    }

    /// Another clock, with the operating system's random numbers.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// The time now, in UTC.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A fresh `UUIDv7` (RFC 9562) of this moment. Nobody can guess it, but it is no secret: its random bits are those of the
    /// thread's generator, which need not ask the operating system each time.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let random: [u8; 10] = self.noise();
        let milliseconds = self.now().unix_timestamp_nanos() / 1_000_000;
        let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }

    /// Random bytes for names that are no secrets: those of the thread's generator, as for [`Self::id`].
    #[must_use]
    pub fn noise<const N: usize>(&self) -> [u8; N] {
        rand::random()
    }

    /// Random bytes fit for secrets.
    ///
    /// # Panics
    /// If the operating system has no random numbers to give: nothing safe can be done then.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        bytes
    }
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ambient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_time_of_the_clock_and_sort_by_it() {
        let clock = ManualClock::new();
        let ambient = Ambient::with_clock(clock.clone());
        let first = ambient.id();
        clock.advance(Duration::from_millis(1));
        let second = ambient.id();

        assert_eq!(first.get_version_num(), 7);
        assert!(first < second);
    }
}

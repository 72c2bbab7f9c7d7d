//! How long to wait before the log is tried again.

use std::time::Duration;

/// After the first failure; doubled each time, up to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses between tries of something that is tried until it succeeds.
#[derive(Default)]
pub struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The pause after one more failure.
    pub fn next(&mut self) -> Duration {
        let pause = self.last.map_or(FIRST, |last| (last * 2).min(LONGEST));
        self.last = Some(pause);
        pause
    }

    /// Whether the last try failed.
    pub fn is_failing(&self) -> bool {
        self.last.is_some()
    }

    /// To be called after a success.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

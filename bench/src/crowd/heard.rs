//! What a crowd hears, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use super::codec::Told;
use crate::load::Window;
use crate::tally::Tally;

/// Latencies are counted in so many places, so that counting does not serialise.
const TALLIES: usize = 16;

/// What came of a run.
pub struct Outcome {
    pub tally: Tally,
    /// The part of the deliveries that did not arrive, from 0 to 1.
    pub missed: f64,
}

/// What all of them heard.
pub struct Heard {
    begin: Instant,
    pub window: OnceLock<Window>,
    tallies: Vec<Mutex<Tally>>,
    expected: AtomicU64,
}

impl Heard {
    pub fn new() -> Self {
        Self {
            begin: Instant::now(),
            window: OnceLock::new(),
            tallies: (0..TALLIES).map(|_| Mutex::new(Tally::new())).collect(),
            expected: AtomicU64::new(0),
        }
    }

    /// Says when an event is published.
    pub fn note_publication(&self, players: u64) -> Duration {
        let now = self.begin.elapsed();
        if self.is_counted(now) {
            self.expected.fetch_add(players, Ordering::Relaxed);
        }
        now
    }

    /// Counts a delivery, by when its event was published.
    pub fn hear(&self, number: usize, published: Duration) {
        if self.is_counted(published) {
            let took = self.begin.elapsed().saturating_sub(published);
            let mut tally = self.tallies[number % TALLIES].lock().unwrap_or_else(PoisonError::into_inner);
            tally.record(took, Ok(()));
        }
    }

    fn is_counted(&self, published: Duration) -> bool {
        let window = self.window.get();
        window.is_some_and(|window| (window.begin..window.end).contains(&(self.begin + published)))
    }

    pub fn listen(&self, number: usize, told: Told) {
        if let Told::Event(published) = told {
            self.hear(number, published);
        }
    }

    pub fn outcome(&self) -> anyhow::Result<Outcome> {
        let mut tally = Tally::new();
        for part in &self.tallies {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(std::mem::replace(&mut part, Tally::new()));
        }
        let expected = crate::tally::exact(self.expected.load(Ordering::Relaxed));
        ensure!(expected > 0.0, "nothing was published");
        Ok(Outcome { missed: 1.0 - (tally.successes() / expected).min(1.0), tally })
    }
}

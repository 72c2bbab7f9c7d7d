//! What came of calls: how long they took, and how they failed.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tonic::Status;
use tonic_types::StatusExt;

/// The longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(1);
const SIGNIFICANT_DIGITS: u8 = 3;

/// The outcome of many calls.
#[derive(Debug)]
pub struct Tally {
    latencies: Histogram<u64>,
    pub failures: Failures,
}

/// How calls failed: by code and reason, how often and in which words.
pub type Failures = BTreeMap<String, Failure>;

#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub count: u64,
    /// What the first of them said.
    pub example: String,
}

/// Times of calls that succeeded, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Tally {
    pub fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        let latencies =
            Histogram::new_with_max(longest, SIGNIFICANT_DIGITS).expect("the bounds are those of a histogram");
        Self { latencies, failures: Failures::new() }
    }

    pub fn record(&mut self, took: Duration, outcome: Result<(), Status>) {
        match outcome {
            Ok(()) => self.latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            Err(status) => {
                let failure = Failure { count: 0, example: status.message().to_owned() };
                self.failures.entry(name(&status)).or_insert(failure).count += 1;
            }
        }
    }

    pub fn add(&mut self, other: Self) {
        self.latencies.add(other.latencies).expect("all tallies have the same bounds");
        for (name, failure) in other.failures {
            let ours = self.failures.entry(name).or_insert(Failure { count: 0, example: failure.example });
            ours.count += failure.count;
        }
    }

    pub fn successes(&self) -> f64 {
        exact(self.latencies.len())
    }

    pub fn latency(&self) -> Latency {
        let at = |quantile| milliseconds(self.latencies.value_at_quantile(quantile));
        Latency { p50: at(0.50), p95: at(0.95), p99: at(0.99), max: milliseconds(self.latencies.max()) }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1e3
}

/// A count as a number to divide by. It has fewer than 2^53 things.
#[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
pub fn exact(count: u64) -> f64 {
    count as f64
}

/// The code, and the reason where the server gave one.
fn name(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => format!("{:?} {}", status.code(), info.reason),
        None => format!("{:?}", status.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_successes_count_for_latency_and_failures_add_up_by_name() {
        let mut first = Tally::new();
        first.record(Duration::from_millis(2), Ok(()));
        first.record(Duration::from_secs(2), Err(Status::unavailable("gone")));
        let mut second = Tally::new();
        second.record(Duration::from_secs(2), Err(Status::unavailable("still gone")));
        first.add(second);

        assert!((first.successes() - 1.0).abs() < f64::EPSILON);
        assert!(first.latency().max < 3.0);
        assert_eq!(first.failures["Unavailable"].count, 2);
        assert_eq!(first.failures["Unavailable"].example, "gone");
    }
}

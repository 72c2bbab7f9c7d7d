//! The metrics of the process, as Prometheus reads them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

use crate::process;

/// The upper bounds of the buckets of a histogram, in seconds: from a cached read to a call that has given up.
pub const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Those of one that counts records, as its name says.
const RECORD_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// How often what histograms have collected is folded into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// Metrics could not be set up.
#[derive(Debug, Error)]
#[error("metrics cannot be set up")]
pub struct MetricsError(#[from] BuildError);

/// Everything that the process has counted through the `metrics` crate. Cloning shares it.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Collects from here on until the process ends. Installing again gives the same metrics.
    ///
    /// `build` becomes the labels of `muster_build_info`, which is always 1: the version, and what else tells builds
    /// apart.
    pub fn install(build: &[(&'static str, String)]) -> Result<Self, MetricsError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }

        let counts_records = Matcher::Suffix("_records".to_owned());
        let builder = PrometheusBuilder::new().set_buckets(&LATENCY_BUCKETS)?;
        let handle = builder.set_buckets_for_metric(counts_records, &RECORD_BUCKETS)?.install_recorder()?;
        metrics::describe_gauge!("muster_build_info", "What is running; always 1.");
        metrics::gauge!("muster_build_info", build).set(1.0);
        let metrics = Self { handle };
        *installed = Some(metrics.clone());
        Ok(metrics)
    }

    /// The metrics in Prometheus' text format, with those of the process itself where the system tells them (Linux).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        text.push_str(&process::render());
        text
    }

    /// Keeps the memory of histograms bounded while nobody calls [`Metrics::render`]. Never returns: spawn it, and drop
    /// it at shutdown.
    pub async fn keep_up(&self) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_and_installing_twice_gives_the_same() {
        let build = [("version", "0.1.0".to_owned())];
        Metrics::install(&build).unwrap();
        let again = Metrics::install(&build).unwrap();
        metrics::counter!("muster_test_total", "code" => "OK").increment(2);
        metrics::histogram!("muster_test_seconds").record(0.003);

        let text = again.render();
        for line in [
            "muster_build_info{version=\"0.1.0\"} 1",
            "muster_test_total{code=\"OK\"} 2",
            "muster_test_seconds_bucket{le=\"0.0025\"} 0",
            "muster_test_seconds_bucket{le=\"0.005\"} 1",
            "muster_test_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
        }
    }
}

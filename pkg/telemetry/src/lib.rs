//! Tracing set-up and the Prometheus exporter.

mod logging;
mod metrics;
mod process;

pub use logging::{Format, LoggingError, init_logging};
pub use metrics::{LATENCY_BUCKETS, Metrics, MetricsError};

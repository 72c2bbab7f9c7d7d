//! The log of the process.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, the event's fields at its top level: for machines.
    Json,
    /// For people; in colour on a terminal.
    Text,
}

/// Logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The filter is not understood.
    #[error("`{filter}` is not a log filter")]
    Filter {
        /// What was given.
        filter: String,
        /// Why not.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a logger already.
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
}

/// Writes what `filter` lets pass (`info`, `info,sqlx=warn`, …: the syntax of `RUST_LOG`) to standard error, from here on
/// until the process ends.
///
/// Standard error in either format: standard output is for what the user asked for, such as a token or the lines that
/// `muster dev` begins with. Container runtimes collect both.
pub fn init_logging(format: Format, filter: &str) -> Result<(), LoggingError> {
    let parsed = EnvFilter::builder().parse(filter);
    let parsed = parsed.map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })?;

    let registry = tracing_subscriber::registry().with(parsed);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let outcome = match format {
        Format::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init(),
        Format::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
    };
    outcome.map_err(LoggingError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_by_name_and_a_second_logger_is_refused() {
        let refused = init_logging(Format::Text, "info,sqlx=loud");
        assert!(matches!(refused, Err(LoggingError::Filter { filter, .. }) if filter == "info,sqlx=loud"));

        init_logging(Format::Json, "info,sqlx=warn").unwrap();
        assert!(matches!(init_logging(Format::Text, "info"), Err(LoggingError::Twice(_))));
    }
}

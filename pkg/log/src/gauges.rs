//! What is counted.

use std::time::Duration;

use crate::{AppendError, Appended, Topic};

/// Counts an append and its outcome.
pub(crate) fn appended(topic: Topic, outcome: &Result<Appended, AppendError>, after: Duration) {
    let name = topic.name();
    let outcome = match outcome {
        Ok(_) => {
            metrics::histogram!("muster_log_append_seconds", "topic" => name).record(after);
            "appended"
        }
        Err(AppendError::Full) => "full",
        Err(AppendError::Unavailable(_)) => "unavailable",
        Err(AppendError::Unknown(_)) => "unknown",
        Err(AppendError::TooLarge { .. }) => "too_large",
        Err(AppendError::Closed) => "closed",
        Err(AppendError::Refused(_)) => "refused",
    };
    metrics::counter!("muster_log_appends_total", "topic" => name, "outcome" => outcome).increment(1);
}

/// Counts bytes that are no record.
pub(crate) fn unreadable(topic: Topic) {
    metrics::counter!("muster_log_unreadable_total", "topic" => topic.name()).increment(1);
}

/// Counts a partition whose worker did not let go of it in time.
pub(crate) fn overdue(topic: Topic) {
    metrics::counter!("muster_log_handovers_overdue_total", "topic" => topic.name()).increment(1);
}

/// How much waits to be appended.
pub(crate) fn waiting(records: i32) {
    metrics::gauge!("muster_log_append_queue_records").set(f64::from(records));
}

/// Says what the metrics mean.
pub(crate) fn describe() {
    metrics::describe_counter!("muster_log_appends_total", "Records that were to be appended, by outcome.");
    metrics::describe_histogram!(
        "muster_log_append_seconds",
        metrics::Unit::Seconds,
        "Time until an append was durable, of those that were answered so."
    );
    metrics::describe_gauge!("muster_log_append_queue_records", "Records that wait to be durable.");
    metrics::describe_counter!("muster_log_unreadable_total", "Read bytes that are no record.");
    metrics::describe_counter!(
        "muster_log_handovers_overdue_total",
        "Partitions that were handed over before their worker had let go of them."
    );
}

//! What is counted.

use tokio::time::Instant;

use crate::{AppendError, Appended, Topic};

/// Makes an append, and counts it and its outcome.
pub(crate) async fn counted(
    topic: Topic,
    append: impl Future<Output = Result<Appended, AppendError>>,
) -> Result<Appended, AppendError> {
    let started = Instant::now();
    let outcome = append.await;
    let name = topic.name();
    let label = match &outcome {
        Ok(_) => {
            metrics::histogram!("muster_log_append_seconds", "topic" => name).record(started.elapsed());
            "appended"
        }
        Err(AppendError::Full) => "full",
        Err(AppendError::Unavailable(_)) => "unavailable",
        Err(AppendError::Unknown(_)) => "unknown",
        Err(AppendError::TooLarge { .. }) => "too_large",
        Err(AppendError::Closed) => "closed",
        Err(AppendError::Refused(_)) => "refused",
    };
    metrics::counter!("muster_log_appends_total", "topic" => name, "outcome" => label).increment(1);
    outcome
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

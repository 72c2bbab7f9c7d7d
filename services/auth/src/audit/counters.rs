//! What the audit tells of itself.

use metrics::{Counter, Gauge};

/// Handles to the metrics, looked up once: sign-ins are too many to look them up each time.
#[derive(Clone)]
pub struct Counters {
    pub(super) outbox_rows: Gauge,
    pub(super) appended_changes: Counter,
    pub(super) appended_sign_ins: Counter,
    /// For want of a place in the buffer.
    pub(super) dropped_buffer_full: Counter,
    /// At the end of the process, before the log took them.
    pub(super) dropped_shutdown: Counter,
    /// Records that no log takes, which are defects.
    pub(super) dropped_defect: Counter,
}

impl Counters {
    pub fn new() -> Self {
        metrics::describe_gauge!(
            "muster_audit_outbox_rows",
            "Changes of accounts that are not in the log yet, counted up to 10,000."
        );
        metrics::describe_counter!("muster_audit_appended_total", "Audit records that the log has acknowledged.");
        metrics::describe_counter!("muster_audit_dropped_total", "Audit records that never reach the log.");
        Self {
            outbox_rows: metrics::gauge!("muster_audit_outbox_rows"),
            appended_changes: metrics::counter!("muster_audit_appended_total", "of" => "change"),
            appended_sign_ins: metrics::counter!("muster_audit_appended_total", "of" => "sign_in"),
            dropped_buffer_full: metrics::counter!("muster_audit_dropped_total", "why" => "buffer_full"),
            dropped_shutdown: metrics::counter!("muster_audit_dropped_total", "why" => "shutdown"),
            dropped_defect: metrics::counter!("muster_audit_dropped_total", "why" => "defect"),
        }
    }
}

//! What the bus tells of itself.

use metrics::{Counter, Gauge};

/// Handles to the metrics, looked up once: deliveries are too many to look them up each time.
pub(crate) struct Counters {
    pub(crate) topics: Gauge,
    pub(crate) readers: Gauge,
    pub(crate) published: Counter,
    pub(crate) published_unretained: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) gaps: Counter,
    pub(crate) reader_catch_ups: Counter,
    pub(crate) node_catch_ups: Counter,
    pub(crate) missed_by_slow_readers: Counter,
    pub(crate) not_sent_to_other_nodes: Counter,
}

impl Counters {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            topics: metrics::gauge!("muster_bus_topics"),
            readers: metrics::gauge!("muster_bus_readers"),
            published: metrics::counter!("muster_bus_published_total", "retained" => "true"),
            published_unretained: metrics::counter!("muster_bus_published_total", "retained" => "false"),
            deliveries: metrics::counter!("muster_bus_deliveries_total"),
            gaps: metrics::counter!("muster_bus_gaps_total"),
            reader_catch_ups: metrics::counter!("muster_bus_catch_ups_total", "of" => "reader"),
            node_catch_ups: metrics::counter!("muster_bus_catch_ups_total", "of" => "node"),
            missed_by_slow_readers: metrics::counter!("muster_bus_unretained_dropped_total", "why" => "slow_reader"),
            not_sent_to_other_nodes: metrics::counter!("muster_bus_unretained_dropped_total", "why" => "slow_redis"),
        }
    }
}

fn describe() {
    metrics::describe_gauge!("muster_bus_topics", "Topics that have readers on this node.");
    metrics::describe_gauge!("muster_bus_readers", "Readers on this node.");
    metrics::describe_counter!("muster_bus_published_total", "Events published by this node.");
    metrics::describe_counter!("muster_bus_deliveries_total", "Events, gaps and ends taken by readers.");
    metrics::describe_counter!("muster_bus_gaps_total", "Times that a reader was told that events are missing.");
    metrics::describe_counter!(
        "muster_bus_catch_ups_total",
        "Pages read from the retained events, by a slow or new reader or for the whole node."
    );
    metrics::describe_counter!("muster_bus_unretained_dropped_total", "Unretained events that did not arrive.");
}

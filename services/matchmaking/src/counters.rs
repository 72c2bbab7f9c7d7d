//! What matchmaking tells of itself.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::{EndReason, Match};

/// Handles to the metrics of all queues together, looked up once: matches are too many to look them up each time.
#[derive(Clone)]
pub struct Counters {
    pub(crate) matches: Counter,
    pub(crate) claims_returned: Counter,
    pub(crate) claims_refused: Counter,
    pub(crate) dispatches_repeated: Counter,
    pub(crate) dispatches_refused: Counter,
    pub(crate) waits: Histogram,
    pub(crate) imbalances: Histogram,
    pub(crate) record_seconds: Histogram,
    pub(crate) dispatch_seconds: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) queues: Gauge,
    pub(crate) ratings_changed: Counter,
    pub(crate) seats_released: Counter,
    pub(crate) seats_swept: Counter,
}

/// The metrics of one queue, while this process works on it.
pub struct QueueGauges {
    tickets: Gauge,
    players: Gauge,
    lag: Gauge,
}

impl Counters {
    #[must_use]
    pub fn new() -> Self {
        describe();
        let dispatches = |outcome: &'static str| metrics::counter!("muster_matchmaking_dispatches_not_done_total", "outcome" => outcome);
        let seats = |by: &'static str| metrics::counter!("muster_matchmaking_seats_released_total", "by" => by);
        Self {
            matches: metrics::counter!("muster_matchmaking_matches_total"),
            claims_returned: metrics::counter!("muster_matchmaking_claims_returned_total"),
            claims_refused: metrics::counter!("muster_matchmaking_claims_refused_total"),
            dispatches_repeated: dispatches("repeated"),
            dispatches_refused: dispatches("refused"),
            waits: metrics::histogram!("muster_matchmaking_time_to_match_seconds"),
            imbalances: metrics::histogram!("muster_matchmaking_match_imbalance"),
            record_seconds: metrics::histogram!("muster_matchmaking_record_seconds"),
            dispatch_seconds: metrics::histogram!("muster_matchmaking_dispatch_seconds"),
            in_flight: metrics::gauge!("muster_matchmaking_matches_in_flight"),
            queues: metrics::gauge!("muster_matchmaking_queues"),
            ratings_changed: metrics::counter!("muster_matchmaking_ratings_changed_total"),
            seats_released: seats("log"),
            seats_swept: seats("sweeper"),
        }
    }

    /// The session of a match is there.
    pub(crate) fn dispatched(&self, made: &Match, now: OffsetDateTime) {
        self.matches.increment(1);
        let since = Duration::try_from(now - made.created).unwrap_or_default();
        for player in made.players() {
            self.waits.record(player.wait + since);
        }
    }

    /// Tickets that ended for a reason.
    pub(crate) fn ended(reason: EndReason) -> Counter {
        let why = match reason {
            EndReason::Cancelled => "cancelled",
            EndReason::WaitedTooLong => "expired",
            EndReason::PlayerGone => "player_gone",
            EndReason::AlreadyInMatch => "already_in_match",
            EndReason::QueueClosed => "queue_closed",
            EndReason::RulesChanged => "rules_changed",
            EndReason::AccountGone => "account_gone",
        };
        metrics::counter!("muster_matchmaking_tickets_ended_total", "why" => why)
    }

    /// The gauges of a queue.
    #[must_use]
    pub fn queue(game: Uuid, key: &str) -> QueueGauges {
        let labels = [("game", game.to_string()), ("queue", key.to_owned())];
        QueueGauges {
            tickets: metrics::gauge!("muster_matchmaking_queue_tickets", &labels),
            players: metrics::gauge!("muster_matchmaking_queue_players", &labels),
            lag: metrics::gauge!("muster_matchmaking_worker_lag_seconds", &labels),
        }
    }
}

impl QueueGauges {
    /// How many wait.
    pub fn depth(&self, tickets: usize, players: u64) {
        self.tickets.set(number(tickets as u64));
        self.players.set(number(players));
    }

    /// How long the last ticket to arrive had been in the store before the worker saw it.
    pub fn lag(&self, lag: Duration) {
        self.lag.set(lag.as_secs_f64());
    }
}

impl Drop for QueueGauges {
    /// What is not worked on here has no depth here: another replica tells of it.
    fn drop(&mut self) {
        self.depth(0, 0);
        self.lag.set(0.0);
    }
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn describe() {
    use metrics::Unit::Seconds;
    metrics::describe_counter!(
        "muster_matchmaking_matches_total",
        "Matches whose session was created by this process."
    );
    metrics::describe_counter!("muster_matchmaking_tickets_ended_total", "Tickets that ended without a match, by why.");
    metrics::describe_counter!(
        "muster_matchmaking_claims_returned_total",
        "Claimed matches that came to nothing: their tickets wait again, or have ended."
    );
    metrics::describe_counter!(
        "muster_matchmaking_claims_refused_total",
        "Proposed matches with a ticket that waited no longer."
    );
    metrics::describe_counter!(
        "muster_matchmaking_dispatches_not_done_total",
        "Sessions of matches that could not be created, and are tried again or were refused for good."
    );
    metrics::describe_histogram!(
        "muster_matchmaking_time_to_match_seconds",
        Seconds,
        "From the creation of a ticket until the session of its match is there."
    );
    metrics::describe_histogram!(
        "muster_matchmaking_match_imbalance",
        "How unequal the teams of a match are by prediction: the largest |p - 1/n|."
    );
    metrics::describe_histogram!(
        "muster_matchmaking_record_seconds",
        Seconds,
        "Time to record the matches of a round."
    );
    metrics::describe_histogram!("muster_matchmaking_dispatch_seconds", Seconds, "Time to create a match's session.");
    metrics::describe_gauge!("muster_matchmaking_matches_in_flight", "Matches between their claim and their session.");
    metrics::describe_gauge!("muster_matchmaking_queues", "Queues that this process works on.");
    metrics::describe_gauge!("muster_matchmaking_queue_tickets", "Tickets that wait in a queue.");
    metrics::describe_gauge!("muster_matchmaking_queue_players", "Players who wait in a queue.");
    metrics::describe_gauge!(
        "muster_matchmaking_worker_lag_seconds",
        Seconds,
        "How old the newest ticket was when the worker of its queue saw it."
    );
    metrics::describe_counter!("muster_matchmaking_ratings_changed_total", "Ratings that changed by a session.");
    metrics::describe_counter!("muster_matchmaking_seats_released_total", "Seats that became free, by who noticed.");
}

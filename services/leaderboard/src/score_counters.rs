//! What is counted of scores.

use metrics::{Counter, Histogram};

use crate::board::Refusal;
use crate::submission::{State, Submission, SubmitError};

/// Handles to the metrics of scores, looked up once: scores are too many to look them up each time.
#[derive(Clone)]
pub struct ScoreCounters {
    accepted: Counter,
    refused: Counter,
    pending: Counter,
    differs: Counter,
    rejected: Counter,
    failed: Counter,
    applied: AppliedCounters,
    /// Records that were passed over.
    pub(crate) skipped: Counter,
    /// How many records of a board are written in one step.
    pub(crate) batch_records: Histogram,
    /// Boards that were brought to where their history is.
    pub(crate) boards_mended: Counter,
    /// Periods of boards that were made of the history again.
    pub(crate) periods_rebuilt: Counter,
}

/// By what became of scores.
#[derive(Clone)]
struct AppliedCounters {
    accepted: Counter,
    sum_overflow: Counter,
    board_changed: Counter,
    account_gone: Counter,
    repeated: Counter,
    differs: Counter,
}

impl ScoreCounters {
    /// Those of this process.
    #[must_use]
    pub fn new() -> Self {
        describe();
        let submitted =
            |outcome: &'static str| metrics::counter!("muster_scores_submitted_total", "outcome" => outcome);
        let applied = |outcome: &'static str| metrics::counter!("muster_scores_applied_total", "outcome" => outcome);
        Self {
            accepted: submitted("accepted"),
            refused: submitted("refused"),
            pending: submitted("pending"),
            differs: submitted("differs"),
            rejected: submitted("rejected"),
            failed: submitted("failed"),
            applied: AppliedCounters {
                accepted: applied("accepted"),
                sum_overflow: applied("sum_overflow"),
                board_changed: applied("board_changed"),
                account_gone: applied("account_gone"),
                repeated: applied("repeated"),
                differs: applied("differs"),
            },
            skipped: metrics::counter!("muster_scores_skipped_total"),
            batch_records: metrics::histogram!("muster_scores_batch_records"),
            boards_mended: metrics::counter!("muster_boards_mended_total"),
            periods_rebuilt: metrics::counter!("muster_boards_periods_rebuilt_total"),
        }
    }

    /// A call that submits has ended.
    pub(crate) fn submitted(&self, outcome: &Result<Submission, SubmitError>) {
        let counter = match outcome {
            Ok(Submission { state: State::Pending(_), .. }) => &self.pending,
            Ok(Submission { state: State::Differs(_), .. }) => &self.differs,
            Ok(Submission { state: State::Applied { row, .. }, .. }) if row.refusal.is_some() => &self.refused,
            Ok(Submission { state: State::Applied { .. }, .. }) => &self.accepted,
            Err(SubmitError::Unknown(_) | SubmitError::Unavailable(_) | SubmitError::Store(_)) => &self.failed,
            Err(
                SubmitError::Board(_)
                | SubmitError::GameArchived
                | SubmitError::NotAllowed(_)
                | SubmitError::SeatRequired
                | SubmitError::OutOfBounds { .. }
                | SubmitError::Field { .. }
                | SubmitError::Limited { .. },
            ) => &self.rejected,
        };
        counter.increment(1);
    }

    /// So many records were found to be repetitions that change nothing, since they were applied before.
    pub(crate) fn repeated(&self, count: usize) {
        self.applied.repeated.increment(count as u64);
    }

    /// A record was applied for the first time.
    pub(crate) fn applied(&self, refusal: Option<Refusal>) {
        let counters = &self.applied;
        let counter = match refusal {
            None => &counters.accepted,
            Some(Refusal::SumOverflow) => &counters.sum_overflow,
            Some(Refusal::BoardChanged) => &counters.board_changed,
            Some(Refusal::AccountGone) => &counters.account_gone,
        };
        counter.increment(1);
    }

    /// A record was worked on whose id another one has.
    pub(crate) fn differs(&self) {
        self.applied.differs.increment(1);
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("muster_scores_submitted_total", "Scores submitted, by the outcome of the call.");
    describe_counter!("muster_scores_applied_total", "Records of scores that were applied, by what became of them.");
    describe_counter!("muster_scores_skipped_total", "Records of the log of scores that are no valid scores.");
    describe_gauge!("muster_scores_lag_records", "Records of a partition that were not applied yet.");
    describe_gauge!("muster_board_players", "Players of a leaderboard, in the first period of its definition.");
    describe_histogram!("muster_scores_batch_records", "Records of a board that were applied in one step.");
    describe_counter!("muster_boards_mended_total", "Boards that were brought to where their history is.");
    describe_counter!("muster_boards_periods_rebuilt_total", "Periods of boards that were made of the history again.");
}

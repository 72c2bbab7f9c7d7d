//! What a score changes: the arithmetic of boards, exact for every `i64`.

use pkg_definition::{Leaderboard, Operator, Order, Period};
use time::OffsetDateTime;

use super::{Calendar, Entry, PeriodId, PeriodSpan};

/// What scores mean on a board.
#[derive(Debug, Clone)]
pub struct BoardRules {
    /// Which values are better.
    pub order: Order,
    /// What becomes of several scores of one player.
    pub operator: Operator,
    /// Which periods a score counts in, each once.
    pub periods: Vec<Period>,
    /// Where they begin and end.
    pub calendar: Calendar,
}

/// Where a player stands in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// In which.
    pub period: PeriodId,
    /// Their entry after the score.
    pub entry: Entry,
    /// The value before the score; `None` if that was not accepted, or was the first one.
    pub previous: Option<i64>,
}

/// Where a player stands on a board after a score: in each of the periods that the score counts in. If it was refused, where
/// they stood before.
///
/// Since a board's time never goes back, the standings after a player's last score say all that is needed to count the next
/// one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings(pub Vec<Standing>);

/// Why a score counts nowhere, as found when it was to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A sum would leave `i64`, in one of the periods at least.
    SumOverflow,
    /// The board was removed, or its bounds have changed, since the score was checked.
    BoardChanged,
    /// The player's account was deleted.
    AccountGone,
}

impl BoardRules {
    /// The rules of a definition.
    #[must_use]
    pub fn new(board: &Leaderboard) -> Self {
        Self {
            order: board.order,
            operator: board.operator,
            periods: board.periods.clone(),
            calendar: Calendar::new(board.time_zone),
        }
    }

    /// The periods of the board that a moment is in.
    #[must_use]
    pub fn periods_at(&self, time: OffsetDateTime) -> Vec<PeriodSpan> {
        self.periods.iter().map(|kind| self.calendar.period(*kind, time)).collect()
    }

    /// What a score in these periods makes of where its player stood after their last one: in each of them or, if one refuses
    /// it, in none.
    ///
    /// A value that stays the same keeps the offset at which it was reached, and so its rank.
    pub fn count(
        &self,
        periods: &[PeriodSpan],
        before: &Standings,
        value: i64,
        offset: i64,
    ) -> Result<Standings, Refusal> {
        let counted = periods.iter().map(|span| {
            let entry = before.entry(span.id);
            let previous = entry.map(|entry| entry.value);
            Ok(Standing { period: span.id, entry: self.entry(entry, value, offset)?, previous })
        });
        counted.collect::<Result<_, Refusal>>().map(Standings)
    }

    fn entry(&self, before: Option<Entry>, score: i64, offset: i64) -> Result<Entry, Refusal> {
        let Some(before) = before else { return Ok(Entry { value: score, reached: offset }) };
        let value = match (self.operator, self.order) {
            (Operator::Best, Order::HighWins) => before.value.max(score),
            (Operator::Best, Order::LowWins) => before.value.min(score),
            (Operator::Last, _) => score,
            (Operator::Sum, _) => before.value.checked_add(score).ok_or(Refusal::SumOverflow)?,
        };
        let reached = if value == before.value { before.reached } else { offset };
        Ok(Entry { value, reached })
    }
}

impl Standings {
    /// The entry in a period.
    #[must_use]
    pub fn entry(&self, period: PeriodId) -> Option<Entry> {
        self.0.iter().find(|standing| standing.period == period).map(|standing| standing.entry)
    }

    /// As they are after a score that was refused.
    #[must_use]
    pub fn unchanged(&self) -> Self {
        Self(self.0.iter().map(|standing| Standing { previous: None, ..*standing }).collect())
    }
}

#[cfg(test)]
mod tests;

//! Periods: from midnight to midnight where the board is at home.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz};
use pkg_db::{from_millis, to_millis};
use pkg_definition::{Period, TimeZone};
use time::OffsetDateTime;

/// How long a period that has ended stays on its board; later it is rebuilt when somebody asks for it.
pub const KEPT_AFTER_END: Duration = Duration::from_hours(90 * 24);
/// How long one stays that was rebuilt later.
const KEPT_AFTER_REBUILD: Duration = Duration::from_hours(24);

/// Which period of a board it is. Its text is the same for ever: `all`, `d1780000000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeriodId {
    /// Of which kind.
    pub kind: Period,
    /// When it began, milliseconds since 1970; 0 for all time.
    pub start_ms: i64,
}

impl PeriodId {
    /// The one that never ends.
    pub const ALL_TIME: Self = Self { kind: Period::AllTime, start_ms: 0 };
}

impl fmt::Display for PeriodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.kind {
            Period::AllTime => return f.write_str("all"),
            Period::Daily => 'd',
            Period::Weekly => 'w',
            Period::Monthly => 'm',
        };
        write!(f, "{letter}{}", self.start_ms)
    }
}

/// A period of a board, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeriodSpan {
    /// Which one.
    pub id: PeriodId,
    /// When it ends, exclusive, milliseconds since 1970; `None` for all time.
    pub end_ms: Option<i64>,
}

impl PeriodSpan {
    /// When it begins; `None` for all time.
    #[must_use]
    pub fn start(&self) -> Option<OffsetDateTime> {
        (self.id.kind != Period::AllTime).then(|| from_millis(self.id.start_ms))
    }

    /// When it ends, exclusive; `None` for all time.
    #[must_use]
    pub fn end(&self) -> Option<OffsetDateTime> {
        self.end_ms.map(from_millis)
    }

    /// Until when it stays on its board; `None` for ever.
    #[must_use]
    pub fn keep_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let after = |time: OffsetDateTime, span: Duration| time.saturating_add(span.try_into().unwrap_or_default());
        self.end().map(|end| after(end, KEPT_AFTER_END).max(after(now, KEPT_AFTER_REBUILD)))
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, time: OffsetDateTime) -> bool {
        let Some(end_ms) = self.end_ms else { return true };
        (self.id.start_ms..end_ms).contains(&to_millis(time))
    }
}

/// Cuts time into the periods of a time zone. Every moment is in exactly one of each kind, whatever clocks there do: days
/// have 23, 24 or 25 hours, begin at the first moment that is there if there is no midnight, and may be missing as a whole.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: tz::TimeZone,
}

impl Calendar {
    /// The calendar of a time zone.
    ///
    /// # Panics
    /// If the zone, whose name is one of the time zone database, is missing in this executable: a test asks for every one.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        let zone = tz::TimeZone::get(zone.name()).expect("all zones are built in");
        Self { zone }
    }

    /// The period of a kind that a moment is in.
    #[must_use]
    pub fn period(&self, kind: Period, time: OffsetDateTime) -> PeriodSpan {
        if kind == Period::AllTime {
            return PeriodSpan { id: PeriodId::ALL_TIME, end_ms: None };
        }
        let moment = to_millis(time);
        let now =
            Timestamp::from_millisecond(moment).unwrap_or(if moment < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let mut first = first_day(kind, self.zone.to_datetime(now).date());
        // When clocks go back over midnight, the day that the calendar shows has ended once already.
        while moment >= self.midnight(next(kind, first)) {
            let following = next(kind, first);
            if following == first {
                break; // the end of all days
            }
            first = following;
        }
        let (start_ms, end_ms) = (self.midnight(first), self.midnight(next(kind, first)));
        PeriodSpan { id: PeriodId { kind, start_ms }, end_ms: Some(end_ms) }
    }

    /// When a day begins: its first midnight, or what comes instead of it.
    fn midnight(&self, day: Date) -> i64 {
        let moment = self.zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible();
        moment.map_or(i64::MAX, Timestamp::as_millisecond)
    }
}

/// The first day of the period that a day is in.
fn first_day(kind: Period, day: Date) -> Date {
    match kind {
        Period::AllTime | Period::Daily => day,
        Period::Weekly => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
        Period::Monthly => day.first_of_month(),
    }
}

/// The first day of the period after the one that begins with a day.
fn next(kind: Period, first: Date) -> Date {
    match kind {
        Period::AllTime | Period::Daily => first.saturating_add(1.day()),
        Period::Weekly => first.saturating_add(1.week()),
        Period::Monthly => first.saturating_add(1.month()),
    }
}

#[cfg(test)]
mod tests;

//! Times as both databases keep them: milliseconds since 1970-01-01 UTC.

use time::OffsetDateTime;

const MILLISECONDS_PER_SECOND: i64 = 1_000;

/// The milliseconds since 1970-01-01 UTC, rounded down.
#[must_use]
pub fn to_millis(time: OffsetDateTime) -> i64 {
    time.unix_timestamp() * MILLISECONDS_PER_SECOND + i64::from(time.millisecond())
}

/// The time at these milliseconds since 1970-01-01 UTC; what lies past the years that are known becomes the first or the
/// last moment of them.
#[must_use]
pub fn from_millis(milliseconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::milliseconds(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_is_a_time_and_known_times_come_back(milliseconds: i64) {
            let time = from_millis(milliseconds);
            let year_9999 = 253_402_300_799_999;
            if milliseconds.abs() <= year_9999 {
                prop_assert_eq!(to_millis(time), milliseconds);
            }
        }
    }

    #[test]
    fn what_is_below_a_millisecond_is_rounded_down() {
        let early = OffsetDateTime::UNIX_EPOCH - time::Duration::nanoseconds(1);
        assert_eq!(to_millis(early), -1);
    }
}

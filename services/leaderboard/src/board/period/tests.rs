use proptest::prelude::*;
use time::format_description::well_known::Rfc3339;

use super::*;

/// All of them, as definitions know them.
const ZONES: &str = include_str!("../../../../../pkg/definition/src/time_zones.txt");

fn calendar(zone: &str) -> Calendar {
    Calendar::new(TimeZone::parse(zone).unwrap())
}

fn moment(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

#[track_caller]
fn assert_period(zone: &str, kind: Period, time: &str, start: &str, end: &str) {
    let period = calendar(zone).period(kind, moment(time));
    let text = |time: Option<OffsetDateTime>| time.unwrap().format(&Rfc3339).unwrap();
    assert_eq!((text(period.start()), text(period.end())), (start.to_owned(), end.to_owned()), "{kind:?} in {zone}");
}

#[test]
fn every_zone_of_definitions_is_built_in() {
    for zone in ZONES.lines() {
        calendar(zone);
    }
}

#[test]
fn all_time_has_no_ends() {
    let period = calendar("UTC").period(Period::AllTime, moment("2026-03-29T12:00:00Z"));
    assert_eq!(period, PeriodSpan { id: PeriodId::ALL_TIME, end_ms: None });
    assert_eq!((period.start(), period.end()), (None, None));
    assert!(period.contains(OffsetDateTime::UNIX_EPOCH));
    assert_eq!(period.id.to_string(), "all");
}

#[test]
fn periods_begin_at_midnight_on_mondays_and_on_the_first() {
    let time = "2026-11-21T14:00:00Z";
    assert_period("UTC", Period::Daily, time, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
    assert_period("UTC", Period::Weekly, time, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
    assert_period("UTC", Period::Monthly, time, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    assert_period("UTC", Period::Monthly, "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    assert_period("UTC", Period::Weekly, "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
    assert_eq!(calendar("UTC").period(Period::Daily, moment(time)).id.to_string(), "d1795219200000");
}

#[test]
fn days_are_as_long_as_clocks_make_them() {
    let vienna = "Europe/Vienna";
    assert_period(vienna, Period::Daily, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_period(vienna, Period::Daily, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    assert_period(vienna, Period::Monthly, "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
    // Its year is a day ahead of the world's, and its summer ends in April.
    let auckland = "Pacific/Auckland";
    assert_period(auckland, Period::Daily, "2026-04-04T20:00:00Z", "2026-04-04T11:00:00Z", "2026-04-05T12:00:00Z");
    assert_period(auckland, Period::Weekly, "2026-04-05T11:59:59Z", "2026-03-29T11:00:00Z", "2026-04-05T12:00:00Z");
    assert_period(auckland, Period::Monthly, "2026-09-30T12:00:00Z", "2026-09-30T11:00:00Z", "2026-10-31T11:00:00Z");
}

#[test]
fn a_day_without_midnight_begins_with_its_first_hour() {
    let sao_paulo = "America/Sao_Paulo";
    assert_period(sao_paulo, Period::Daily, "2018-11-04T10:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z");
    // At midnight it was eleven again, on the day before.
    assert_period(sao_paulo, Period::Daily, "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z");
    assert_period(sao_paulo, Period::Daily, "2018-02-18T03:00:00Z", "2018-02-18T03:00:00Z", "2018-02-19T03:00:00Z");
}

#[test]
fn a_day_that_began_twice_is_one_day() {
    // At a minute past midnight it was 23:01 again.
    let toronto = "America/Toronto";
    assert_period(toronto, Period::Daily, "1996-10-27T12:00:00Z", "1996-10-27T04:00:00Z", "1996-10-28T05:00:00Z");
    let saint_johns = "America/St_Johns";
    for time in ["2010-11-07T02:30:30Z", "2010-11-07T03:00:00Z", "2010-11-07T03:30:00Z"] {
        assert_period(saint_johns, Period::Daily, time, "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
    }
}

#[test]
fn a_day_that_was_left_out_has_no_period() {
    let apia = "Pacific/Apia";
    assert_period(apia, Period::Daily, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    assert_period(apia, Period::Daily, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
}

#[test]
fn the_ends_of_time_have_periods() {
    for time in [pkg_db::from_millis(i64::MIN), pkg_db::from_millis(i64::MAX)] {
        for kind in [Period::AllTime, Period::Daily, Period::Weekly, Period::Monthly] {
            assert_eq!(calendar("Pacific/Auckland").period(kind, time).id.kind, kind);
        }
    }
}

/// Near the changes of clocks, too: those are at full hours or half ones.
fn time() -> impl Strategy<Value = i64> {
    let hours = (0..100 * 365 * 24_i64, -1..=1_i64).prop_map(|(hour, by)| hour * 3_600_000 + by);
    prop_oneof![hours, 0..4_000_000_000_000_i64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn every_moment_is_in_one_period_and_the_next_one_follows(
        zone in prop::sample::select(ZONES.lines().collect::<Vec<_>>()),
        kind in prop::sample::select(vec![Period::Daily, Period::Weekly, Period::Monthly]),
        milliseconds in time(),
    ) {
        let (calendar, time) = (calendar(zone), from_millis(milliseconds));
        let period = calendar.period(kind, time);
        prop_assert!(period.contains(time));
        let (start, end) = (period.start().unwrap(), period.end().unwrap());
        let millisecond = time::Duration::milliseconds(1);
        prop_assert_eq!(calendar.period(kind, start), period);
        prop_assert_eq!(calendar.period(kind, end - millisecond), period);
        prop_assert_eq!(calendar.period(kind, end).start(), Some(end));
        prop_assert_eq!(calendar.period(kind, start - millisecond).end(), Some(start));
    }
}

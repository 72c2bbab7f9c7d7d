use proptest::prelude::*;

use super::*;

/// The beginning of a minute.
const BEGIN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::minutes(29_000_000));

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// As far apart as what is counted as one may be.
fn about(given: Option<Duration>, expected: Duration) -> bool {
    given.is_some_and(|given| (given.as_secs_f64() / expected.as_secs_f64()).ln().abs() <= STEP.ln())
}

#[test]
fn what_was_ten_minutes_ago_does_not_count() {
    let mut waits = Waits::default();
    assert_eq!((waits.matches(BEGIN), waits.quantile(0.5, BEGIN)), (0, None));
    for number in 0..30 {
        waits.record(Region::EuWest, [seconds(1), seconds(number + 1)], BEGIN + 60 * seconds(number));
    }
    let now = BEGIN + 29 * seconds(60);
    assert_eq!(waits.matches(now), 10);
    assert!(about(waits.quantile(0.95, now), seconds(30)));
    assert!(waits.minutes.len() <= MINUTES, "memory is bounded");
    assert_eq!(waits.matches(now + seconds(600)), 0);
    assert_eq!(waits.quantile(0.5, now + seconds(600)), None);
}

#[test]
fn an_estimate_is_that_of_those_who_waited_as_long() {
    let mut waits = Waits::default();
    for number in 1..=20 {
        let near = if number % 2 == 0 { seconds(10) } else { seconds(40) };
        waits.record(Region::EuWest, [near], BEGIN);
        waits.record(Region::Oceania, [seconds(100)], BEGIN);
    }
    let west = Regions::from_iter([Region::EuWest]);
    assert!(about(waits.remaining(west, Duration::ZERO, BEGIN), seconds(10)));
    assert!(about(waits.remaining(west, seconds(20), BEGIN), seconds(20)));
    assert!(about(waits.remaining(west, seconds(60), BEGIN), seconds(40)), "nobody there waited for so long");
    assert!(about(waits.remaining(Regions::NONE, seconds(20), BEGIN), seconds(80)));
    assert_eq!(waits.remaining(west, seconds(300), BEGIN), None);
}

#[test]
fn a_summary_is_read_as_it_was_written() {
    let mut recent = Waits::default();
    recent.record(Region::EuWest, [seconds(1)], BEGIN);
    let regions = BTreeMap::from([(u8::try_from(place(Region::EuWest)).unwrap(), 5)]);
    let summary = Summary { counted_at: 9_000, tickets: 2, players: 5, oldest: Some(5_000), regions, recent };
    let written = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&written).unwrap(), summary);
    assert_eq!(summary.players_by_region().collect::<Vec<_>>(), [(Region::EuWest, 5)]);
    assert_eq!(summary.oldest_wait(), Some(seconds(4)));
    assert_eq!(Summary::default().oldest_wait(), None);
}

proptest! {
    #[test]
    fn a_wait_is_told_as_it_was_but_for_a_step(millis in 1_u64..3_600_000) {
        let mut waits = Waits::default();
        waits.record(Region::Global, [Duration::from_millis(millis)], BEGIN);
        prop_assert!(about(waits.quantile(0.5, BEGIN), Duration::from_millis(millis)));
    }
}

#[test]
fn what_the_database_knows_counts_for_the_whole_queue() {
    let waits = vec![(BEGIN + seconds(60), seconds(3)), (BEGIN, seconds(9)), (BEGIN, seconds(9)), (BEGIN, seconds(9))];
    let waits = Waits::of(&RecentWaits { matches: 2, waits });
    assert_eq!(waits.matches(BEGIN + seconds(60)), 2);
    assert!(about(waits.quantile(0.5, BEGIN + seconds(60)), seconds(9)));
    let west = Regions::from_iter([Region::EuWest]);
    assert!(about(waits.remaining(west, Duration::ZERO, BEGIN), seconds(9)), "there is nothing of the region alone");
}

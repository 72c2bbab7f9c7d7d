use pkg_definition::TimeZone;
use proptest::prelude::*;

use super::*;

const DAY: time::Duration = time::Duration::DAY;

fn rules(order: Order, operator: Operator, periods: &[Period]) -> BoardRules {
    BoardRules { order, operator, periods: periods.to_vec(), calendar: Calendar::new(TimeZone::UTC) }
}

/// What a score of a day makes of where its player stood.
fn count(rules: &BoardRules, before: &Standings, day: i32, (offset, value): (i64, i64)) -> Result<Standings, Refusal> {
    rules.count(&rules.periods_at(OffsetDateTime::UNIX_EPOCH + DAY * day), before, value, offset)
}

/// The value and the offset of the only period after each of some values.
fn run(order: Order, operator: Operator, values: &[i64]) -> Vec<Result<(i64, i64), Refusal>> {
    let rules = rules(order, operator, &[Period::AllTime]);
    let mut standings = Standings::default();
    let mut outcomes = Vec::new();
    for (value, offset) in values.iter().zip(0..) {
        let outcome = count(&rules, &standings, 0, (offset, *value));
        standings = outcome.clone().unwrap_or_else(|_| standings.unchanged());
        outcomes.push(outcome.map(|standings| (standings.0[0].entry.value, standings.0[0].entry.reached)));
    }
    outcomes
}

#[test]
fn the_best_the_last_or_the_sum_counts() {
    let values = [5, -3, 5, 7, 7];
    let cases = [
        (Order::HighWins, Operator::Best, [(5, 0), (5, 0), (5, 0), (7, 3), (7, 3)]),
        (Order::LowWins, Operator::Best, [(5, 0), (-3, 1), (-3, 1), (-3, 1), (-3, 1)]),
        (Order::HighWins, Operator::Last, [(5, 0), (-3, 1), (5, 2), (7, 3), (7, 3)]),
        (Order::LowWins, Operator::Sum, [(5, 0), (2, 1), (7, 2), (14, 3), (21, 4)]),
    ];
    for (order, operator, expected) in cases {
        assert_eq!(run(order, operator, &values), expected.map(Ok), "{order:?} {operator:?}");
    }
}

#[test]
fn a_sum_stays_exact_up_to_both_ends_and_refuses_what_is_beyond() {
    let refused = Err(Refusal::SumOverflow);
    let up = run(Order::HighWins, Operator::Sum, &[i64::MAX - 1, 1, 1, i64::MAX, -1]);
    assert_eq!(up, [Ok((i64::MAX - 1, 0)), Ok((i64::MAX, 1)), refused, refused, Ok((i64::MAX - 1, 4))]);
    let down = run(Order::HighWins, Operator::Sum, &[i64::MIN, 0, -1, i64::MAX]);
    assert_eq!(down, [Ok((i64::MIN, 0)), Ok((i64::MIN, 0)), refused, Ok((-1, 3))]);
}

#[test]
fn a_score_counts_in_each_period_from_its_beginning_on() {
    let rules = rules(Order::HighWins, Operator::Sum, &[Period::Daily, Period::AllTime]);
    let first = count(&rules, &Standings::default(), 0, (1, i64::MAX)).unwrap();
    assert_eq!(first.0.iter().map(|standing| standing.previous).collect::<Vec<_>>(), [None, None]);

    // It fits into the new day alone, so it counts in neither.
    assert_eq!(count(&rules, &first, 1, (2, 1)), Err(Refusal::SumOverflow));
    let second = count(&rules, &first.unchanged(), 1, (3, -1)).unwrap();
    let values: Vec<_> = second.0.iter().map(|standing| (standing.entry.value, standing.previous)).collect();
    assert_eq!(values, [(-1, None), (i64::MAX - 1, Some(i64::MAX))]);
    assert!(second.unchanged().0.iter().all(|standing| standing.previous.is_none()));
}

#[test]
fn a_period_that_the_board_gets_later_begins_with_the_next_score() {
    let before = count(&rules(Order::HighWins, Operator::Best, &[Period::AllTime]), &Standings::default(), 0, (1, 9));
    let after = rules(Order::HighWins, Operator::Best, &[Period::Weekly, Period::AllTime]);
    let standings = count(&after, &before.unwrap(), 0, (2, 4)).unwrap();
    let entries: Vec<_> = standings.0.iter().map(|standing| (standing.entry.value, standing.entry.reached)).collect();
    assert_eq!(entries, [(4, 2), (9, 1)]);
}

proptest! {
    #[test]
    fn a_sum_is_what_wide_numbers_say(values in prop::collection::vec(any::<i64>(), 0..20)) {
        let mut sum = 0_i128;
        let outcomes = run(Order::HighWins, Operator::Sum, &values);
        for (number, (value, outcome)) in values.iter().zip(outcomes).enumerate() {
            let next = if number == 0 { i128::from(*value) } else { sum + i128::from(*value) };
            if let Ok(expected) = i64::try_from(next) {
                prop_assert_eq!(outcome.map(|(value, _)| value), Ok(expected));
                sum = next;
            } else {
                prop_assert_eq!(outcome, Err(Refusal::SumOverflow));
            }
        }
    }
}

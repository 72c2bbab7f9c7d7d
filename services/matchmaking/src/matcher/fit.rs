//! Whether tickets fit together, now or later. Both must be filed on a shelf in common.

use pkg_definition::{PropertyCheck, PropertyRule, Queue};

use super::limits::{Millis, age, age_allowing, age_allowing_latency, limit_at, span};
use super::waiting::{Fact, Waiting};
use crate::rating::{beta, imbalance, win_probabilities};

/// Probabilities are sums of rounded numbers: what is as close to a limit as this is within it.
pub(super) const ROUNDING: f64 = 1e-9;

/// The greatest distance between two players of two tickets.
pub(super) fn distance(one: &Waiting, other: &Waiting) -> f64 {
    (one.highest - other.lowest).max(other.highest - one.lowest)
}

/// Whether a rule on a property still holds for a match whose oldest ticket is so old.
pub(super) fn holds(rule: &PropertyRule, oldest: Millis) -> bool {
    rule.drop_after.is_none_or(|after| oldest < span(after))
}

/// Whether two tickets can be in one match now, by the rules that concern two. The oldest ticket of the match is so old.
///
/// Every limit loosens with age and is the same function for all: the limit of both is that of the younger.
pub(super) fn fit_now(rules: &Queue, one: &Waiting, other: &Waiting, oldest: Millis, now: Millis) -> bool {
    let younger = age(one.created.max(other.created), now);
    if let Some(window) = &rules.rating_window
        && distance(one, other) > limit_at(window, younger)
    {
        return false;
    }
    let mut facts = rules.properties.iter().zip(one.facts.iter().zip(&other.facts));
    facts.all(|(rule, (one, other))| {
        let fits = match (&rule.check, one, other) {
            (PropertyCheck::Range(limit), Fact::Span(..), Fact::Span(..)) => {
                spread(one, other).is_some_and(|spread| spread <= limit_at(limit, younger))
            }
            (PropertyCheck::Equality, Fact::Value(one), Fact::Value(other)) => one == other,
            (PropertyCheck::AtLeast { .. }, Fact::Count(_), Fact::Count(_)) => true,
            _ => false,
        };
        fits || !holds(rule, oldest)
    })
}

/// From when on two tickets make a match of two, if both still wait then; `None`: never, as they are filed.
pub(super) fn fit_time(rules: &Queue, one: &Waiting, other: &Waiting) -> Option<Millis> {
    let (older, younger) = (one.created.min(other.created), one.created.max(other.created));
    let mut time = reach_time(rules, one, other)?;
    if let Some(window) = &rules.rating_window {
        time = time.max(younger.saturating_add(age_allowing(window, distance(one, other))?));
    }
    if let (Some(rule), Some(rating)) = (&rules.balance, &rules.rating) {
        let unequal = imbalance(&win_probabilities(&[one.strength, other.strength], beta(rating)));
        time = time.max(younger.saturating_add(age_allowing(rule, unequal - ROUNDING)?));
    }
    for (rule, (one, other)) in rules.properties.iter().zip(one.facts.iter().zip(&other.facts)) {
        let met = property_age(rule, one, other).map(|age| younger.saturating_add(age));
        let dropped = rule.drop_after.map(|after| older.saturating_add(span(after)));
        time = time.max(met.into_iter().chain(dropped).min()?);
    }
    Some(time)
}

/// From when on both reach a region that both take.
fn reach_time(rules: &Queue, one: &Waiting, other: &Waiting) -> Option<Millis> {
    let Some(rule) = &rules.latency else {
        return (!one.filed.and(other.filed).is_empty()).then_some(Millis::MIN);
    };
    let reach = |waiting: &Waiting, region| {
        let latency = waiting.latencies.millis(region)?;
        Some(waiting.created.saturating_add(age_allowing_latency(rule, latency)?))
    };
    one.filed.and(other.filed).iter().filter_map(|region| Some(reach(one, region)?.max(reach(other, region)?))).min()
}

/// The age of the younger from which on a rule on a property is met by a match of two.
fn property_age(rule: &PropertyRule, one: &Fact, other: &Fact) -> Option<Millis> {
    match &rule.check {
        PropertyCheck::Range(limit) => age_allowing(limit, spread(one, other)?),
        PropertyCheck::Equality => {
            let same = matches!((one, other), (Fact::Value(one), Fact::Value(other)) if one == other);
            same.then_some(0)
        }
        PropertyCheck::AtLeast { count, per_team, .. } => {
            let (Fact::Count(one), Fact::Count(other)) = (one, other) else { return None };
            let met = if *per_team { one.min(other) >= &count.get() } else { one + other >= count.get() };
            met.then_some(0)
        }
    }
}

/// The distance of the highest and the lowest value of both.
pub(super) fn spread(one: &Fact, other: &Fact) -> Option<f64> {
    match (one, other) {
        (Fact::Span(low, high), Fact::Span(other_low, other_high)) => Some(high.max(*other_high) - low.min(*other_low)),
        _ => None,
    }
}

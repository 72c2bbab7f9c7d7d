//! Limits that loosen with age. Both ways: what the limit is at an age, and at which age it allows a distance.

use std::time::Duration;

use pkg_definition::{LatencyRule, RelaxingLimit};
use time::{OffsetDateTime, PrimitiveDateTime};

/// Milliseconds: a moment since 1970, or a span.
pub(super) type Millis = i64;

/// No ticket waits for longer, so nothing loosens later.
const LONGEST: Millis = 3_600_000;

pub(super) fn millis(moment: OffsetDateTime) -> Millis {
    moment.unix_timestamp() * 1_000 + Millis::from(moment.millisecond())
}

/// The first or the last moment that there is for those before and after.
pub(super) fn moment(millis: Millis) -> OffsetDateTime {
    let end = if millis < 0 { PrimitiveDateTime::MIN } else { PrimitiveDateTime::MAX };
    let nanos = i128::from(millis) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(end.assume_utc())
}

pub(super) fn span(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

/// How long somebody has waited; 0 if their clock was ahead.
pub(super) fn age(created: Millis, now: Millis) -> Millis {
    now.saturating_sub(created).clamp(0, LONGEST)
}

pub(super) fn limit_at(limit: &RelaxingLimit, age: Millis) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an age is an hour at most")]
    let seconds = age as f64 / 1_000.0;
    (limit.start.get() + limit.growth_per_second.get() * seconds).min(limit.ceiling.get())
}

/// From which age on a distance is allowed; `None`: never.
pub(super) fn age_allowing(limit: &RelaxingLimit, distance: f64) -> Option<Millis> {
    if distance <= limit.start.get() {
        return Some(0);
    }
    let growth = limit.growth_per_second.get();
    if growth <= 0.0 || distance > limit_at(limit, LONGEST) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is drawn into the bounds")]
    let estimate = ((distance - limit.start.get()) / growth * 1_000.0).ceil() as Millis;
    let estimate = estimate.clamp(1, LONGEST);
    // Numbers are rounded: the neighbours may be the ones.
    let near = [estimate - 1, estimate].into_iter().find(|age| distance <= limit_at(limit, *age));
    Some(near.unwrap_or(estimate + 1))
}

/// When a limit stops loosening, as an age; `None`: it does not loosen at all.
pub(super) fn age_of_ceiling(limit: &RelaxingLimit) -> Option<Millis> {
    let grows = limit.growth_per_second.get() > 0.0 && limit.ceiling > limit.start;
    grows.then(|| age_allowing(limit, limit.ceiling.get()).unwrap_or(LONGEST))
}

/// The limit of latency at an age, in microseconds.
pub(super) fn latency_at(rule: &LatencyRule, age: Millis) -> u64 {
    let grown = micros(rule.growth_per_second).saturating_mul(age.unsigned_abs()) / 1_000;
    micros(rule.start).saturating_add(grown).min(micros(rule.ceiling))
}

/// From which age on a latency of so many milliseconds is allowed; `None`: never.
pub(super) fn age_allowing_latency(rule: &LatencyRule, latency: u16) -> Option<Millis> {
    let latency = u64::from(latency) * 1_000;
    let missing = latency.saturating_sub(micros(rule.start));
    if missing == 0 {
        return Some(0);
    }
    let growth = micros(rule.growth_per_second);
    if growth == 0 || latency > micros(rule.ceiling) {
        return None;
    }
    Millis::try_from(missing.saturating_mul(1_000).div_ceil(growth)).ok().filter(|age| *age <= LONGEST)
}

/// When the limit of latency stops loosening, as an age; `None`: it does not loosen at all.
pub(super) fn age_of_latency_ceiling(rule: &LatencyRule) -> Option<Millis> {
    let (way, growth) = (micros(rule.ceiling).saturating_sub(micros(rule.start)), micros(rule.growth_per_second));
    let reached = || Millis::try_from(way.saturating_mul(1_000).div_ceil(growth)).unwrap_or(LONGEST).min(LONGEST);
    (way > 0 && growth > 0).then(reached)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! Limits that loosen with the age of a ticket.

use std::time::Duration;

use pkg_api::game::v1 as api;

use super::LONGEST_WAIT;
use crate::attributes::Finite;
use crate::reading::Reading;

/// A limit that loosens with a ticket's own age and never tightens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelaxingLimit {
    /// The limit for a new ticket; 0 or more.
    pub start: Finite,
    /// By how much it loosens in a second; 0 or more.
    pub growth_per_second: Finite,
    /// Where it stops; at least the start.
    pub ceiling: Finite,
}

/// How slow the connection of a player to a match's region may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyRule {
    /// The limit for a new ticket.
    pub start: Duration,
    /// By how much it loosens in a second; zero: never.
    pub growth_per_second: Duration,
    /// The hard limit; at least the start.
    pub ceiling: Duration,
}

impl RelaxingLimit {
    /// Stands where a limit was refused.
    const NONE: Self = Self { start: Finite::ONE, growth_per_second: Finite::ONE, ceiling: Finite::ONE };

    /// The limit of a field that must be there. It never comes above `most`.
    pub(super) fn required(field: &str, given: Option<&api::RelaxingLimit>, most: f64, at: &mut Reading) -> Self {
        let Some(given) = given else {
            at.refuse(field, "is needed: a limit with its start");
            return Self::NONE;
        };
        at.within(field, |at| Self::read(given, most, at))
    }

    fn read(given: &api::RelaxingLimit, most: f64, at: &mut Reading) -> Self {
        let mut number = |field, given| {
            Finite::new(given).filter(|number| number.get() >= 0.0).unwrap_or_else(|| {
                at.refuse(field, "is a finite number of 0 or more");
                Finite::ONE
            })
        };
        let start = number("start", given.start);
        let growth_per_second = number("growth_per_second", given.growth_per_second);
        let ceiling = number("ceiling", given.ceiling);
        let grows = growth_per_second.get() > 0.0;
        if grows && given.ceiling == 0.0 {
            at.refuse("ceiling", "is needed where the limit grows");
        } else if given.ceiling != 0.0 && ceiling < start {
            at.refuse("ceiling", format!("is at least start, {}", start.get()));
        }
        // Where nothing grows, the start is all there is.
        let (highest, field) = if given.ceiling == 0.0 { (start, "start") } else { (ceiling, "ceiling") };
        if highest.get() > most {
            at.refuse(field, format!("is {most} at most"));
        }
        Self { start, growth_per_second, ceiling: highest }
    }
}

impl LatencyRule {
    pub(super) fn read(given: &api::LatencyRule, at: &mut Reading) -> Self {
        let range = Duration::ZERO..=LONGEST_WAIT;
        let start = at.required_span("start", given.start, range.clone());
        let growth = at.optional_span("growth_per_second", given.growth_per_second, range.clone());
        let ceiling = at.optional_span("ceiling", given.ceiling, range).unwrap_or(start);
        if ceiling < start {
            at.refuse("ceiling", format!("is at least start, {}", humantime::format_duration(start)));
        }
        Self { start, growth_per_second: growth.unwrap_or_default(), ceiling }
    }
}

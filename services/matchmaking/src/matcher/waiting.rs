//! A ticket that waits, with what is asked of it at every look.

use std::sync::Arc;

use pkg_definition::{AttributeValue, Counted, PropertyCheck, PropertyRule, Queue, Region};

use super::limits::{Millis, age, age_allowing_latency, latency_at, millis, span};
use super::pool::Age;
use crate::rating::Strength;
use crate::ticket::{Latencies, Regions, Ticket, number};

/// A ticket that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The store of this process may have the same one.
    pub ticket: Arc<Ticket>,
    pub created: Millis,
    /// The lowest and the highest skill of its players; both 0 in queues without ratings.
    pub lowest: f64,
    pub highest: f64,
    pub strength: Strength,
    /// The slowest of its players to each region.
    pub latencies: Latencies,
    /// What the queue's rules on properties need to know, in their order.
    pub facts: Box<[Fact]>,
    /// Under which regions it is filed; none if it can never be in a match.
    pub filed: Regions,
}

/// What a rule on a property needs to know of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fact {
    /// A player lacks the property, or the players differ where they must not: while the rule holds, nobody fits.
    Unfit,
    /// All its players have this value.
    Value(AttributeValue),
    /// The lowest and the highest value of its players.
    Span(f64, f64),
    /// How many of its players count.
    Count(u32),
}

impl Waiting {
    pub fn new(ticket: Arc<Ticket>, rules: &Queue) -> Self {
        let rated = rules.rating.is_some();
        let skills = || ticket.players.iter().filter(|_| rated).map(|player| player.rating.skill());
        let skill = |pick: fn(f64, f64) -> f64| skills().reduce(pick).unwrap_or_default();
        let latencies = ticket.players.iter().map(|player| player.latencies);
        Self {
            created: millis(ticket.created),
            lowest: skill(f64::min),
            highest: skill(f64::max),
            strength: ticket.players.iter().map(|player| &player.rating).collect(),
            latencies: latencies.reduce(|one, other| one.slower(&other)).unwrap_or(Latencies::UNKNOWN),
            facts: rules.properties.iter().map(|rule| Fact::of(&ticket, rule)).collect(),
            filed: Regions::NONE,
            ticket,
        }
    }

    /// How many players it has.
    pub fn size(&self) -> u32 {
        self.strength.players
    }

    /// Its place in the order of age.
    pub fn age(&self) -> Age {
        (self.created, self.ticket.id)
    }

    /// Its place among the skills.
    pub fn skill(&self) -> f64 {
        f64::midpoint(self.lowest, self.highest)
    }

    /// The regions that it takes at an age, without those that are out of reach for ever.
    pub fn regions(&self, rules: &Queue, now: Millis) -> Regions {
        let taken = self.taken(rules, now);
        let Some(rule) = &rules.latency else { return taken };
        let reaches = |latency| age_allowing_latency(rule, latency).is_some();
        taken.iter().filter(|region| self.latencies.millis(*region).is_some_and(reaches)).collect()
    }

    /// The regions that it takes at an age, near or far.
    pub fn taken(&self, rules: &Queue, now: Millis) -> Regions {
        let offered: Regions = rules.region.regions.iter().copied().collect();
        let widened = rules.region.any_region_after.is_some_and(|after| age(self.created, now) >= span(after));
        if widened || self.ticket.regions.is_empty() { offered } else { offered.and(self.ticket.regions) }
    }

    /// Those of its regions whose latency is within its limit now.
    pub fn playable(&self, rules: &Queue, now: Millis) -> Regions {
        self.filed.iter().filter(|region| self.plays_in(*region, rules, now)).collect()
    }

    /// Whether its latency to one of its regions is within its limit now.
    pub fn plays_in(&self, region: Region, rules: &Queue, now: Millis) -> bool {
        rules.latency.as_ref().is_none_or(|rule| {
            let limit = latency_at(rule, age(self.created, now));
            self.latencies.millis(region).is_some_and(|latency| u64::from(latency) * 1_000 <= limit)
        })
    }
}

impl Fact {
    fn of(ticket: &Ticket, rule: &PropertyRule) -> Self {
        let mut values = ticket.players.iter().map(|player| player.properties.get(rule.property.as_str()));
        match &rule.check {
            PropertyCheck::Equality => {
                let first = values.next().flatten();
                let same = values.all(|value| value == first);
                first.filter(|_| same).map_or(Self::Unfit, |value| Self::Value(value.clone()))
            }
            PropertyCheck::Range(_) => {
                let ends = |ends: Option<(f64, f64)>, value: Option<&AttributeValue>| {
                    let number = value.and_then(number)?;
                    ends.map(|(low, high)| (number.min(low), number.max(high)))
                };
                let span = values.fold(Some((f64::INFINITY, f64::NEG_INFINITY)), ends);
                span.map_or(Self::Unfit, |(low, high)| Self::Span(low, high))
            }
            PropertyCheck::AtLeast { counted, .. } => {
                let counts: Option<u32> =
                    values.map(|value| value.map(|value| u32::from(counts(value, counted)))).sum();
                counts.map_or(Self::Unfit, Self::Count)
            }
        }
    }
}

fn counts(value: &AttributeValue, counted: &Counted) -> bool {
    match counted {
        Counted::Equals(wanted) => value == wanted,
        Counted::Minimum(least) => number(value).is_some_and(|number| number >= least.get()),
    }
}

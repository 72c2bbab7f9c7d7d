//! Why a ticket is not matched yet.

use std::cmp::Reverse;

use pkg_definition::{PropertyCheck, PropertyRule, Queue, RelaxingLimit};
use time::OffsetDateTime;

use super::fit::{ROUNDING, distance, holds, spread};
use super::limits::{Millis, age, age_of_ceiling, age_of_latency_ceiling, latency_at, limit_at, moment, span};
use super::pool::Pool;
use super::search::sizes;
use super::slots::Slot;
use super::waiting::{Fact, Waiting};
use crate::rating::{beta, imbalance, win_probabilities};

/// How many other tickets are looked at, the oldest first.
const SAMPLE: usize = 256;

/// A rule that keeps a ticket waiting.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmet {
    /// Which rule.
    pub rule: UnmetRule,
    /// How many waiting tickets it excludes as partners, about; for [`UnmetRule::PlayerCount`] how many players are missing.
    pub count: u64,
    /// Its limit for the ticket now: points, milliseconds, or a distance; `None` if it has none.
    pub limit: Option<f64>,
    /// When the limit stops loosening, or the rule is dropped; `None` if it does not loosen any more.
    pub relaxed: Option<OffsetDateTime>,
}

/// The rules that may keep a ticket waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnmetRule {
    /// There are not enough players in the queue.
    PlayerCount,
    /// Ratings are too far apart.
    Rating,
    /// Others ask for other regions.
    Region,
    /// Connections to the regions in common are too slow.
    Latency,
    /// Teams would be too unequal.
    Balance,
    /// The rule on this property is not met.
    Property(String),
}

pub(super) fn unmet(pool: &Pool, slot: Slot, now: Millis) -> Vec<Unmet> {
    let Some(own) = pool.get(slot) else { return Vec::new() };
    let others = pool.by_age().filter(|(other, _)| *other != slot).take(SAMPLE);
    let others: Vec<&Waiting> = others.map(|(_, other)| other).collect();
    let looking = Looking { pool, own, now };
    let scale = |count: usize| {
        let (count, sample) = (count as u64, others.len().max(1) as u64);
        (count * (pool.len() as u64 - 1)).div_ceil(sample)
    };
    let mut found: Vec<Unmet> = looking
        .rules()
        .into_iter()
        .map(|(unmet, excludes)| (unmet, others.iter().filter(|other| excludes(other)).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(unmet, count)| Unmet { count: scale(count), ..unmet })
        .collect();
    found.sort_by_key(|unmet| Reverse(unmet.count));
    looking.missing_players().into_iter().chain(found).collect()
}

struct Looking<'a> {
    pool: &'a Pool,
    own: &'a Waiting,
    now: Millis,
}

/// A rule, and whom it excludes as a partner.
type Rule<'a> = (Unmet, Box<dyn Fn(&Waiting) -> bool + 'a>);

impl<'a> Looking<'a> {
    fn missing_players(&self) -> Option<Unmet> {
        let rules = &self.pool.rules;
        let enough = u64::from(*sizes(rules, age(self.own.created, self.now)).start());
        let count = enough.checked_sub(self.pool.players).filter(|missing| *missing > 0)?;
        let last = rules.start_with_fewer.last().map(|step| span(step.after));
        Some(Unmet { rule: UnmetRule::PlayerCount, count, limit: None, relaxed: self.after(last) })
    }

    fn rules(&self) -> Vec<Rule<'a>> {
        let mut rules: Vec<Rule<'a>> = Vec::new();
        rules.extend(self.rating());
        rules.extend(self.balance());
        rules.push(self.region());
        rules.extend(self.latency());
        let properties = self.pool.rules.properties.iter().enumerate();
        rules.extend(properties.map(|(place, rule)| self.property(place, rule)));
        rules
    }

    fn rating(&self) -> Option<Rule<'a>> {
        let (own, now) = (self.own, self.now);
        let window = self.pool.rules.rating_window.as_ref()?;
        let excludes = move |other: &Waiting| distance(own, other) > within(window, own, other, now);
        Some((self.limited(UnmetRule::Rating, window), Box::new(excludes)))
    }

    /// Only of a pair one knows before it is found how equal it is.
    fn balance(&self) -> Option<Rule<'a>> {
        let (own, now) = (self.own, self.now);
        let (limit, rating) = (self.pool.rules.balance.as_ref()?, self.pool.rules.rating.as_ref()?);
        if self.pool.rules.format.max_players() > 2 {
            return None;
        }
        let excludes = move |other: &Waiting| {
            let unequal = imbalance(&win_probabilities(&[own.strength, other.strength], beta(rating)));
            unequal > within(limit, own, other, now) + ROUNDING
        };
        Some((self.limited(UnmetRule::Balance, limit), Box::new(excludes)))
    }

    fn region(&self) -> Rule<'a> {
        let (own, now, rules) = (self.own, self.now, &self.pool.rules);
        let wait = rules.region.any_region_after.filter(|_| !own.ticket.regions.is_empty()).map(span);
        let rule = Unmet { rule: UnmetRule::Region, count: 0, limit: None, relaxed: self.after(wait) };
        (rule, Box::new(move |other| apart(rules, own, other, now)))
    }

    fn latency(&self) -> Option<Rule<'a>> {
        let (own, now, rules) = (self.own, self.now, &self.pool.rules);
        let rule = rules.latency.as_ref()?;
        #[expect(clippy::cast_precision_loss, reason = "a latency is an hour at most")]
        let limit = latency_at(rule, age(own.created, now)) as f64 / 1_000.0;
        let relaxed = self.after(age_of_latency_ceiling(rule));
        let near = own.playable(rules, now);
        let excludes =
            move |other: &Waiting| !apart(rules, own, other, now) && near.and(other.playable(rules, now)).is_empty();
        Some((Unmet { rule: UnmetRule::Latency, count: 0, limit: Some(limit), relaxed }, Box::new(excludes)))
    }

    fn property(&self, place: usize, rule: &'a PropertyRule) -> Rule<'a> {
        let (own, now) = (self.own, self.now);
        let named = UnmetRule::Property(rule.property.as_str().to_owned());
        let dropped = rule.drop_after.map(span);
        let unmet = match &rule.check {
            PropertyCheck::Range(limit) => {
                let ceiling = age_of_ceiling(limit);
                let relaxed = self.after(dropped.or(ceiling));
                Unmet { relaxed, ..self.limited(named, limit) }
            }
            PropertyCheck::Equality | PropertyCheck::AtLeast { .. } => {
                Unmet { rule: named, count: 0, limit: None, relaxed: self.after(dropped) }
            }
        };
        let excludes = move |other: &Waiting| {
            let fits = match (&rule.check, &own.facts[place], &other.facts[place]) {
                (PropertyCheck::Range(limit), one, another) => {
                    spread(one, another).is_some_and(|spread| spread <= within(limit, own, other, now))
                }
                (PropertyCheck::Equality, Fact::Value(one), Fact::Value(another)) => one == another,
                // Those who count are wanted by who does not.
                (PropertyCheck::AtLeast { .. }, Fact::Count(one), Fact::Count(another)) => *one > 0 || *another > 0,
                _ => false,
            };
            !fits && holds(rule, age(own.created.min(other.created), now))
        };
        (unmet, Box::new(excludes))
    }

    fn limited(&self, rule: UnmetRule, limit: &RelaxingLimit) -> Unmet {
        let now = limit_at(limit, age(self.own.created, self.now));
        Unmet { rule, count: 0, limit: Some(now), relaxed: self.after(age_of_ceiling(limit)) }
    }

    /// The moment at which the ticket will be so old, unless it is already.
    fn after(&self, wait: Option<Millis>) -> Option<OffsetDateTime> {
        let then = self.own.created.saturating_add(wait?);
        (then > self.now).then(|| moment(then))
    }
}

/// The limit of both: that of the younger.
fn within(limit: &RelaxingLimit, one: &Waiting, other: &Waiting, now: Millis) -> f64 {
    limit_at(limit, age(one.created.max(other.created), now))
}

/// Whether two tickets take no region in common.
fn apart(rules: &Queue, one: &Waiting, other: &Waiting, now: Millis) -> bool {
    one.taken(rules, now).and(other.taken(rules, now)).is_empty()
}

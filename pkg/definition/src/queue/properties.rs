//! Rules on properties that players bring in their tickets.

use std::num::NonZeroU32;
use std::time::Duration;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::{property_at_least, property_rule};

use super::{Format, RelaxingLimit};
use crate::attributes::{AttributeKey, AttributeValue, Finite};
use crate::reading::Reading;

/// A rule on a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyRule {
    /// The key of the property.
    pub property: AttributeKey,
    /// What the players of a match must fulfil.
    pub check: PropertyCheck,
    /// After what wait of the oldest ticket the rule no longer holds; `None`: it always does.
    pub drop_after: Option<Duration>,
}

/// What the players of a match must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyCheck {
    /// All have the same value of the same kind.
    Equality,
    /// All values are numbers, the highest and the lowest not further apart than this.
    Range(RelaxingLimit),
    /// Enough players have a value.
    AtLeast {
        /// How many players.
        count: NonZeroU32,
        /// Whether every team needs as many, or the whole match.
        per_team: bool,
        /// Which players count.
        counted: Counted,
    },
}

/// Which players count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Those with exactly this value.
    Equals(AttributeValue),
    /// Those with at least this number.
    Minimum(Finite),
}

impl PropertyRule {
    /// `None` if it was refused.
    pub(super) fn read(
        given: &api::PropertyRule,
        format: Format,
        longest_wait: Duration,
        at: &mut Reading,
    ) -> Option<Self> {
        let property = at.within("property", |at| AttributeKey::read(&given.property, at));
        let check = match given.check.as_ref() {
            Some(property_rule::Check::Equality(api::PropertyEquality {})) => Some(PropertyCheck::Equality),
            Some(property_rule::Check::Range(range)) => {
                let distance = range.distance.as_ref();
                let read = |at: &mut Reading| RelaxingLimit::required("distance", distance, f64::MAX, at);
                Some(PropertyCheck::Range(at.within("range", read)))
            }
            Some(property_rule::Check::AtLeast(rule)) => at.within("at_least", |at| at_least(rule, format, at)),
            None => {
                at.refuse("check", "has one of equality, range and at_least");
                None
            }
        };
        let drop_after = at.optional_span("drop_after", given.drop_after, Duration::ZERO..=longest_wait);
        Some(Self { property: property?, check: check?, drop_after })
    }
}

/// No more are asked for than can be there.
fn at_least(given: &api::PropertyAtLeast, format: Format, at: &mut Reading) -> Option<PropertyCheck> {
    let most = if given.per_team { format.max_team_size() } else { format.max_players() };
    let count = at.required_count("count", given.count, 1..=most);
    let counted = match given.counted.as_ref() {
        Some(property_at_least::Counted::Equals(value)) => {
            at.within("equals", |at| AttributeValue::read(Some(value), at)).map(Counted::Equals)
        }
        Some(property_at_least::Counted::Minimum(number)) => {
            let number = Finite::new(*number);
            if number.is_none() {
                at.refuse("minimum", "is a finite number");
            }
            number.map(Counted::Minimum)
        }
        None => {
            at.refuse("counted", "has one of equals and minimum");
            None
        }
    };
    Some(PropertyCheck::AtLeast { count, per_team: given.per_team, counted: counted? })
}

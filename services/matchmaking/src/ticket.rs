//! A ticket as the matcher sees it: parsed, and within the bounds of the API.

#[cfg(test)]
mod tests;

use std::time::Duration;

use pkg_definition::{AttributeValue, Attributes, PropertyCheck, Queue, Region};
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::rating::Rating;

/// Players who wait together, and stay in one team.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Its id, unique in its queue.
    pub id: Uuid,
    /// Who waits; one or more. No player is in two tickets of a queue: the store sees to that.
    pub players: Vec<Player>,
    /// The regions asked for; empty means all on offer.
    pub regions: Regions,
    /// When it was created: windows widen from here. What is below a millisecond does not count.
    pub created: OffsetDateTime,
}

/// A player of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    /// Who.
    pub id: Uuid,
    /// How good they are, by the server's own record; in queues without ratings any.
    pub rating: Rating,
    /// How slow their connections are.
    pub latencies: Latencies,
    /// The properties that the queue's rules ask for.
    pub properties: Attributes,
}

/// A set of regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Regions(u16);

/// Round trips to regions, in whole milliseconds, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies([u16; Region::ALL.len()]);

/// Why a ticket can never be in a match under the rules of a queue, however long it waits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It has no player.
    #[error("a ticket has a player")]
    NoPlayers,
    /// Its players do not fit into one team.
    #[error("{players} players do not fit into a team of {most}")]
    TooManyPlayers {
        /// How many it has.
        players: usize,
        /// How many a team takes.
        most: u32,
    },
    /// None of the regions that it asks for is on offer.
    #[error("none of the regions is on offer")]
    NoRegion,
    /// A player is out of reach of every region that it could be played in, by the hard limit of latency.
    #[error("every region is too far away")]
    OutOfReach,
    /// A property that a rule asks for is missing, or not of its kind, or its players differ by more than the rule ever
    /// allows; and the rule is never dropped.
    #[error("the property \"{property}\" does not do")]
    Property {
        /// Its key.
        property: String,
    },
}

impl Ticket {
    /// Whether a match with it is possible at all under these rules, if the right partners come.
    pub fn check(&self, rules: &Queue) -> Result<(), Unfit> {
        let most = rules.format.max_team_size();
        if self.players.is_empty() {
            return Err(Unfit::NoPlayers);
        }
        if u32::try_from(self.players.len()).map_or(true, |players| players > most) {
            return Err(Unfit::TooManyPlayers { players: self.players.len(), most });
        }
        self.check_regions(rules)?;
        let lasting = rules.properties.iter().filter(|rule| rule.drop_after.is_none());
        for rule in lasting {
            if !self.has_property(rule.property.as_str(), &rule.check) {
                return Err(Unfit::Property { property: rule.property.as_str().to_owned() });
            }
        }
        Ok(())
    }

    fn check_regions(&self, rules: &Queue) -> Result<(), Unfit> {
        let offered: Regions = rules.region.regions.iter().copied().collect();
        let asked = offered.and(self.regions);
        let ever = match (self.regions.is_empty(), rules.region.any_region_after) {
            (true, _) => offered,
            (false, Some(after)) if after <= rules.ticket_lifetime => offered,
            (false, _) => asked,
        };
        if ever.is_empty() {
            return Err(Unfit::NoRegion);
        }
        let Some(latency) = &rules.latency else { return Ok(()) };
        let reaches = |player: &Player, region| player.latencies.get(region).is_some_and(|it| it <= latency.ceiling);
        let common = ever.iter().any(|region| self.players.iter().all(|player| reaches(player, region)));
        if common { Ok(()) } else { Err(Unfit::OutOfReach) }
    }

    fn has_property(&self, key: &str, check: &PropertyCheck) -> bool {
        let mut values = self.players.iter().map(|player| player.properties.get(key));
        match check {
            PropertyCheck::Equality => {
                let first = values.next().flatten();
                first.is_some() && values.all(|value| value == first)
            }
            PropertyCheck::Range(limit) => {
                let numbers: Option<Vec<f64>> = values.map(|value| value.and_then(number)).collect();
                numbers.is_some_and(|numbers| {
                    let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
                    let highest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    highest - lowest <= limit.ceiling.get()
                })
            }
            PropertyCheck::AtLeast { .. } => values.all(|value| value.is_some()),
        }
    }
}

impl Regions {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a region is among them.
    #[must_use]
    pub fn contains(self, region: Region) -> bool {
        self.0 & bit(region) != 0
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// All of them, in the order of [`Region`].
    pub fn iter(self) -> impl Iterator<Item = Region> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let region = *Region::ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(region)
        })
    }
}

impl FromIterator<Region> for Regions {
    fn from_iter<T: IntoIterator<Item = Region>>(regions: T) -> Self {
        Self(regions.into_iter().fold(0, |all, region| all | bit(region)))
    }
}

fn bit(region: Region) -> u16 {
    1 << place(region)
}

/// A number for each region, from 0 on.
pub(crate) fn place(region: Region) -> usize {
    region as usize
}

impl Latencies {
    /// None is known.
    pub const UNKNOWN: Self = Self([u16::MAX; Region::ALL.len()]);
    const LONGEST: u16 = u16::MAX - 1;

    /// The round trip to a region; `None`: out of reach.
    #[must_use]
    pub fn get(&self, region: Region) -> Option<Duration> {
        self.millis(region).map(|millis| Duration::from_millis(millis.into()))
    }

    pub(crate) fn millis(&self, region: Region) -> Option<u16> {
        Some(self.0[place(region)]).filter(|millis| *millis <= Self::LONGEST)
    }

    /// The slower of both to each region: out of reach for one is out of reach.
    pub(crate) fn slower(&self, other: &Self) -> Self {
        let mut slower = *self;
        for (here, there) in slower.0.iter_mut().zip(other.0) {
            *here = there.max(*here);
        }
        slower
    }
}

impl FromIterator<(Region, Duration)> for Latencies {
    /// The last of a region counts. What is longer than a minute counts as that.
    fn from_iter<T: IntoIterator<Item = (Region, Duration)>>(latencies: T) -> Self {
        let mut all = Self::UNKNOWN;
        for (region, latency) in latencies {
            let millis = latency.as_micros().div_ceil(1_000);
            all.0[place(region)] = u16::try_from(millis).unwrap_or(Self::LONGEST).min(Self::LONGEST);
        }
        all
    }
}

/// A value as a number, if it is one.
pub(crate) fn number(value: &AttributeValue) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the nearest number does")]
        AttributeValue::Int(number) => Some(*number as f64),
        AttributeValue::Float(number) => Some(number.get()),
        AttributeValue::Text(_) | AttributeValue::Bool(_) => None,
    }
}

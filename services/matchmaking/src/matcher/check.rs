//! Whether a match keeps the rules, read straight from their definition and by no part of the matcher.

use std::collections::BTreeSet;
use std::time::Duration;

use pkg_definition::{AttributeValue, Counted, Format, PropertyCheck, PropertyRule, Queue, RelaxingLimit};
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Proposal;
use crate::rating::{Strength, beta, imbalance, win_probabilities};
use crate::ticket::{Player, Ticket};

/// What the rounding of numbers may do to a probability.
const ROUNDING: f64 = 1e-9;

/// How a match breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// A ticket or a player is there twice, or a player of a ticket is not in just one team.
    #[error("tickets and teams do not have the same players, each once")]
    Players,
    /// The number of teams or players is not allowed, or teams differ by more than one player.
    #[error("teams have other sizes than the format allows")]
    Sizes,
    /// A ticket was torn apart.
    #[error("players of a ticket are in different teams")]
    Torn,
    /// Two players are too far apart.
    #[error("ratings are too far apart")]
    Rating,
    /// Somebody does not take the region.
    #[error("the region was not asked for")]
    Region,
    /// Somebody is too far from the region.
    #[error("a connection is too slow")]
    Latency,
    /// Teams are too unequal, or probabilities are not what they should be.
    #[error("teams are too unequal")]
    Balance,
    /// A rule on a property is broken.
    #[error("the property rule {0} is not met")]
    Property(usize),
}

/// Whether a match keeps the rules at a time.
pub fn fits_rules(proposal: &Proposal, rules: &Queue, now: OffsetDateTime) -> Result<(), Broken> {
    let checking = Checking { proposal, rules, now };
    checking.players()?;
    checking.sizes()?;
    checking.rating()?;
    checking.region()?;
    checking.balance()?;
    for (place, rule) in rules.properties.iter().enumerate() {
        let dropped = rule.drop_after.is_some_and(|after| checking.oldest() >= after);
        ensure(dropped || checking.property(rule).unwrap_or(false), Broken::Property(place))?;
    }
    Ok(())
}

struct Checking<'a> {
    proposal: &'a Proposal,
    rules: &'a Queue,
    now: OffsetDateTime,
}

impl Checking<'_> {
    fn players(&self) -> Result<(), Broken> {
        let tickets: BTreeSet<Uuid> = self.proposal.tickets.iter().map(|ticket| ticket.id).collect();
        let asked: BTreeSet<Uuid> = self.all().map(|player| player.id).collect();
        let placed: BTreeSet<Uuid> = self.proposal.teams.iter().flat_map(|team| team.players.iter().copied()).collect();
        let count = self.proposal.teams.iter().map(|team| team.players.len()).sum::<usize>();
        let once = tickets.len() == self.proposal.tickets.len() && asked.len() == self.all().count();
        ensure(once && placed.len() == count && placed == asked, Broken::Players)?;
        for ticket in &self.proposal.tickets {
            let teams = self.proposal.teams.iter();
            let whole =
                teams.filter(|team| ticket.players.iter().any(|player| team.players.contains(&player.id))).count();
            ensure(whole == 1, Broken::Torn)?;
        }
        Ok(())
    }

    fn sizes(&self) -> Result<(), Broken> {
        let players = self.all().count();
        let steps = self.rules.start_with_fewer.iter().filter(|step| self.oldest() >= step.after);
        let fewest = steps.map(|step| step.min_players.get()).min();
        let fewest = fewest.unwrap_or(u32::MAX).min(self.rules.format.min_players());
        let allowed = fewest as usize..=self.rules.format.max_players() as usize;
        let sizes = self.proposal.teams.iter().map(|team| team.players.len());
        let teams_fit = match self.rules.format {
            Format::FreeForAll { .. } => sizes.clone().all(|size| size == 1),
            Format::Teams { team_count, max_team_size, .. } => {
                let (smallest, largest) = (sizes.clone().min().unwrap_or(0), sizes.clone().max().unwrap_or(0));
                let count = self.proposal.teams.len() == team_count.get() as usize;
                count && smallest > 0 && largest <= max_team_size.get() as usize && largest - smallest <= 1
            }
        };
        ensure(teams_fit && allowed.contains(&players), Broken::Sizes)
    }

    fn rating(&self) -> Result<(), Broken> {
        let (Some(window), Some(_)) = (&self.rules.rating_window, &self.rules.rating) else { return Ok(()) };
        for one in &self.proposal.tickets {
            let others = self.proposal.tickets.iter().filter(|other| other.id != one.id);
            for (player, other) in others
                .flat_map(|other| other.players.iter())
                .flat_map(|other| one.players.iter().map(move |player| (player, other)))
            {
                let distance = (player.rating.skill() - other.rating.skill()).abs();
                ensure(distance <= self.limit(window, one), Broken::Rating)?;
            }
        }
        Ok(())
    }

    fn region(&self) -> Result<(), Broken> {
        let region = self.proposal.region;
        ensure(self.rules.region.regions.contains(&region), Broken::Region)?;
        for ticket in &self.proposal.tickets {
            let any = self.rules.region.any_region_after.is_some_and(|after| self.age(ticket) >= after);
            ensure(any || ticket.regions.is_empty() || ticket.regions.contains(region), Broken::Region)?;
            let Some(rule) = &self.rules.latency else { continue };
            let millis = u32::try_from(self.age(ticket).as_millis()).unwrap_or(u32::MAX);
            let limit = (rule.start + rule.growth_per_second * millis / 1_000).min(rule.ceiling);
            let near = |player: &Player| player.latencies.get(region).is_some_and(|latency| latency <= limit);
            ensure(ticket.players.iter().all(near), Broken::Latency)?;
        }
        Ok(())
    }

    fn balance(&self) -> Result<(), Broken> {
        let Some(rating) = &self.rules.rating else {
            return ensure(self.proposal.imbalance.is_none(), Broken::Balance);
        };
        let strengths: Vec<Strength> = self.proposal.teams.iter().map(|team| self.strength(&team.players)).collect();
        let expected = win_probabilities(&strengths, beta(rating));
        let told = self.proposal.teams.iter().map(|team| team.win_probability);
        let right = |(told, expected): (Option<f64>, f64)| told.is_some_and(|told| (told - expected).abs() < ROUNDING);
        ensure(told.zip(expected.iter().copied()).all(right), Broken::Balance)?;
        let limits = self.rules.balance.iter();
        let limits = limits.flat_map(|rule| self.proposal.tickets.iter().map(|ticket| self.limit(rule, ticket)));
        let limit = limits.fold(f64::INFINITY, f64::min);
        ensure(imbalance(&expected) <= limit + ROUNDING, Broken::Balance)
    }

    /// `None` if a player lacks what is asked for.
    fn property(&self, rule: &PropertyRule) -> Option<bool> {
        let value = |player: &Player| player.properties.get(rule.property.as_str()).cloned();
        let values: Vec<AttributeValue> = self.all().map(value).collect::<Option<_>>()?;
        Some(match &rule.check {
            PropertyCheck::Equality => values.iter().all(|value| *value == values[0]),
            PropertyCheck::Range(limit) => {
                let numbers: Vec<f64> = values.iter().map(number).collect::<Option<_>>()?;
                let limit =
                    self.proposal.tickets.iter().map(|ticket| self.limit(limit, ticket)).fold(f64::MAX, f64::min);
                numbers.iter().all(|one| numbers.iter().all(|other| (one - other).abs() <= limit))
            }
            PropertyCheck::AtLeast { count, per_team, counted } => {
                let counts = |player: &&Player| {
                    value(player).is_some_and(|value| match counted {
                        Counted::Equals(wanted) => value == *wanted,
                        Counted::Minimum(least) => number(&value).is_some_and(|number| number >= least.get()),
                    })
                };
                let enough = |count_of: usize| count_of >= count.get() as usize;
                if *per_team {
                    let in_team = |team: &super::ProposedTeam| {
                        self.all().filter(|player| team.players.contains(&player.id)).filter(counts).count()
                    };
                    self.proposal.teams.iter().all(|team| enough(in_team(team)))
                } else {
                    enough(self.all().filter(counts).count())
                }
            }
        })
    }

    fn all(&self) -> impl Iterator<Item = &Player> {
        self.proposal.tickets.iter().flat_map(|ticket| &ticket.players)
    }

    fn strength(&self, players: &[Uuid]) -> Strength {
        self.all().filter(|player| players.contains(&player.id)).map(|player| &player.rating).collect()
    }

    fn oldest(&self) -> Duration {
        self.proposal.tickets.iter().map(|ticket| self.age(ticket)).max().unwrap_or_default()
    }

    /// In whole milliseconds of both clocks; an hour at most, since nobody waits for longer.
    fn age(&self, ticket: &Ticket) -> Duration {
        let millis = |moment: OffsetDateTime| moment.unix_timestamp_nanos().div_euclid(1_000_000);
        let age = (millis(self.now) - millis(ticket.created)).clamp(0, 3_600_000);
        Duration::from_millis(u64::try_from(age).unwrap_or_default())
    }

    fn limit(&self, limit: &RelaxingLimit, ticket: &Ticket) -> f64 {
        let grown = limit.growth_per_second.get() * self.age(ticket).as_secs_f64();
        (limit.start.get() + grown).min(limit.ceiling.get())
    }
}

fn number(value: &AttributeValue) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the nearest number does")]
        AttributeValue::Int(number) => Some(*number as f64),
        AttributeValue::Float(number) => Some(number.get()),
        AttributeValue::Text(_) | AttributeValue::Bool(_) => None,
    }
}

fn ensure(holds: bool, broken: Broken) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(broken) }
}

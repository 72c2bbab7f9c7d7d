//! How good players are, and what is to be expected of teams.
//!
//! The model is Weng and Lin's with Bradley and Terry's curve (*A Bayesian Approximation Method for Online Ranking*, JMLR
//! 12, 2011, algorithm 1: every pair of teams counts), as the crate `skillratings` has it. Two things are added.
//!
//! - Teams of different sizes are compared by the mean skill of their players: the paper adds skills up, and then the
//!   prediction would hang on where the scale has its zero. Teams of one size are as in the paper.
//! - An uncertainty never falls below [`UNCERTAINTY_FLOOR`] of a new player's: else ratings would freeze after some
//!   hundred matches, and whoever gets better would never rise.
//!
//! Everything is finite whatever comes in.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use pkg_definition::RatingRule;
use skillratings::MultiTeamOutcome;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};
use uuid::Uuid;

/// The greatest skill and uncertainty; the least skill is its negative.
pub const POINTS_MAX: f64 = 1e9;
/// The least uncertainty, and the least beta.
pub const POINTS_MIN: f64 = 1e-6;
/// The least uncertainty, as a part of a new player's.
pub const UNCERTAINTY_FLOOR: f64 = 0.1;
/// Beyond this many times its spread, a difference says no more: e^−500 is close to the least number.
const SURE: f64 = 500.0;
/// By how much one match reduces the square of an uncertainty at most (κ in the paper).
const SHRINKAGE: f64 = 1e-4;

/// How good a player is, as far as one knows: both numbers finite and within the bounds above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    skill: f64,
    uncertainty: f64,
}

/// What a team brings to a match.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Strength {
    /// The sum of the skills.
    pub skill: f64,
    /// The sum of the squares of the uncertainties.
    pub variance: f64,
    /// How many players it has.
    pub players: u32,
}

/// How a session ended for one player who counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed<'a> {
    /// Who.
    pub player: Uuid,
    /// Their team; empty for one who played for themselves.
    pub team: &'a str,
    /// Their place: a lower number is better, equal ones are a draw. Of one team the worst counts, should they differ.
    pub placement: i32,
    /// Their rating before.
    pub rating: Rating,
}

impl Rating {
    /// A rating, drawn into the bounds; `None` if a number is not finite.
    #[must_use]
    pub fn new(skill: f64, uncertainty: f64) -> Option<Self> {
        let finite = skill.is_finite() && uncertainty.is_finite();
        // Adding 0 makes −0 a 0.
        finite.then(|| Self {
            skill: skill.clamp(-POINTS_MAX, POINTS_MAX) + 0.0,
            uncertainty: uncertainty.clamp(POINTS_MIN, POINTS_MAX),
        })
    }

    /// That of a player who has not played.
    #[must_use]
    pub fn initial(rule: &RatingRule) -> Self {
        let (skill, uncertainty) = (rule.initial_skill.get(), rule.initial_uncertainty.get());
        Self::new(skill, uncertainty).unwrap_or(Self { skill: 0.0, uncertainty: 1.0 })
    }

    /// The estimate of the skill, in points.
    #[must_use]
    pub fn skill(self) -> f64 {
        self.skill
    }

    /// The uncertainty of the estimate: a standard deviation, in the same points.
    #[must_use]
    pub fn uncertainty(self) -> f64 {
        self.uncertainty
    }
}

impl Strength {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            skill: self.skill + other.skill,
            variance: self.variance + other.variance,
            players: self.players.saturating_add(other.players),
        }
    }
}

impl<'a> FromIterator<&'a Rating> for Strength {
    fn from_iter<T: IntoIterator<Item = &'a Rating>>(players: T) -> Self {
        players.into_iter().fold(Self::default(), |team, rating| Self {
            skill: team.skill + rating.skill,
            variance: team.variance + rating.uncertainty * rating.uncertainty,
            players: team.players + 1,
        })
    }
}

/// How probably each team wins, 0 to 1, in the order given; they sum up to 1. `beta` is in points.
#[must_use]
pub fn win_probabilities(teams: &[Strength], beta: f64) -> Vec<f64> {
    let spread = spread(teams, beta);
    let size = mean_size(teams);
    let mut odds: Vec<f64> = teams.iter().map(|team| normalised(team, size) / spread).collect();
    let best = odds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for it in &mut odds {
        *it = (*it - best).exp();
    }
    let sum: f64 = odds.iter().sum();
    for it in &mut odds {
        *it /= sum;
    }
    odds
}

/// How unequal teams are: the largest distance of a probability from that of equal teams, |p − 1/n|. 0 to 1.
#[must_use]
pub fn imbalance(probabilities: &[f64]) -> f64 {
    let equal = 1.0 / count(probabilities.len());
    probabilities.iter().map(|p| (p - equal).abs()).fold(0.0, f64::max)
}

/// The ratings after a session, in the order given, by the places of those who count. `None` if it does not count for
/// anybody: nobody is named, somebody is named twice, or there are not two teams.
///
/// A session that ended without results names nobody. Who left early counts as the rest of their team does; who is not
/// named keeps their rating. The order in which players are given makes no difference.
#[must_use]
pub fn update(players: &[Placed<'_>], rule: &RatingRule) -> Option<Vec<Rating>> {
    let mut named = BTreeSet::new();
    if !players.iter().all(|placed| named.insert(placed.player)) {
        return None;
    }
    let teams = teams_of(players);
    if teams.len() < 2 {
        return None;
    }
    let strengths: Vec<Strength> =
        teams.iter().map(|team| team.iter().map(|at| &players[*at].rating).collect()).collect();
    let shifts = shifts(&strengths, beta(rule));
    let shifted: Vec<Vec<WengLinRating>> = teams
        .iter()
        .zip(&shifts)
        .map(|(team, shift)| {
            let ratings = team.iter().map(|at| players[*at].rating);
            ratings.map(|it| WengLinRating { rating: it.skill - shift, uncertainty: it.uncertainty }).collect()
        })
        .collect();
    let ranks = ranks(&teams, players);
    let given: Vec<_> =
        shifted.iter().zip(ranks).map(|(team, rank)| (team.as_slice(), MultiTeamOutcome::new(rank))).collect();
    let config = WengLinConfig { beta: beta(rule), uncertainty_tolerance: SHRINKAGE };
    let changed = weng_lin_multi_team(&given, &config);

    let floor = Rating::initial(rule).uncertainty * UNCERTAINTY_FLOOR;
    let mut ratings: Vec<Rating> = players.iter().map(|placed| placed.rating).collect();
    for ((team, shift), changed) in teams.iter().zip(&shifts).zip(changed) {
        for (at, changed) in team.iter().zip(changed) {
            let after = Rating::new(changed.rating + shift, changed.uncertainty.max(floor));
            ratings[*at] = after.unwrap_or(ratings[*at]);
        }
    }
    Some(ratings)
}

/// The beta of a queue, within bounds.
#[must_use]
pub fn beta(rule: &RatingRule) -> f64 {
    rule.beta.get().clamp(POINTS_MIN, POINTS_MAX)
}

/// Places in `players`, by team. In an order that does not hang on theirs, since sums of numbers do.
fn teams_of(players: &[Placed<'_>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..players.len()).collect();
    order.sort_by_key(|at| players[*at].player);
    let mut teams: BTreeMap<(&str, Uuid), Vec<usize>> = BTreeMap::new();
    for at in order {
        let Placed { team, player, .. } = players[at];
        let alone = if team.is_empty() { player } else { Uuid::nil() };
        teams.entry((team, alone)).or_default().push(at);
    }
    teams.into_values().collect()
}

/// The place of each team, from 1 on.
fn ranks(teams: &[Vec<usize>], players: &[Placed<'_>]) -> Vec<usize> {
    let places: Vec<i32> =
        teams.iter().map(|team| team.iter().map(|at| players[*at].placement).max().unwrap_or(i32::MAX)).collect();
    let sorted: BTreeSet<i32> = places.iter().copied().collect();
    places.iter().map(|place| 1 + sorted.range(..place).count()).collect()
}

/// What to take from the skill of each player of a team, so that the sum of the team is its mean skill for a team of mean
/// size, seen from the middle of all teams, and no further away than e^x is a number.
fn shifts(teams: &[Strength], beta: f64) -> Vec<f64> {
    let size = mean_size(teams);
    let sums: Vec<f64> = teams.iter().map(|team| normalised(team, size)).collect();
    let lowest = sums.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = f64::midpoint(lowest, highest);
    let mut variances: Vec<f64> = teams.iter().map(|team| team.variance).collect();
    variances.sort_by(f64::total_cmp);
    let least_spread = (2.0 * beta * beta + variances.iter().take(2).sum::<f64>()).sqrt();
    let far = SURE * least_spread;
    teams
        .iter()
        .zip(sums)
        .map(|(team, sum)| (team.skill - (sum - middle).clamp(-far, far)) / f64::from(team.players))
        .collect()
}

fn spread(teams: &[Strength], beta: f64) -> f64 {
    let beta = beta.clamp(POINTS_MIN, POINTS_MAX);
    (2.0 * beta * beta + teams.iter().map(|team| team.variance).sum::<f64>()).sqrt()
}

/// The skill of a team as if it had this many players.
fn normalised(team: &Strength, size: f64) -> f64 {
    team.skill * (size / f64::from(team.players.max(1)))
}

fn mean_size(teams: &[Strength]) -> f64 {
    teams.iter().map(|team| f64::from(team.players)).sum::<f64>() / count(teams.len())
}

fn count(number: usize) -> f64 {
    u32::try_from(number.max(1)).map_or(f64::MAX, f64::from)
}

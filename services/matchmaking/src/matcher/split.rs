//! The best way to make teams of tickets that were chosen: all tickets stay whole, teams differ by one player at most.

use pkg_definition::{Queue, RatingRule};

use super::search::Needs;
use super::waiting::Waiting;
use crate::rating::{Strength, beta, imbalance, win_probabilities};

/// Up to so many tickets all splits are looked at.
pub(super) const EXACT_TICKETS: usize = 12;
/// How many tries it takes at most with more: the first is close to the best already, and those after it better it.
const TRIES_MAX: u64 = 4_096;
/// The most teams.
const TEAMS_MAX: usize = 16;

/// A split.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    /// The number of each ticket's team, in the order given.
    pub teams: Vec<usize>,
    /// How unequal the teams are, |p − 1/n|; 0 in queues without ratings.
    pub imbalance: f64,
}

/// Everyone is a team of their own.
pub(super) fn alone(members: &[&Waiting], rules: &Queue) -> Split {
    let strengths = members.iter().map(|waiting| waiting.strength);
    let imbalance = rules.rating.as_ref().map_or(0.0, |rating| unequal(strengths, rating));
    Split { teams: (0..members.len()).collect(), imbalance }
}

/// The split into so many teams with the least imbalance; `None` if there is none in which every team has what it needs.
pub(super) fn best(
    members: &[&Waiting],
    team_count: usize,
    needs: &Needs,
    rules: &Queue,
    steps: &mut u64,
) -> Option<Split> {
    let mut splitting = Splitting::new(members, team_count, needs, rules);
    splitting.place(0);
    *steps += splitting.tries;
    let Splitting { order, best, .. } = splitting;
    let (assigned, _) = best?;
    let mut teams = vec![0; members.len()];
    let mut strengths = vec![Strength::default(); team_count];
    for (at, team) in order.into_iter().zip(assigned) {
        teams[at] = team;
        strengths[team] = strengths[team].and(members[at].strength);
    }
    let imbalance = rules.rating.as_ref().map_or(0.0, |rating| unequal(strengths.into_iter(), rating));
    Some(Split { teams, imbalance })
}

struct Splitting<'a> {
    members: &'a [&'a Waiting],
    needs: &'a Needs,
    rules: &'a Queue,
    /// Places in `members`: the large tickets first, since they are the hardest to place, then the strong ones.
    order: Vec<usize>,
    capacities: Vec<u32>,
    teams: Vec<Team>,
    /// The team of each ticket that has one, in `order`.
    assigned: Vec<usize>,
    best: Option<(Vec<usize>, f64)>,
    tries: u64,
    tries_max: u64,
}

#[derive(Debug, Clone, Default)]
struct Team {
    strength: Strength,
    /// How many count, for each need.
    counts: Vec<u32>,
}

impl<'a> Splitting<'a> {
    fn new(members: &'a [&'a Waiting], team_count: usize, needs: &'a Needs, rules: &'a Queue) -> Self {
        let team_count = team_count.clamp(1, TEAMS_MAX);
        let players: u32 = members.iter().map(|waiting| waiting.size()).sum();
        let count = u32::try_from(team_count).unwrap_or(1);
        let larger = usize::try_from(players % count).unwrap_or(0);
        let capacities = (0..team_count).map(|team| players / count + u32::from(team < larger)).collect();
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by(|one, other| {
            let (one, other) = (members[*one], members[*other]);
            let by_size = other.size().cmp(&one.size());
            let by_skill = other.strength.skill.total_cmp(&one.strength.skill);
            by_size.then(by_skill).then_with(|| one.age().cmp(&other.age()))
        });
        let teams = vec![Team { counts: vec![0; needs.per_team.len()], ..Team::default() }; team_count];
        let tries_max = if members.len() <= EXACT_TICKETS { u64::MAX } else { TRIES_MAX };
        let assigned = Vec::with_capacity(members.len());
        Self { members, needs, rules, order, capacities, teams, assigned, best: None, tries: 0, tries_max }
    }

    /// Places the ticket at this place of the order in every team that takes it, and those after it.
    fn place(&mut self, at: usize) {
        if at == self.order.len() {
            return self.finish();
        }
        let waiting = self.members[self.order[at]];
        let (options, count) = self.options(waiting);
        for &team in &options[..count] {
            self.tries += 1;
            if self.is_done() {
                return;
            }
            let before = self.teams[team].strength;
            self.teams[team].strength = before.and(waiting.strength);
            self.count(team, waiting, u32::wrapping_add);
            if self.can_meet_needs(team) {
                self.assigned.push(team);
                self.place(at + 1);
                self.assigned.pop();
            }
            self.count(team, waiting, u32::wrapping_sub);
            self.teams[team].strength = before;
        }
    }

    /// The best that there can be was found, or it takes too long.
    fn is_done(&self) -> bool {
        let perfect = self.best.as_ref().is_some_and(|(_, measure)| *measure <= 0.0);
        perfect || self.tries > self.tries_max
    }

    /// The teams that have room, the weakest for its size first. Of empty teams of one size one is enough.
    fn options(&self, waiting: &Waiting) -> ([usize; TEAMS_MAX], usize) {
        let (mut options, mut count) = ([0; TEAMS_MAX], 0);
        for (team, it) in self.teams.iter().enumerate() {
            let room = it.strength.players + waiting.size() <= self.capacities[team];
            let same = |other: &usize| {
                self.teams[*other].strength.players == 0 && self.capacities[*other] == self.capacities[team]
            };
            let repeats = it.strength.players == 0 && options[..count].iter().any(same);
            if room && !repeats {
                options[count] = team;
                count += 1;
            }
        }
        options[..count].sort_by(|one, other| self.level(*one).total_cmp(&self.level(*other)));
        (options, count)
    }

    /// The skill that a team has, for each player that it will have.
    fn level(&self, team: usize) -> f64 {
        self.teams[team].strength.skill / f64::from(self.capacities[team].max(1))
    }

    fn count(&mut self, team: usize, waiting: &Waiting, change: fn(u32, u32) -> u32) {
        for (count, need) in self.teams[team].counts.iter_mut().zip(&self.needs.per_team) {
            *count = change(*count, need.of(waiting));
        }
    }

    fn can_meet_needs(&self, team: usize) -> bool {
        let room = self.capacities[team] - self.teams[team].strength.players;
        self.teams[team].counts.iter().zip(&self.needs.per_team).all(|(count, need)| count + room >= need.least)
    }

    fn finish(&mut self) {
        let measure = self.measure();
        if self.best.as_ref().is_none_or(|(_, least)| measure < *least) {
            self.best = Some((self.assigned.clone(), measure));
        }
    }

    /// What is to be least: 0 is perfect.
    fn measure(&self) -> f64 {
        match &self.rules.rating {
            None => 0.0,
            // Two teams are the more equal the closer their skills are: no probabilities are needed to compare.
            Some(_) if self.teams.len() == 2 => (self.level(0) - self.level(1)).abs(),
            Some(rating) => unequal(self.teams.iter().map(|team| team.strength), rating),
        }
    }
}

fn unequal(teams: impl Iterator<Item = Strength>, rating: &RatingRule) -> f64 {
    imbalance(&win_probabilities(&teams.collect::<Vec<_>>(), beta(rating)))
}

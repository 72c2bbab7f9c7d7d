//! The search for a match whose oldest ticket is a given one: the anchor.
//!
//! Candidates are the tickets around the anchor that fit it, the nearest in skill first. They are chosen one after the
//! other; what does not fit what was chosen is struck out, and a choice that leaves too few is taken back. Full matches
//! come first, then what is allowed with fewer players.
//!
//! With [`EXACT_TICKETS`] tickets in all it finds a match if there is one. With more it gives up after [`TRIES_MAX`]
//! tries: then a match may be overlooked, until candidates or windows change.

use std::ops::RangeInclusive;

use pkg_definition::{Format, PropertyCheck, Queue, Region};

use super::fit::{ROUNDING, fit_now, holds, spread};
use super::limits::{Millis, age, limit_at, span};
use super::pool::Pool;
use super::proposal::region;
use super::shelf::{Mark, Near};
use super::slots::Slot;
use super::split::{self, EXACT_TICKETS, Split};
use super::waiting::{Fact, Waiting};
use crate::ticket::Regions;

/// How many tickets on a shelf are looked at for an anchor, the nearest first.
pub(super) const LOOKS_MAX: usize = 1_024;
/// How many of them become candidates, or twice as many as a match has players.
const CANDIDATES_MAX: usize = 128;
/// How many tries a search takes in all, if there are too many candidates to try everything.
const TRIES_MAX: u64 = 20_000;
/// How many it takes at least for each number of players.
const TRIES_MIN: u64 = 2_000;
/// How many tries an exact search takes: more than there are, in all formats that have teams of four or more.
const EXACT_TRIES_MAX: u64 = 4_000_000;

/// A match.
#[derive(Debug)]
pub(super) struct Found {
    /// Its tickets, each with the number of its team.
    pub members: Vec<(Slot, usize)>,
    pub region: Region,
}

/// How many players with certain properties are needed.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// In every team.
    pub per_team: Vec<Need>,
    /// In the whole match; those of all teams are among them.
    pub whole: Vec<Need>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// The place of its rule.
    rule: usize,
    pub least: u32,
}

impl Need {
    /// How many players of a ticket count.
    pub fn of(self, waiting: &Waiting) -> u32 {
        match waiting.facts.get(self.rule) {
            Some(Fact::Count(count)) => *count,
            _ => 0,
        }
    }
}

/// How many players make a match whose oldest ticket is so old.
pub(super) fn sizes(rules: &Queue, oldest: Millis) -> RangeInclusive<u32> {
    let steps = rules.start_with_fewer.iter().filter(|step| oldest >= span(step.after));
    let fewer = steps.map(|step| step.min_players.get());
    fewer.chain([rules.format.min_players()]).min().unwrap_or(0)..=rules.format.max_players()
}

/// A match whose oldest ticket is the one in this slot.
pub(super) fn find(pool: &Pool, slot: Slot, now: Millis, steps: &mut u64) -> Option<Found> {
    let anchor = pool.get(slot)?;
    let rules = &*pool.rules;
    let oldest = age(anchor.created, now);
    let sizes = sizes(rules, oldest);
    // Whoever fits nobody does not fit themselves either.
    if !is_whole(rules, anchor, oldest, now) {
        return None;
    }
    let mut regions: Vec<Region> = anchor.playable(rules, now).iter().collect();
    regions.sort_by_key(|region| anchor.latencies.millis(*region).unwrap_or(u16::MAX));
    let mut failed: Vec<Vec<Slot>> = Vec::new();
    for place in regions {
        let people = candidates(pool, slot, anchor, place, now, steps);
        let players: u32 = people.iter().map(|(_, waiting)| waiting.size()).sum();
        let slots: Vec<Slot> = people.iter().map(|(slot, _)| *slot).collect();
        if players < *sizes.start() || failed.contains(&slots) {
            continue;
        }
        let found = Search::new(rules, people, oldest, now).run(sizes.clone(), players, steps);
        if let Some((members, waiting)) = found {
            let region = region(waiting.iter().copied(), rules, now).unwrap_or(place);
            return Some(Found { members, region });
        }
        failed.push(slots);
    }
    None
}

/// Whether the players of a ticket may be in one match with each other.
fn is_whole(rules: &Queue, waiting: &Waiting, oldest: Millis, now: Millis) -> bool {
    let mut facts = rules.properties.iter().zip(&waiting.facts);
    facts.all(|(rule, fact)| {
        let fits = match (&rule.check, fact) {
            (PropertyCheck::Range(limit), Fact::Span(low, high)) => {
                high - low <= limit_at(limit, age(waiting.created, now))
            }
            (_, fact) => *fact != Fact::Unfit,
        };
        fits || !holds(rule, oldest)
    })
}

/// The anchor, and those that may be in a match with it in a region: the nearest first, of equally near ones the oldest.
fn candidates<'a>(
    pool: &'a Pool,
    slot: Slot,
    anchor: &'a Waiting,
    region: Region,
    now: Millis,
    steps: &mut u64,
) -> Vec<(Slot, &'a Waiting)> {
    let rules = &*pool.rules;
    let (mark, oldest) = (Mark::of(anchor), age(anchor.created, now));
    // Skill is where the middle of a ticket is, and its ends are not closer to the anchor's. Numbers are rounded.
    let window = rules.rating_window.as_ref().map_or(f64::INFINITY, |window| limit_at(window, oldest));
    let reach = window * (1.0 + ROUNDING);
    let most = CANDIDATES_MAX.max(2 * usize::try_from(rules.format.max_players()).unwrap_or(CANDIDATES_MAX));
    let mut found = Vec::new();
    for shelf in pool.shelves.near(anchor, rules, Regions::from_iter([region])) {
        let around = shelf.around(&mark, reach).take(LOOKS_MAX).inspect(|_| *steps += 1);
        let fitting = around.filter(|near| mark.is_older(near.mark)).filter_map(|near| {
            let waiting = pool.get(near.slot)?;
            let fits = waiting.plays_in(region, rules, now) && fit_now(rules, anchor, waiting, oldest, now);
            fits.then_some((near, waiting))
        });
        found.extend(fitting.take(most));
    }
    let key = |near: &Near<'_>| (near.mark.created, near.mark.id);
    found.sort_by(|(one, _), (other, _)| {
        one.distance.total_cmp(&other.distance).then_with(|| key(one).cmp(&key(other)))
    });
    found.truncate(most);
    let others = found.into_iter().map(|(near, waiting)| (near.slot, waiting));
    std::iter::once((slot, anchor)).chain(others).collect()
}

struct Search<'a> {
    rules: &'a Queue,
    oldest: Millis,
    now: Millis,
    /// The anchor first.
    people: Vec<(Slot, &'a Waiting)>,
    /// Who fits whom, as bits, as far as it was asked.
    rows: Vec<Option<Box<[u64]>>>,
    /// Who was chosen, as places in `people`.
    chosen: Vec<usize>,
    needs: Needs,
    /// How many players the largest team will have.
    team_size: u32,
    tries: u64,
    tries_max: u64,
    steps: u64,
}

type Chosen<'a> = (Vec<(Slot, usize)>, Vec<&'a Waiting>);

impl<'a> Search<'a> {
    fn new(rules: &'a Queue, people: Vec<(Slot, &'a Waiting)>, oldest: Millis, now: Millis) -> Self {
        let rows = vec![None; people.len()];
        let needs = Needs::default();
        Self {
            rules,
            oldest,
            now,
            people,
            rows,
            chosen: vec![0],
            needs,
            team_size: 0,
            tries: 0,
            tries_max: 0,
            steps: 0,
        }
    }

    /// A match of as many players as possible, of those that there are.
    fn run(mut self, sizes: RangeInclusive<u32>, players: u32, steps: &mut u64) -> Option<Chosen<'a>> {
        let exact = self.people.len() <= EXACT_TICKETS;
        let (least, most) = (*sizes.start(), (*sizes.end()).min(players));
        let share = (TRIES_MAX / u64::from(most - least + 1)).max(TRIES_MIN);
        let own = self.people[0].1.size();
        let mut found = None;
        for size in (least.max(own)..=most).rev() {
            self.tries_max = if exact { EXACT_TRIES_MAX } else { self.tries + share };
            self.needs = self.needs_of(size);
            self.team_size = match self.rules.format {
                Format::Teams { team_count, .. } => size.div_ceil(team_count.get()),
                Format::FreeForAll { .. } => 1,
            };
            found = match size - own {
                _ if own > self.team_size => None,
                0 => self.split(),
                missing => {
                    let left = self.row(0);
                    self.extend(missing, left)
                }
            };
            if found.is_some() {
                break;
            }
        }
        *steps += self.steps;
        let split = found?;
        let chosen = || self.chosen.iter().map(|at| self.people[*at]);
        let members = chosen().zip(split.teams).map(|((slot, _), team)| (slot, team)).collect();
        Some((members, chosen().map(|(_, waiting)| waiting).collect()))
    }

    /// Chooses among those that are left until nobody is missing. On success who was chosen stays chosen.
    fn extend(&mut self, missing: u32, mut left: Box<[u64]>) -> Option<Split> {
        let mut available: u32 = bits(&left).map(|at| self.people[at].1.size()).sum();
        self.steps += 1 + left.len() as u64;
        while available >= missing && self.tries < self.tries_max && self.can_meet_needs(missing, &left) {
            let next = bits(&left).next()?;
            left[next / 64] &= !(1 << (next % 64));
            let size = self.people[next].1.size();
            available -= size;
            self.tries += 1;
            self.steps += 1;
            if size > missing.min(self.team_size) || !self.admits(next, missing - size) {
                continue;
            }
            self.chosen.push(next);
            let found = if size == missing {
                self.split()
            } else {
                let row = self.row(next);
                let rest = left.iter().zip(row).map(|(left, row)| left & row).collect();
                self.extend(missing - size, rest)
            };
            if found.is_some() {
                return found;
            }
            self.chosen.pop();
        }
        None
    }

    /// Makes teams of who was chosen, if they can be equal enough.
    fn split(&mut self) -> Option<Split> {
        let members: Vec<&Waiting> = self.chosen.iter().map(|at| self.people[*at].1).collect();
        let mut tries = 0;
        let split = match self.rules.format {
            Format::Teams { team_count, .. } => {
                let count = usize::try_from(team_count.get()).ok()?;
                split::best(&members, count, &self.needs, self.rules, &mut tries)
            }
            Format::FreeForAll { .. } => {
                let meets = |waiting: &&Waiting| self.needs.per_team.iter().all(|need| need.of(waiting) >= need.least);
                members.iter().all(meets).then(|| split::alone(&members, self.rules))
            }
        };
        self.tries += tries;
        self.steps += tries + members.len() as u64;
        let youngest = members.iter().map(|waiting| age(waiting.created, self.now)).min()?;
        let limit = self.rules.balance.as_ref().map_or(f64::INFINITY, |rule| limit_at(rule, youngest));
        split.filter(|split| split.imbalance <= limit + ROUNDING)
    }

    /// Whether somebody may join those that were chosen, so many being missing afterwards.
    fn admits(&self, next: usize, missing: u32) -> bool {
        let waiting = self.people[next].1;
        let needs = self.needs.whole.iter().all(|need| self.lacks(*need).saturating_sub(need.of(waiting)) <= missing);
        needs && self.is_within_ranges(waiting)
    }

    /// Whether all values stay within the ranges, which is more than that those of every two are.
    fn is_within_ranges(&self, next: &Waiting) -> bool {
        self.rules.properties.iter().enumerate().all(|(place, rule)| {
            let PropertyCheck::Range(limit) = &rule.check else { return true };
            if !holds(rule, self.oldest) {
                return true;
            }
            let members = || self.chosen.iter().map(|at| self.people[*at].1).chain([next]);
            let facts = members().map(|waiting| waiting.facts[place].clone());
            let both = |one: Fact, other: Fact| match (&one, &other) {
                (Fact::Span(low, high), Fact::Span(other_low, other_high)) => {
                    Fact::Span(low.min(*other_low), high.max(*other_high))
                }
                _ => Fact::Unfit,
            };
            let youngest = members().map(|waiting| age(waiting.created, self.now)).min().unwrap_or(0);
            let all = facts.reduce(both).unwrap_or(Fact::Unfit);
            spread(&all, &all).is_some_and(|spread| spread <= limit_at(limit, youngest))
        })
    }

    fn can_meet_needs(&self, missing: u32, left: &[u64]) -> bool {
        self.needs.whole.iter().all(|need| {
            let lacking = self.lacks(*need);
            lacking <= missing && bits(left).map(|at| need.of(self.people[at].1)).sum::<u32>() >= lacking
        })
    }

    /// How many players are missing who count.
    fn lacks(&self, need: Need) -> u32 {
        let there: u32 = self.chosen.iter().map(|at| need.of(self.people[*at].1)).sum();
        need.least.saturating_sub(there)
    }

    fn needs_of(&self, players: u32) -> Needs {
        let teams = match self.rules.format {
            Format::Teams { team_count, .. } => team_count.get(),
            Format::FreeForAll { .. } => players,
        };
        let mut needs = Needs::default();
        for (place, rule) in self.rules.properties.iter().enumerate().filter(|(_, rule)| holds(rule, self.oldest)) {
            if let PropertyCheck::AtLeast { count, per_team, .. } = &rule.check {
                let mut need = Need { rule: place, least: count.get() };
                if *per_team {
                    needs.per_team.push(need);
                    need.least = need.least.saturating_mul(teams);
                }
                needs.whole.push(need);
            }
        }
        needs
    }

    /// Who fits somebody.
    fn row(&mut self, at: usize) -> Box<[u64]> {
        if self.rows[at].is_none() {
            self.steps += self.people.len() as u64;
            let mut row = vec![0; self.people.len().div_ceil(64)];
            for (other, (_, waiting)) in self.people.iter().enumerate() {
                if other != at && fit_now(self.rules, self.people[at].1, waiting, self.oldest, self.now) {
                    row[other / 64] |= 1 << (other % 64);
                }
            }
            self.rows[at] = Some(row.into());
        }
        self.rows[at].clone().unwrap_or_default()
    }
}

/// The places of the bits that are set.
fn bits(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(place, word)| {
        let mut word = *word;
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
            word &= word - 1;
            Some(64 * place + bit)
        })
    })
}

//! Rules and tickets to match by, and every match that there is, by trying all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use pkg_definition::{
    AttributeKey, AttributeValue, Attributes, Finite, Format, Key, PropertyCheck, PropertyRule, Queue, RatingRule,
    Region, RegionRule, RelaxingLimit, SessionTemplate,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Broken, Proposal, ProposedTeam, fits_rules};
use crate::rating::{Rating, Strength, beta, imbalance, win_probabilities};
use crate::ticket::{Latencies, Player, Regions, Ticket};

/// When tests begin, in seconds since 1970.
const BEGIN: i64 = 1_780_000_000;

pub(crate) fn at(millis: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(BEGIN) + time::Duration::milliseconds(millis)
}

pub(crate) fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("it is not 0")
}

pub(crate) fn finite(number: f64) -> Finite {
    Finite::new(number).expect("it is finite")
}

pub(crate) fn teams(team_count: u32, sizes: std::ops::RangeInclusive<u32>) -> Format {
    Format::Teams {
        team_count: some(team_count),
        min_team_size: some(*sizes.start()),
        max_team_size: some(*sizes.end()),
    }
}

pub(crate) fn limit(start: f64, growth: f64, ceiling: f64) -> RelaxingLimit {
    RelaxingLimit { start: finite(start), growth_per_second: finite(growth), ceiling: finite(ceiling) }
}

/// A queue with ratings around 25, in one region, and no other rules.
pub(crate) fn queue(format: Format) -> Queue {
    Queue {
        key: Key::parse("queue").expect("it is a key"),
        title: String::new(),
        format,
        start_with_fewer: Vec::new(),
        rating_window: None,
        balance: None,
        region: RegionRule { regions: BTreeSet::from([Region::Global]), any_region_after: None },
        latency: None,
        properties: Vec::new(),
        rating: Some(RatingRule {
            initial_skill: finite(25.0),
            initial_uncertainty: finite(25.0 / 3.0),
            beta: finite(25.0 / 6.0),
        }),
        tick: Duration::from_millis(250),
        ticket_lifetime: Duration::from_mins(5),
        presence_timeout: Duration::from_secs(45),
        session: SessionTemplate {
            team_names: Vec::new(),
            attributes: Attributes::default(),
            start_when_connected: false,
            player_owner: false,
        },
    }
}

pub(crate) fn rule(property: &str, check: PropertyCheck, drop_after: Option<Duration>) -> PropertyRule {
    PropertyRule { property: AttributeKey::parse(property).expect("it is a key"), check, drop_after }
}

/// A player with this number.
pub(crate) fn player(number: u128, skill: f64) -> Player {
    Player {
        id: Uuid::from_u128(number),
        rating: Rating::new(skill, 2.0).expect("it is finite"),
        latencies: Latencies::UNKNOWN,
        properties: Attributes::default(),
    }
}

/// A ticket with this number, of players with these skills.
pub(crate) fn ticket(number: u128, created: i64, skills: &[f64]) -> Ticket {
    let players = skills.iter().zip(1..).map(|(skill, place)| player(number * 1_000 + place, *skill));
    Ticket { id: Uuid::from_u128(number), players: players.collect(), regions: Regions::NONE, created: at(created) }
}

pub(crate) fn attributes(given: &[(&str, AttributeValue)]) -> Attributes {
    let attributes: BTreeMap<_, _> =
        given.iter().map(|(key, value)| (AttributeKey::parse(key).expect("it is a key"), value.clone())).collect();
    Attributes::new(attributes).expect("they are few")
}

/// All matches of these tickets with the first one in them that keep the rules, until `enough` says so.
pub(crate) fn every_match(
    tickets: &[Ticket],
    rules: &Queue,
    now: OffsetDateTime,
    mut enough: impl FnMut(&Proposal) -> bool,
) {
    let Some((first, others)) = tickets.split_first() else { return };
    for chosen in 0_u32..1 << others.len() {
        let others = others.iter().enumerate().filter(|(place, _)| chosen & (1 << place) != 0);
        let members = std::iter::once(first).chain(others.map(|(_, ticket)| ticket));
        let members: Vec<Arc<Ticket>> = members.cloned().map(Arc::new).collect();
        if splits_of(&members, rules, now, &mut enough) {
            return;
        }
    }
}

/// The same of just these tickets; whether `enough` said so.
pub(crate) fn splits_of(
    members: &[Arc<Ticket>],
    rules: &Queue,
    now: OffsetDateTime,
    enough: &mut impl FnMut(&Proposal) -> bool,
) -> bool {
    let players: usize = members.iter().map(|ticket| ticket.players.len()).sum();
    if players > rules.format.max_players() as usize {
        return false;
    }
    let teams = match rules.format {
        Format::Teams { team_count, .. } => team_count.get() as usize,
        Format::FreeForAll { .. } => players,
    };
    for region in &rules.region.regions {
        let mut assigned = Vec::new();
        let mut hopeless = false;
        let mut visit = |assigned: &[usize]| {
            let proposal = proposal(members, assigned, teams, *region, rules);
            match fits_rules(&proposal, rules, now) {
                Ok(()) => enough(&proposal),
                // Whatever the teams are.
                Err(Broken::Rating | Broken::Region | Broken::Latency | Broken::Players) => {
                    hopeless = true;
                    true
                }
                Err(_) => false,
            }
        };
        let ended = assign(members, teams, players.div_ceil(teams), &mut assigned, &mut visit);
        if ended && !hopeless {
            return true;
        }
    }
    false
}

/// All ways to give tickets to teams of this size at most; teams are alike, so a ticket opens no more than one.
fn assign(
    members: &[Arc<Ticket>],
    teams: usize,
    size: usize,
    assigned: &mut Vec<usize>,
    visit: &mut impl FnMut(&[usize]) -> bool,
) -> bool {
    let Some(next) = members.get(assigned.len()) else { return visit(assigned) };
    let open = assigned.iter().copied().max().map_or(0, |last| last + 1);
    for team in 0..teams.min(open + 1) {
        let there = assigned.iter().zip(members).filter(|(other, _)| **other == team);
        if there.map(|(_, ticket)| ticket.players.len()).sum::<usize>() + next.players.len() <= size {
            assigned.push(team);
            let ended = assign(members, teams, size, assigned, visit);
            assigned.pop();
            if ended {
                return true;
            }
        }
    }
    false
}

fn proposal(members: &[Arc<Ticket>], assigned: &[usize], count: usize, region: Region, rules: &Queue) -> Proposal {
    let team =
        |number| members.iter().zip(assigned).filter(move |(_, team)| **team == number).map(|(ticket, _)| ticket);
    let strength =
        |number| team(number).flat_map(|ticket| &ticket.players).map(|player| &player.rating).collect::<Strength>();
    let strengths: Vec<Strength> = (0..count).map(strength).collect();
    let probabilities = rules.rating.as_ref().map(|rating| win_probabilities(&strengths, beta(rating)));
    let proposed = |number: usize| ProposedTeam {
        players: team(number).flat_map(|ticket| &ticket.players).map(|player| player.id).collect(),
        win_probability: probabilities.as_ref().map(|all| all[number]),
    };
    Proposal {
        tickets: members.to_vec(),
        region,
        teams: (0..count).map(proposed).collect(),
        imbalance: probabilities.as_deref().map(imbalance),
    }
}

//! A match that fits, made of the tickets that were found.

use std::sync::Arc;

use pkg_definition::{Format, Queue, Region};
use uuid::Uuid;

use super::limits::Millis;
use super::waiting::Waiting;
use crate::rating::{Strength, beta, imbalance, win_probabilities};
use crate::ticket::{Latencies, Regions, Ticket};

/// A match that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its tickets, the oldest first.
    pub tickets: Vec<Arc<Ticket>>,
    /// Where it is played: of the regions that all take, the one whose slowest connection is the fastest. Of equal ones, or
    /// where no latency is known, the first in the order of [`Region`].
    pub region: Region,
    /// Its teams; the first is that of the oldest ticket. In a match of everyone for themselves, one for each player.
    pub teams: Vec<ProposedTeam>,
    /// How unequal they are, |p − 1/n|; `None` in queues without ratings.
    pub imbalance: Option<f64>,
}

/// A team of a match.
#[derive(Debug, Clone, PartialEq)]
pub struct ProposedTeam {
    /// Who plays in it; those of the oldest ticket first.
    pub players: Vec<Uuid>,
    /// How probably it wins; `None` in queues without ratings.
    pub win_probability: Option<f64>,
}

impl Proposal {
    /// Two tickets that fit: the same as [`Self::new`], faster.
    pub(super) fn pair(one: Waiting, other: Waiting, region: Region, rules: &Queue) -> Self {
        let (one, other) = if one.age() < other.age() { (one, other) } else { (other, one) };
        let rating = rules.rating.as_ref();
        let probabilities = rating.map(|rating| win_probabilities(&[one.strength, other.strength], beta(rating)));
        let team = |number: usize, waiting: &Waiting| ProposedTeam {
            players: waiting.ticket.players.iter().map(|player| player.id).collect(),
            win_probability: probabilities.as_ref().map(|all| all[number]),
        };
        Self {
            region,
            teams: vec![team(0, &one), team(1, &other)],
            imbalance: probabilities.as_deref().map(imbalance),
            tickets: vec![one.ticket, other.ticket],
        }
    }

    /// Tickets that fit, each with the number of its team.
    pub(super) fn new(mut members: Vec<(Waiting, usize)>, region: Region, rules: &Queue) -> Self {
        members.sort_by_key(|(waiting, _)| waiting.age());
        let mut teams: Vec<(usize, ProposedTeam, Strength)> = Vec::with_capacity(2);
        let everyone_alone = matches!(rules.format, Format::FreeForAll { .. });
        for (waiting, number) in &members {
            let players = waiting.ticket.players.iter().map(|player| player.id);
            let team = teams.iter_mut().find(|(known, ..)| known == number && !everyone_alone);
            if let Some((_, team, strength)) = team {
                team.players.extend(players);
                *strength = strength.and(waiting.strength);
            } else {
                let team = ProposedTeam { players: players.collect(), win_probability: None };
                teams.push((*number, team, waiting.strength));
            }
        }
        let mut unequal = None;
        if let Some(rating) = &rules.rating {
            let strengths: Vec<Strength> = teams.iter().map(|(.., strength)| *strength).collect();
            let probabilities = win_probabilities(&strengths, beta(rating));
            unequal = Some(imbalance(&probabilities));
            for ((_, team, _), probability) in teams.iter_mut().zip(probabilities) {
                team.win_probability = Some(probability);
            }
        }
        Self {
            region,
            teams: teams.into_iter().map(|(_, team, _)| team).collect(),
            imbalance: unequal,
            tickets: members.into_iter().map(|(waiting, _)| waiting.ticket).collect(),
        }
    }
}

/// The best region for all of them, if they have one in common.
pub(super) fn region<'a>(
    members: impl Iterator<Item = &'a Waiting> + Clone,
    rules: &Queue,
    now: Millis,
) -> Option<Region> {
    let common = members.clone().map(|waiting| waiting.playable(rules, now)).reduce(Regions::and)?;
    let slowest = members.map(|waiting| waiting.latencies).reduce(|one, other| one.slower(&other))?;
    let latency = |latencies: &Latencies, region| latencies.millis(region).unwrap_or(u16::MAX);
    common.iter().min_by_key(|region| latency(&slowest, *region))
}

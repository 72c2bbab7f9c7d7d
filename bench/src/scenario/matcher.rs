//! The matcher alone: no service, no store, one core.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use matchmaking_service::matcher::{Budget, Matcher, fits_rules};
use matchmaking_service::rating::Rating;
use matchmaking_service::ticket::{Latencies, Player, Regions, Ticket};
use pkg_definition::{
    Attributes, Finite, Format, Key, LatencyRule, Queue, RatingRule, Region, RegionRule, RelaxingLimit, SessionTemplate,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::load::Dice;
use crate::process::resident_bytes;
use crate::report::{Report, Target};

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const PAIRS: u32 = 100_000;
const MOST: u32 = 1_000_000;
/// How many come in one run while so many wait.
const BATCH: usize = 5_000;
/// Of several runs the fastest counts: others use the machine as well.
const RUNS: usize = 10;
const REGIONS: [Region; 4] = [Region::NaEast, Region::NaWest, Region::EuWest, Region::AsiaEast];
/// How far apart the skills are of those who wait in vain, in points.
const SPACING: f64 = 10.0;

const PAIRS_TARGET: Target = Target::AtMost(50.0);
const ARRIVAL_TARGET: Target = Target::AtMost(5.0);
const TEAMS_TARGET: Target = Target::AtLeast(50_000.0);
const MEMORY_TARGET: Target = Target::Below(1_024.0);

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    memory(report)?;
    report.tell("100,000 in a bare sorted structure, taken out two by two", best(|| Ok(bare(PAIRS)))?, "ms");
    let pairs = best(|| pairs(PAIRS))?;
    report.compare("100,000 waiting 1v1 tickets, all matched", pairs, "ms", PAIRS_TARGET);
    for size in SIZES {
        let target = (size == MOST).then_some(ARRIVAL_TARGET);
        let (alone, matched) = arrivals(size)?;
        figure(report, &format!("an arrival that waits, {size} waiting 1v1"), alone, "µs", target);
        figure(report, &format!("an arrival that is matched, {size} waiting 1v1"), matched, "µs", target);
    }
    for size in SIZES {
        let per_ticket = if size == MOST { pairs_once(size)? } else { best(|| pairs_once(size))? };
        report.tell(&format!("1v1 per ticket, {size} waiting, all matched"), per_ticket, "µs");
    }
    for size in SIZES {
        let per_second = teams(size)?;
        let target = (size >= PAIRS).then_some(TEAMS_TARGET);
        figure(report, &format!("5v5 with regions and balance, {size} waiting"), per_second, "tickets/s", target);
    }
    Ok(())
}

fn figure(report: &mut Report, what: &str, measured: f64, unit: &'static str, target: Option<Target>) {
    match target {
        Some(target) => report.compare(what, measured, unit, target),
        None => report.tell(what, measured, unit),
    }
}

fn best(mut run: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let runs: Vec<f64> = (0..RUNS).map(|_| run()).collect::<anyhow::Result<_>>()?;
    Ok(runs.into_iter().fold(f64::INFINITY, f64::min))
}

/// The memory of one ticket that waits, with all that belongs to it, in bytes.
fn memory(report: &mut Report) -> anyhow::Result<()> {
    // They all stay until the end: memory that was given back would be used again.
    let mut kept = Vec::new();
    for (what, rules, regions) in [
        ("memory of a waiting ticket, 1v1", duel(5.0, 5.0), 1),
        ("memory of a waiting ticket, 5v5 in one to three of four regions", team_fight(), 3),
    ] {
        let mut dice = Dice(7);
        let before = resident_bytes(process::id())?;
        let mut matcher = Matcher::new(rules);
        for number in 0..MOST {
            matcher.restore(player(&mut dice, number, regions), moment(60_000));
        }
        let after = resident_bytes(process::id())?;
        ensure!(matcher.len() == MOST as usize, "tickets are missing");
        let bytes = float(usize::try_from(after.saturating_sub(before))?) / f64::from(MOST);
        report.compare(what, bytes, "bytes", MEMORY_TARGET);
        kept.push(matcher);
    }
    Ok(())
}

/// The floor: what keeps tickets in order, and nothing else. In milliseconds.
fn bare(count: u32) -> f64 {
    let mut dice = Dice(1);
    let mut sorted: BTreeMap<(u32, u32), Uuid> = BTreeMap::new();
    for number in 0..count {
        sorted.insert((dice.below(1_000_000), number), Uuid::from_u128(number.into()));
    }
    let mut made = Vec::new();
    let began = Instant::now();
    while let (Some(one), Some(other)) = (sorted.pop_first(), sorted.pop_first()) {
        made.push((one.1, other.1));
    }
    let took = millis(began);
    assert_eq!(made.len(), count as usize / 2);
    took
}

/// One tick that matches everyone, in milliseconds.
fn pairs(count: u32) -> anyhow::Result<f64> {
    // Wide enough for whoever is left at the ends.
    let rules = duel(2_000.0, 2_000.0);
    let mut matcher = Matcher::new(rules.clone());
    let mut dice = Dice(2);
    for number in 0..count {
        matcher.restore(player(&mut dice, number, 0), moment(60_000));
    }
    let began = Instant::now();
    let ticked = matcher.tick(moment(60_000), Budget::UNLIMITED);
    let took = millis(began);
    ensure!(matcher.len() < 2 && ticked.proposals.len() == count as usize / 2, "{} were left over", matcher.len());
    for proposal in ticked.proposals.iter().step_by(97) {
        fits_rules(proposal, &rules, moment(60_000))?;
    }
    Ok(took)
}

/// The same for each ticket, in microseconds.
fn pairs_once(count: u32) -> anyhow::Result<f64> {
    Ok(pairs(count)? * 1e3 / f64::from(count))
}

/// What an arrival costs, in microseconds, while so many wait in vain: one that waits as well, and one that is matched.
fn arrivals(count: u32) -> anyhow::Result<(f64, f64)> {
    // Those who wait fit nobody now, and eight others in a few minutes.
    let rules = duel(1.0, 40.0);
    let mut matcher = Matcher::new(rules);
    let mut dice = Dice(3);
    let mut places: Vec<u32> = (0..count).collect();
    for at in 0..places.len() {
        let other = dice.place(places.len());
        places.swap(at, other);
    }
    let ticket = |number: u32, skill: f64| solo(number, skill, 60_000, Regions::NONE, Latencies::UNKNOWN);
    for (number, place) in places.iter().enumerate() {
        let found = matcher.insert(ticket(u32::try_from(number)?, f64::from(*place) * SPACING), moment(60_000));
        ensure!(found.is_none(), "somebody was matched too early");
    }
    let mut number = count;
    let mut fastest = |offset: f64, matched: bool| -> anyhow::Result<f64> {
        // Each place once, all runs together.
        let mut batches = places.chunks(BATCH.min(places.len() / RUNS));
        best(|| {
            let tickets: Vec<Ticket> = batches
                .next()
                .into_iter()
                .flatten()
                .map(|place| {
                    number += 1;
                    ticket(number, f64::from(*place) * SPACING + offset)
                })
                .collect();
            let mut found = Vec::with_capacity(tickets.len());
            let (asked, began) = (tickets.len(), Instant::now());
            for ticket in tickets {
                found.push(matcher.insert(ticket, moment(60_000)));
            }
            let took = millis(began) * 1e3 / float(asked);
            ensure!(found.iter().all(|it| it.is_some() == matched), "not all {asked} were treated as they should");
            Ok(took)
        })
    };
    Ok((fastest(0.5 * SPACING, false)?, fastest(0.5, true)?))
}

/// How many tickets a second ticks put into matches, while there are enough.
fn teams(count: u32) -> anyhow::Result<f64> {
    let rules = team_fight();
    let mut matcher = Matcher::new(rules.clone());
    let mut dice = Dice(4);
    for number in 0..count {
        matcher.restore(party(&mut dice, number), moment(60_000));
    }
    let began = Instant::now();
    let ticked = matcher.tick(moment(60_000), Budget::UNLIMITED);
    let took = began.elapsed().as_secs_f64();
    let placed: usize = ticked.proposals.iter().map(|proposal| proposal.tickets.len()).sum();
    ensure!(placed * 10 > count as usize * 9, "{placed} of {count} were matched");
    for proposal in ticked.proposals.iter().step_by(97) {
        fits_rules(proposal, &rules, moment(60_000))?;
    }
    Ok(float(placed) / took)
}

/// A 1v1 queue whose window begins and ends so wide, in points.
fn duel(start: f64, ceiling: f64) -> Arc<Queue> {
    let one = NonZeroU32::MIN;
    let two = one.saturating_add(1);
    Arc::new(Queue {
        rating_window: Some(limit(start, 1.0, ceiling)),
        ..queue(Format::Teams { team_count: two, min_team_size: one, max_team_size: one })
    })
}

fn team_fight() -> Arc<Queue> {
    let size = NonZeroU32::MIN.saturating_add(4);
    let latency = LatencyRule {
        start: Duration::from_millis(60),
        growth_per_second: Duration::from_millis(2),
        ceiling: Duration::from_millis(150),
    };
    Arc::new(Queue {
        rating_window: Some(limit(100.0, 10.0, 500.0)),
        balance: Some(limit(0.05, 0.005, 0.2)),
        region: RegionRule { regions: BTreeSet::from(REGIONS), any_region_after: Some(Duration::from_mins(2)) },
        latency: Some(latency),
        ..queue(Format::Teams {
            team_count: NonZeroU32::MIN.saturating_add(1),
            min_team_size: size,
            max_team_size: size,
        })
    })
}

fn queue(format: Format) -> Queue {
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
            initial_skill: finite(1_500.0),
            initial_uncertainty: finite(500.0),
            beta: finite(250.0),
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

fn limit(start: f64, growth: f64, ceiling: f64) -> RelaxingLimit {
    RelaxingLimit { start: finite(start), growth_per_second: finite(growth), ceiling: finite(ceiling) }
}

fn finite(number: f64) -> Finite {
    Finite::new(number).expect("it is finite")
}

/// One player of a skill around the middle, for one region or more. They come in the order of their numbers.
fn player(dice: &mut Dice, number: u32, regions: usize) -> Ticket {
    let skill = dice.skill();
    let created = 60_000 * u64::from(number) / u64::from(MOST);
    let near = dice.place(REGIONS.len());
    let (mut asked, mut latencies) = (Vec::new(), Vec::new());
    for (place, region) in REGIONS.iter().enumerate().take(if regions == 0 { 0 } else { 4 }) {
        let far = (place + 4 - near) % 4;
        latencies.push((*region, Duration::from_millis(15 + 40 * far as u64 + u64::from(dice.below(20)))));
        if far < dice.place(regions + 1) {
            asked.push(*region);
        }
    }
    let asked = if regions < 2 { Regions::NONE } else { asked.into_iter().collect() };
    solo(number, skill, created, asked, latencies.into_iter().collect())
}

/// Mostly one player, sometimes two or three.
fn party(dice: &mut Dice, number: u32) -> Ticket {
    let mut ticket = player(dice, number, 3);
    let friends = [0_u32, 0, 0, 0, 0, 0, 0, 0, 1, 2][dice.place(10)];
    for friend in 1..=friends {
        let mut player = ticket.players[0].clone();
        player.id = Uuid::from_u128((u128::from(friend) << 64) + u128::from(number));
        ticket.players.push(player);
    }
    ticket
}

fn solo(number: u32, skill: f64, created: u64, regions: Regions, latencies: Latencies) -> Ticket {
    let rating = Rating::new(skill, 80.0).expect("it is finite");
    // Ids as they are: those of one time lie together.
    let id = Uuid::from_u128((u128::from(created) << 80) + u128::from(number));
    let player = Player { id, rating, latencies, properties: Attributes::default() };
    Ticket { id, players: vec![player], regions, created: moment(created) }
}

fn moment(millis: u64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::from_hours(500_000) + Duration::from_millis(millis)
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

impl Dice {
    /// A number below another, which is not 0.
    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.roll() % u64::from(end)).expect("it is below a small number")
    }

    /// A place in a list that is not empty.
    fn place(&mut self, length: usize) -> usize {
        let end = u32::try_from(length).expect("lists are short");
        self.below(end) as usize
    }

    /// Around 1,500, most of them within 500.
    fn skill(&mut self) -> f64 {
        let sum: u32 = (0..4).map(|_| self.below(500_000)).sum();
        500.0 + f64::from(sum) / 1_000.0
    }
}

fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

//! Queues: who may meet whom, and how long one waits for a better match.

mod limits;
mod properties;
mod template;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use pkg_api::game::v1 as api;
use pkg_api::game::v1::queue_definition as given_queue;

use crate::attributes::Finite;
use crate::key::Key;
use crate::reading::Reading;
use crate::region::Region;

pub use limits::{LatencyRule, RelaxingLimit};
pub use properties::{Counted, PropertyCheck, PropertyRule};
pub use template::{SessionTemplate, TeamName};

/// How many steps `start_with_fewer` has at most.
const STEPS_MAX: usize = 8;
/// How many rules on properties a queue has at most.
const PROPERTIES_MAX: usize = 16;
/// No ticket waits for longer, so nothing happens later either.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
const TICK: Duration = Duration::from_millis(250);
const TICKET_LIFETIME: Duration = Duration::from_mins(5);
const PRESENCE_TIMEOUT: Duration = Duration::from_secs(45);
const INITIAL_SKILL: f64 = 25.0;
const INITIAL_UNCERTAINTY: f64 = 25.0 / 3.0;
/// How far skills are from 0 at most, and how large the other numbers of ratings are at most and at least.
const POINTS_MAX: f64 = 1e9;
const POINTS_MIN: f64 = 1e-6;
const GREATEST_IMBALANCE: f64 = 0.5;

/// A queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name within the game.
    pub key: Key,
    /// A name to show; may be empty.
    pub title: String,
    /// The shape of a match.
    pub format: Format,
    /// When fewer players are enough: the wait rises, the number falls.
    pub start_with_fewer: Vec<StartWithFewer>,
    /// How far apart ratings may be, in points of skill; `None`: they do not matter.
    pub rating_window: Option<RelaxingLimit>,
    /// How unequal teams may be, as |p − 1/n|; `None`: the best split, whatever it is.
    pub balance: Option<RelaxingLimit>,
    /// Where matches are played.
    pub region: RegionRule,
    /// How slow connections may be; `None`: it does not matter.
    pub latency: Option<LatencyRule>,
    /// What is asked of the players' properties.
    pub properties: Vec<PropertyRule>,
    /// How ratings start and change; `None`: the queue keeps none.
    pub rating: Option<RatingRule>,
    /// How often larger teams are looked for.
    pub tick: Duration,
    /// How long a ticket may wait.
    pub ticket_lifetime: Duration,
    /// After how long without a stream or a call a player counts as gone.
    pub presence_timeout: Duration,
    /// What the sessions of the queue start with.
    pub session: SessionTemplate,
}

/// The shape of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Teams against each other.
    Teams {
        /// How many: 2 to 16.
        team_count: NonZeroU32,
        /// The fewest players of a team.
        min_team_size: NonZeroU32,
        /// The most players of a team: at least the fewest, 100 at most.
        max_team_size: NonZeroU32,
    },
    /// Everyone for themselves.
    FreeForAll {
        /// The fewest players: 2 or more.
        min_players: NonZeroU32,
        /// The most players: at least the fewest, 100 at most.
        max_players: NonZeroU32,
    },
}

/// Fewer players are enough once the oldest ticket of a match has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartWithFewer {
    /// How long it has waited.
    pub after: Duration,
    /// How many players in all are enough from then on.
    pub min_players: NonZeroU32,
}

/// Where matches are played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionRule {
    /// The regions on offer, one or more.
    pub regions: BTreeSet<Region>,
    /// After how long a ticket takes every region on offer; `None`: never.
    pub any_region_after: Option<Duration>,
}

/// Where ratings start, and how fast they move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatingRule {
    /// The skill of a new player, ±10⁹.
    pub initial_skill: Finite,
    /// Their uncertainty, 10⁻⁶ to 10⁹.
    pub initial_uncertainty: Finite,
    /// The difference in skill that makes a win likely, 10⁻⁶ to 10⁹.
    pub beta: Finite,
}

impl Queue {
    /// A full match fits into a session, which takes `session_players` at most.
    pub(crate) fn read(given: &api::QueueDefinition, session_players: NonZeroU32, at: &mut Reading) -> Self {
        let second = Duration::from_secs(1);
        let key = at.key("key", &given.key);
        let format = Format::read(given.format.as_ref(), session_players, at);
        let tick = Duration::from_millis(50)..=10 * second;
        let presence = 5 * second..=Duration::from_mins(10);
        for (field, is_given) in
            [("rating_window", given.rating_window.is_some()), ("balance", given.balance.is_some())]
        {
            if is_given && given.rating.is_none() {
                at.refuse(field, "needs rating: without it the queue keeps no ratings to compare");
            }
        }
        Self {
            key,
            title: at.title("title", &given.title),
            format,
            start_with_fewer: steps(&given.start_with_fewer, format, at),
            rating_window: given.rating_window.as_ref().map(|window| {
                let distance = window.distance.as_ref();
                at.within("rating_window", |at| RelaxingLimit::required("distance", distance, f64::MAX, at))
            }),
            balance: given.balance.as_ref().map(|balance| {
                let imbalance = balance.imbalance.as_ref();
                at.within("balance", |at| RelaxingLimit::required("imbalance", imbalance, GREATEST_IMBALANCE, at))
            }),
            region: RegionRule::read(given.region.as_ref(), at),
            latency: given.latency.as_ref().map(|latency| at.within("latency", |at| LatencyRule::read(latency, at))),
            properties: properties(&given.properties, format, at),
            rating: given.rating.as_ref().map(|rating| at.within("rating", |at| RatingRule::read(rating, at))),
            tick: at.span("tick", given.tick, tick, TICK),
            ticket_lifetime: at.span("ticket_lifetime", given.ticket_lifetime, second..=LONGEST_WAIT, TICKET_LIFETIME),
            presence_timeout: at.span("presence_timeout", given.presence_timeout, presence, PRESENCE_TIMEOUT),
            session: at.within("session", |at| {
                SessionTemplate::read(given.session.as_ref().unwrap_or(&api::SessionTemplate::default()), format, at)
            }),
        }
    }
}

impl Format {
    /// The fewest players of a match.
    #[must_use]
    pub fn min_players(self) -> u32 {
        match self {
            Self::Teams { team_count, min_team_size, .. } => team_count.get() * min_team_size.get(),
            Self::FreeForAll { min_players, .. } => min_players.get(),
        }
    }

    /// The most players of a match.
    #[must_use]
    pub fn max_players(self) -> u32 {
        match self {
            Self::Teams { team_count, max_team_size, .. } => team_count.get() * max_team_size.get(),
            Self::FreeForAll { max_players, .. } => max_players.get(),
        }
    }

    /// How many teams there are; 0 if everyone plays for themselves.
    #[must_use]
    pub fn team_count(self) -> u32 {
        match self {
            Self::Teams { team_count, .. } => team_count.get(),
            Self::FreeForAll { .. } => 0,
        }
    }

    /// The most players of a team; one if everyone plays for themselves.
    #[must_use]
    pub fn max_team_size(self) -> u32 {
        match self {
            Self::Teams { max_team_size, .. } => max_team_size.get(),
            Self::FreeForAll { .. } => 1,
        }
    }

    fn read(given: Option<&given_queue::Format>, session_players: NonZeroU32, at: &mut Reading) -> Self {
        let (field, format) = match given {
            Some(given_queue::Format::Teams(teams)) => ("teams", at.within("teams", |at| Self::read_teams(*teams, at))),
            Some(given_queue::Format::FreeForAll(all)) => {
                ("free_for_all", at.within("free_for_all", |at| Self::read_free_for_all(*all, at)))
            }
            None => {
                at.refuse("format", "has one of teams and free_for_all");
                return Self::FreeForAll { min_players: TWO, max_players: TWO };
            }
        };
        if format.max_players() > session_players.get() {
            let most = format.max_players();
            let problem =
                format!("makes matches of {most} players, more than session_rules.max_players, {session_players}");
            at.refuse(field, problem);
        }
        format
    }

    fn read_teams(given: api::TeamFormat, at: &mut Reading) -> Self {
        let max_team_size = at.required_count("max_team_size", given.max_team_size, 1..=100);
        Self::Teams {
            team_count: at.required_count("team_count", given.team_count, 2..=16),
            min_team_size: at.count("min_team_size", given.min_team_size, 1..=max_team_size.get(), max_team_size),
            max_team_size,
        }
    }

    fn read_free_for_all(given: api::FreeForAllFormat, at: &mut Reading) -> Self {
        let max_players = at.required_count("max_players", given.max_players, 2..=100);
        Self::FreeForAll {
            min_players: at.count("min_players", given.min_players, 2..=max_players.get(), max_players),
            max_players,
        }
    }
}

const TWO: NonZeroU32 = NonZeroU32::new(2).expect("not zero");

/// Waits rise and numbers fall, from fewer than a match needs otherwise down to one player for each team.
fn steps(given: &[api::StartWithFewer], format: Format, at: &mut Reading) -> Vec<StartWithFewer> {
    at.at_most("start_with_fewer", given.len(), STEPS_MAX);
    let least = format.team_count().max(TWO.get());
    let mut steps: Vec<StartWithFewer> = Vec::new();
    for (place, step) in given.iter().take(STEPS_MAX).enumerate() {
        at.within(format_args!("start_with_fewer[{place}]"), |at| {
            let after = at.required_span("after", step.after, Duration::ZERO..=LONGEST_WAIT);
            let min_players = at.required_count("min_players", step.min_players, least..=i32::MAX.unsigned_abs());
            if steps.last().is_some_and(|before| after <= before.after) {
                at.refuse("after", "is longer than in the step before");
            }
            let fewer_than = steps.last().map_or(format.min_players(), |before| before.min_players.get());
            if step.min_players > 0 && min_players.get() >= fewer_than {
                at.refuse("min_players", format!("is fewer than {fewer_than}, which are enough before"));
            }
            steps.push(StartWithFewer { after, min_players });
        });
    }
    steps
}

impl RegionRule {
    fn read(given: Option<&api::RegionRule>, at: &mut Reading) -> Self {
        let Some(given) = given else {
            return Self { regions: BTreeSet::from([Region::Global]), any_region_after: None };
        };
        at.within("region", |at| {
            let mut regions = BTreeSet::new();
            for (place, number) in given.regions.iter().enumerate() {
                let field = format!("regions[{place}]");
                match api::Region::try_from(*number).ok().and_then(Region::from_api) {
                    Some(region) if regions.insert(region) => {}
                    Some(_) => at.refuse(field, "is there already: each region once"),
                    None => at.refuse(field, "is a region, such as eu_west"),
                }
            }
            if given.regions.is_empty() {
                regions.extend(Region::ALL);
            }
            let wait = Duration::ZERO..=LONGEST_WAIT;
            Self { regions, any_region_after: at.optional_span("any_region_after", given.any_region_after, wait) }
        })
    }
}

fn properties(given: &[api::PropertyRule], format: Format, at: &mut Reading) -> Vec<PropertyRule> {
    at.at_most("properties", given.len(), PROPERTIES_MAX);
    let rules = given.iter().take(PROPERTIES_MAX).enumerate();
    let read = |(place, rule)| {
        at.within(format_args!("properties[{place}]"), |at| PropertyRule::read(rule, format, LONGEST_WAIT, at))
    };
    rules.filter_map(read).collect()
}

impl RatingRule {
    fn read(given: &api::RatingRule, at: &mut Reading) -> Self {
        let mut number = |field, given: Option<f64>, default: f64, least: f64| {
            let number = Finite::new(given.unwrap_or(default));
            number.filter(|number| (least..=POINTS_MAX).contains(&number.get())).unwrap_or_else(|| {
                at.refuse(field, format!("is a number from {least} to {POINTS_MAX}"));
                Finite::ONE
            })
        };
        let initial_skill = number("initial_skill", given.initial_skill, INITIAL_SKILL, -POINTS_MAX);
        let initial_uncertainty =
            number("initial_uncertainty", given.initial_uncertainty, INITIAL_UNCERTAINTY, POINTS_MIN);
        // The half of the smallest number is too small.
        let half = (initial_uncertainty.get() / 2.0).max(POINTS_MIN);
        Self { initial_skill, initial_uncertainty, beta: number("beta", given.beta, half, POINTS_MIN) }
    }
}

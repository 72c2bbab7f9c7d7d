//! Leaderboards.

use std::num::NonZeroU32;
use std::time::Duration;

use pkg_api::game::v1 as api;

use crate::key::Key;
use crate::reading::{Reading, echo};
use crate::time_zone::TimeZone;

const RATE: SubmissionRate =
    SubmissionRate { count: NonZeroU32::new(10).expect("not zero"), per: Duration::from_secs(1) };

/// A leaderboard: what its scores mean and who may write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaderboard {
    /// Its name within the game.
    pub key: Key,
    /// A name to show; may be empty.
    pub title: String,
    /// Which scores are better.
    pub order: Order,
    /// What becomes of several scores of one player.
    pub operator: Operator,
    /// The periods that one score counts in: one or more, each once.
    pub periods: Vec<Period>,
    /// Whose midnights begin the periods.
    pub time_zone: TimeZone,
    /// Who may write scores.
    pub writers: Writers,
    /// The least value accepted.
    pub min_value: i64,
    /// The greatest value accepted; not below the least.
    pub max_value: i64,
    /// How often one player may submit. It does not bind game servers.
    pub rate: SubmissionRate,
    /// Whether a score must carry a running session in which its player has a seat.
    pub require_seat: bool,
}

/// Which scores are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// High ones.
    HighWins,
    /// Low ones.
    LowWins,
}

/// What becomes of several scores of one player in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The best one counts.
    Best,
    /// The last one counts.
    Last,
    /// Their sum counts.
    Sum,
}

/// A span of time in which scores are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// Without an end.
    AllTime,
    /// From midnight to midnight.
    Daily,
    /// From Monday to Monday.
    Weekly,
    /// From the first of a month to the first of the next.
    Monthly,
}

/// Who may write scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Game servers only.
    Servers,
    /// Players for themselves, and game servers.
    Players,
}

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionRate {
    /// How many times.
    pub count: NonZeroU32,
    /// In how long: 1 s to 1 day.
    pub per: Duration,
}

impl Leaderboard {
    pub(crate) fn read(given: &api::LeaderboardDefinition, at: &mut Reading) -> Self {
        let (min_value, max_value) = (given.min_value.unwrap_or(i64::MIN), given.max_value.unwrap_or(i64::MAX));
        if min_value > max_value {
            at.refuse("max_value", format!("is at least min_value, {min_value}"));
        }
        Self {
            key: at.key("key", &given.key),
            title: at.title("title", &given.title),
            order: at.choice::<api::LeaderboardOrder>("order", given.order).into(),
            operator: at.choice::<api::LeaderboardOperator>("operator", given.operator).into(),
            periods: periods(&given.periods, at),
            time_zone: time_zone(&given.time_zone, at),
            writers: at.choice::<api::LeaderboardWriters>("writers", given.writers).into(),
            min_value,
            max_value,
            rate: given.rate.map_or(RATE, |rate| at.within("rate", |at| SubmissionRate::read(&rate, at))),
            require_seat: given.require_seat,
        }
    }
}

impl SubmissionRate {
    fn read(given: &api::SubmissionRate, at: &mut Reading) -> Self {
        let per = Duration::from_secs(1)..=Duration::from_hours(24);
        Self {
            count: at.required_count("count", given.count, 1..=i32::MAX.unsigned_abs()),
            per: at.required_span("per", given.per, per),
        }
    }
}

fn periods(given: &[i32], at: &mut Reading) -> Vec<Period> {
    let mut periods = Vec::new();
    for (place, number) in given.iter().enumerate() {
        let field = format!("periods[{place}]");
        let period = match api::LeaderboardPeriod::try_from(*number) {
            Ok(api::LeaderboardPeriod::AllTime) => Period::AllTime,
            Ok(api::LeaderboardPeriod::Daily) => Period::Daily,
            Ok(api::LeaderboardPeriod::Weekly) => Period::Weekly,
            Ok(api::LeaderboardPeriod::Monthly) => Period::Monthly,
            Ok(api::LeaderboardPeriod::Unspecified) | Err(_) => {
                at.refuse(field, "is all_time, daily, weekly or monthly");
                continue;
            }
        };
        if periods.contains(&period) {
            at.refuse(field, "is there already: each period once");
        } else {
            periods.push(period);
        }
    }
    if given.is_empty() { vec![Period::AllTime] } else { periods }
}

fn time_zone(given: &str, at: &mut Reading) -> TimeZone {
    if given.is_empty() {
        return TimeZone::UTC;
    }
    TimeZone::parse(given).unwrap_or_else(|| {
        let problem = format!("\"{}\" is not the name of a time zone, such as \"Europe/Vienna\"", echo(given));
        at.refuse("time_zone", problem);
        TimeZone::UTC
    })
}

impl From<api::LeaderboardOrder> for Order {
    fn from(given: api::LeaderboardOrder) -> Self {
        match given {
            api::LeaderboardOrder::Unspecified | api::LeaderboardOrder::HighWins => Self::HighWins,
            api::LeaderboardOrder::LowWins => Self::LowWins,
        }
    }
}

impl From<api::LeaderboardOperator> for Operator {
    fn from(given: api::LeaderboardOperator) -> Self {
        match given {
            api::LeaderboardOperator::Unspecified | api::LeaderboardOperator::Best => Self::Best,
            api::LeaderboardOperator::Last => Self::Last,
            api::LeaderboardOperator::Sum => Self::Sum,
        }
    }
}

impl From<api::LeaderboardWriters> for Writers {
    fn from(given: api::LeaderboardWriters) -> Self {
        match given {
            api::LeaderboardWriters::Unspecified | api::LeaderboardWriters::Servers => Self::Servers,
            api::LeaderboardWriters::Players => Self::Players,
        }
    }
}

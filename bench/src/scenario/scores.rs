//! Scores: how many are recorded, ranked and answered in a second, and how fast boards are read.

mod calls;
mod stage;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

pub use self::calls::Submit;
use self::calls::{Players, ReadAround, ReadTop, fill};
use self::stage::{FOUR_PERIODS, LARGE, ONE_PERIOD, Stage};
use super::events::Where;
use super::measure;
use crate::load::{Caller, Window};
use crate::muster::Executable;
use crate::report::{Permitted, Report, Target};
use crate::tally::exact;

/// How many players there are where updates are measured…
const PLAYERS: usize = 100_000;
/// …and where places around a player are.
const LARGE_BOARD: usize = 1_000_000;
const FEW: u32 = 64;
const MANY: u32 = 256;
const WARM_UP: Duration = Duration::from_secs(10);
/// A broker that has just started compiles itself at the expense of all others for half a minute; those of a studio did so
/// long ago.
const BROKER_WARM_UP: Duration = Duration::from_secs(25);
const MEASURED: Duration = Duration::from_secs(30);
/// Reads are steadier, and need no Kafka.
const READ_WARM_UP: Duration = Duration::from_secs(2);
const READ_MEASURED: Duration = Duration::from_secs(10);
const REBUILT_WITHIN_S: f64 = 15.0;

/// Which of it.
#[derive(Debug, Args)]
pub struct Which {
    /// Measure only what has this in its name.
    #[arg(long, value_name = "TEXT", default_value = "")]
    scene: String,
}

/// Updates under which conditions.
struct Updates {
    name: &'static str,
    board: &'static str,
    at_once: u32,
    players: Players,
    least_per_second: f64,
    most_p99_ms: Option<f64>,
}

const UPDATES: [Updates; 5] = [
    Updates {
        name: "scores, one period, 64 at once",
        board: ONE_PERIOD,
        at_once: FEW,
        players: Players::NamedByServer(PLAYERS),
        least_per_second: 10_000.0,
        most_p99_ms: Some(15.0),
    },
    Updates {
        name: "scores, four periods, 64 at once",
        board: FOUR_PERIODS,
        at_once: FEW,
        players: Players::NamedByServer(PLAYERS),
        least_per_second: 8_500.0,
        most_p99_ms: Some(20.0),
    },
    Updates {
        name: "scores, one period, 256 at once",
        board: ONE_PERIOD,
        at_once: MANY,
        players: Players::NamedByServer(PLAYERS),
        least_per_second: 18_000.0,
        most_p99_ms: None,
    },
    Updates {
        name: "scores of one player, 64 at once",
        board: ONE_PERIOD,
        at_once: FEW,
        players: Players::NamedByServer(1),
        least_per_second: 10_000.0,
        most_p99_ms: None,
    },
    // Each with a token of their own, which the service sees for the first time again and again.
    Updates {
        name: "scores by players themselves, 64 at once",
        board: ONE_PERIOD,
        at_once: FEW,
        players: Players::Themselves(PLAYERS),
        least_per_second: 10_000.0,
        most_p99_ms: Some(15.0),
    },
];

const TOP: &str = "top 10";
const AROUND: &str = "around a player of a million";
const REBUILD: &str = "rebuild of a million scores";
const MEMORY: &str = "memory of a player on a board";
const RESTART: &str = "a million players, first answer after a restart";

pub async fn run(executable: &Executable, place: Where<'_>, which: &Which, report: &mut Report) -> anyhow::Result<()> {
    let mut warm_up = if matches!(place, Where::Dev) { WARM_UP } else { BROKER_WARM_UP + WARM_UP };
    for updates in UPDATES.iter().filter(|updates| updates.name.contains(&which.scene)) {
        // Each begins anew: what the one before has left is not done in its time.
        let stage = Stage::set(executable, place).await?;
        if let Some(floor) = stage.redis() {
            report.tell("floor: ZADD, pipelined", floor.adds_per_second().await?, "/s");
        }
        update(&stage, updates, warm_up, report).await?;
        warm_up = WARM_UP;
    }
    if [TOP, AROUND, REBUILD, MEMORY, RESTART].iter().any(|name| name.contains(&which.scene)) {
        large_board(Stage::set(executable, place).await?, executable, report).await?;
    }
    Ok(())
}

async fn update(stage: &Stage, updates: &Updates, warm_up: Duration, report: &mut Report) -> anyhow::Result<()> {
    let callers = Submit::callers(stage, updates.board, updates.players, updates.at_once).await?;
    let name = stage.named(updates.name);
    let run = measure(&name, callers, window(warm_up, MEASURED), &stage.parties(), Permitted::Nothing).await?;
    report.compare(&name, run.per_second, "/s", Target::AtLeast(updates.least_per_second));
    if let Some(most) = updates.most_p99_ms {
        report.compare(&format!("{name}: p99"), run.latency.p99, "ms", Target::Below(most));
    }
    report.add(run)
}

/// What is measured on a board of a million.
async fn large_board(mut stage: Stage, executable: &Executable, report: &mut Report) -> anyhow::Result<()> {
    let floor = stage.redis();
    let before = match &floor {
        Some(floor) => Some(floor.used_bytes().await?),
        None => None,
    };
    let began = Instant::now();
    let players = Arc::new(fill(&stage, LARGE, LARGE_BOARD).await?);
    let filled = exact(LARGE_BOARD as u64) / began.elapsed().as_secs_f64();
    report.tell(&stage.named("scores in batches of 100"), filled, "/s");
    if let (Some(floor), Some(before)) = (&floor, before) {
        let grown = floor.used_bytes().await?.saturating_sub(before);
        report.tell(&stage.named(MEMORY), exact(grown) / exact(LARGE_BOARD as u64), "B");
        report.tell(&format!("floor: {MEMORY}"), floor.bytes_of_a_member(LARGE_BOARD).await?, "B");
    }

    read(&stage, TOP, ReadTop::callers(&stage, FEW).await?, 25_000.0, report).await?;
    let around = ReadAround::callers(&stage, &players, FEW).await?;
    read(&stage, AROUND, around, 15_000.0, report).await?;

    let name = stage.named(RESTART);
    let took = stage.restart(executable, players.len()).await?;
    report.tell(&name, took.as_secs_f64(), "s");
    if let Some(took) = stage.rebuild(executable)? {
        report.compare(&stage.named(REBUILD), took.as_secs_f64(), "s", Target::Below(REBUILT_WITHIN_S));
    }
    Ok(())
}

async fn read<C: Caller>(
    stage: &Stage,
    name: &str,
    callers: Vec<C>,
    least_per_second: f64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = stage.named(name);
    let window = window(READ_WARM_UP, READ_MEASURED);
    let run = measure(&name, callers, window, &stage.parties(), Permitted::Nothing).await?;
    report.compare(&name, run.per_second, "/s", Target::AtLeast(least_per_second));
    report.add(run)
}

fn window(warm_up: Duration, measured: Duration) -> Window {
    let begin = Instant::now() + warm_up;
    Window { begin, end: begin + measured }
}

/// How many connections callers share.
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(8).expect("not zero");

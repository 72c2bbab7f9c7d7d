//! Tickets: how soon players have a match, through the service, and what a waiting ticket costs it.

mod floor;
mod stage;

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use pkg_ambient::Ambient;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::floor::Floor;
use self::stage::{APART, DUEL, Stage, distance};
use super::events::Where;
use crate::load::{Caller, Window, open_loop};
use crate::lobby::{Player, server_token};
use crate::muster::Executable;
use crate::report::{Permitted, Report, Run, Target};
use crate::tally::{Tally, exact};

/// How many come at once.
const STORM: usize = 5_000;
const STORM_MOST_P50_MS: f64 = 1_000.0;
const STORM_MOST_P99_MS: f64 = 2_000.0;
/// How many come in a second when they do not come at once…
const PER_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
/// …and for how many seconds.
const SECONDS: u32 = 20;
const STREAM_MOST_P95_MS: f64 = 30.0;
/// Before anything is measured so many come in a second, for so many seconds: the stores are warm, Kafka above all.
const WARM_UP_PER_SECOND: NonZeroU32 = NonZeroU32::new(400).expect("not zero");
const WARM_UP_SECONDS: u32 = 10;
/// How many wait when memory is measured…
const WAITING: usize = 50_000;
/// …beside those that wait before: what the process makes once is not counted.
const WAITING_BEFORE: usize = 1_000;
const WAITING_MOST_BYTES: f64 = 1_024.0;
/// How long it is quiet before anything is measured.
const SETTLE: Duration = Duration::from_secs(3);

const AT_ONCE: &str = "tickets, 5,000 at once";
const IN_TIME: &str = "tickets, 100 a second";
const MEMORY: &str = "memory of a waiting ticket";

/// Which of it.
#[derive(Debug, Args)]
pub struct Which {
    /// Measure only what has this in its name.
    #[arg(long, value_name = "TEXT", default_value = "")]
    scene: String,
}

pub async fn run(executable: &Executable, place: Where<'_>, which: &Which, report: &mut Report) -> anyhow::Result<()> {
    // Each begins anew: what the one before has left is not done in its time.
    if AT_ONCE.contains(&which.scene) {
        at_once(&Stage::set(executable, place).await?, report).await?;
    }
    if IN_TIME.contains(&which.scene) {
        in_time(&Stage::set(executable, place).await?, report).await?;
    }
    if MEMORY.contains(&which.scene) {
        memory(Stage::set(executable, place).await?, executable, report).await?;
    }
    Ok(())
}

/// All players send their ticket at the same time.
async fn at_once(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let (players, floor) = warm(stage, STORM, report).await?;
    let playing = async {
        let mut calls = JoinSet::new();
        for mut player in players {
            calls.spawn(async move {
                let began = Instant::now();
                let outcome = player.call().await;
                (began.elapsed(), outcome)
            });
        }
        let mut tally = Tally::new();
        while let Some(called) = calls.join_next().await {
            let (took, outcome) = called?;
            tally.record(took, outcome);
        }
        anyhow::Ok(tally)
    };
    let (tally, window, spent) = stage.parties().spend_on(playing).await?;
    let (tally, name) = (tally?, stage.named(AT_ONCE));
    let run = Run::new(&name, window, &tally, &spent, Permitted::Nothing);
    report.compare(&format!("{name}: matched"), tally.successes(), "", Target::AtLeast(exact(STORM as u64)));
    report.compare(&format!("{name}: p50"), run.latency.p50, "ms", Target::Below(STORM_MOST_P50_MS));
    report.compare(&format!("{name}: p99"), run.latency.p99, "ms", Target::Below(STORM_MOST_P99_MS));
    floor.compare(&name, &run, report);
    report.add(run)
}

/// One ticket after the other, whether those before are matched or not.
async fn in_time(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let count = SECONDS * PER_SECOND.get();
    let (players, floor) = warm(stage, count as usize, report).await?;
    let (tally, window, spent) = stage.parties().spend_on(one_by_one(players, PER_SECOND, SECONDS)).await?;
    let (tally, name) = (tally?, stage.named(IN_TIME));
    let run = Run::new(&name, window, &tally, &spent, Permitted::Nothing);
    report.compare(&format!("{name}: matched"), tally.successes(), "", Target::AtLeast(f64::from(count)));
    report.tell(&format!("{name}: p50"), run.latency.p50, "ms");
    report.compare(&format!("{name}: p95"), run.latency.p95, "ms", Target::Below(STREAM_MOST_P95_MS));
    floor.compare(&name, &run, report);
    report.add(run)
}

/// Players that are signed in, in front of stores that are warm, and the floor, measured just then.
async fn warm(stage: &Stage, players: usize, report: &mut Report) -> anyhow::Result<(Vec<Player>, Floor)> {
    let lobby = stage.lobby(DUEL).await?;
    let warming = (WARM_UP_SECONDS * WARM_UP_PER_SECOND.get()) as usize;
    let tokens = stage.sign_in(warming + players).await?;
    let mut players: Vec<Player> =
        tokens.into_iter().enumerate().map(|(number, token)| lobby.player(number, token)).collect();
    let measured = players.split_off(warming);
    one_by_one(players, WARM_UP_PER_SECOND, WARM_UP_SECONDS).await?;
    sleep(SETTLE).await;
    let floor = Floor::measure(stage, report).await?;
    Ok((measured, floor))
}

async fn one_by_one(players: Vec<Player>, per_second: NonZeroU32, seconds: u32) -> anyhow::Result<Tally> {
    // The players end before the window does.
    let begin = Instant::now();
    let window = Window { begin, end: begin + 2 * Duration::from_secs(seconds.into()) };
    let mut players = players.into_iter();
    open_loop(per_second, window, || players.next()).await
}

/// What the service that has the queue needs for each ticket that nobody fits.
async fn memory(mut stage: Stage, executable: &Executable, report: &mut Report) -> anyhow::Result<()> {
    let token = server_token(&stage.games);
    let players: Vec<_> = (0..WAITING_BEFORE + WAITING).map(|_| Ambient::system().id()).collect();
    stage.lobby(APART).await?.seed(&players, distance(), &token).await?;
    // What ratings have left in its memory must not be there for tickets.
    stage.restart_matchmaking(executable)?;
    let lobby = stage.lobby(APART).await?;
    let matchmaking = stage.matchmaking()?;

    let (before, rest) = players.split_at(WAITING_BEFORE);
    lobby.queue_up(before, &token).await?;
    lobby.wait_until_counted(i64::try_from(before.len())?, &matchmaking, &token).await?;
    sleep(SETTLE).await;
    let first = stage.resident()?;
    lobby.queue_up(rest, &token).await?;
    lobby.wait_until_counted(i64::try_from(players.len())?, &matchmaking, &token).await?;
    sleep(SETTLE).await;
    let cost = exact(stage.resident()?.saturating_sub(first)) / exact(WAITING as u64);
    report.compare(&stage.named(MEMORY), cost, "B", Target::Below(WAITING_MOST_BYTES));
    Ok(())
}

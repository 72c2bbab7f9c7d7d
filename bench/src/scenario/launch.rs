//! The day of a launch, through Envoy: scores, players who look for a match, live streams. No call may fail.

mod stage;

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::stage::Stage;
use crate::crowd::{Crowd, Reach};
use crate::load::{Caller, Window};
use crate::muster::Executable;
use crate::process::Spent;
use crate::report::{Permitted, Report, Run, Target};
use crate::stores::StoreOptions;
use crate::tally::{Tally, exact};

/// How many scores are written, by so many players at once.
const SCORES: usize = 10_000;
const WRITERS: usize = 64;
/// How many players come in the end, and how long that takes: few come at first, then more and more.
const PLAYERS: u32 = 5_000;
const RAMP: Duration = Duration::from_secs(30);
/// How many live streams there are: sessions of ten, on connections that they share as behind a proxy.
const SESSIONS: usize = 100;
const PLAYERS_OF_SESSION: usize = 10;
const STREAM_CONNECTIONS: usize = 40;
/// How many events happen a second in all sessions, for how long.
const EVENTS_PER_SECOND: u32 = 1_000;
const STREAMED: Duration = Duration::from_secs(15);
/// How long it is quiet before the next part.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn run(
    executable: &Executable,
    stores: &StoreOptions,
    envoy: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let stage = Stage::set(executable, stores, envoy).await?;
    scores(&stage, report).await?;
    matches(&stage, report).await?;
    streams(&stage, report).await
}

async fn scores(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let writers = stage.writers(WRITERS).await?;
    let bar = bar("scores", SCORES as u64)?;
    let writing = async {
        let mut tasks = JoinSet::new();
        for (number, mut writer) in writers.into_iter().enumerate() {
            let bar = bar.clone();
            let share = SCORES / WRITERS + usize::from(number < SCORES % WRITERS);
            tasks.spawn(async move {
                let mut tally = Tally::new();
                for _ in 0..share {
                    record(&mut tally, &mut writer).await;
                    bar.inc(1);
                }
                tally
            });
        }
        total(tasks).await
    };
    let (tally, window, spent) = stage.parties().spend_on(writing).await?;
    bar.finish();
    finish("launch: 10,000 scores", SCORES as u64, &tally?, window, &spent, report)
}

/// Players come faster and faster; each waits for a match.
async fn matches(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let players = stage.players(PLAYERS as usize).await?;
    sleep(SETTLE).await;
    let bar = bar("players with a match", PLAYERS.into())?;
    let playing = async {
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for (number, mut player) in players.into_iter().enumerate() {
            sleep_until(began + arrival(number)).await;
            let bar = bar.clone();
            calls.spawn(async move {
                let mut tally = Tally::new();
                record(&mut tally, &mut player).await;
                bar.inc(1);
                tally
            });
        }
        total(calls).await
    };
    let (tally, window, spent) = stage.parties().spend_on(playing).await?;
    bar.finish();
    finish("launch: 5,000 players look for a match", PLAYERS.into(), &tally?, window, &spent, report)
}

/// When a player comes, from the beginning: their number grows with the square of the time.
fn arrival(number: usize) -> Duration {
    RAMP.mul_f64((exact(number as u64) / f64::from(PLAYERS)).sqrt())
}

async fn streams(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    sleep(SETTLE).await;
    let reach = Reach::SharedConnections(STREAM_CONNECTIONS);
    let crowd = Crowd::gather(stage.edge(), SESSIONS, PLAYERS_OF_SESSION, reach).await?;
    let begin = Instant::now() + SETTLE;
    let window = Window { begin, end: begin + STREAMED };
    let bar = bar("seconds of events on 1,000 streams", STREAMED.as_secs())?;
    let ticking = tokio::spawn({
        let bar = bar.clone();
        async move {
            sleep_until(begin).await;
            for _ in 0..STREAMED.as_secs() {
                sleep(Duration::from_secs(1)).await;
                bar.inc(1);
            }
        }
    });
    let parties = stage.parties();
    let (outcome, spent) = tokio::try_join!(crowd.play(window, true, Some(EVENTS_PER_SECOND)), parties.spend(window))?;
    ticking.await?;
    bar.finish();
    let name = "launch: 1,000 live streams";
    report.compare(&format!("{name}: events that did not arrive"), outcome.missed * 100.0, "%", Target::AtMost(0.0));
    report.add(Run::new(name, window, &outcome.tally, &spent, Permitted::Nothing))
}

fn finish(
    name: &str,
    calls: u64,
    tally: &Tally,
    window: Window,
    spent: &Spent,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.compare(&format!("{name}: calls that succeeded"), tally.successes(), "", Target::AtLeast(exact(calls)));
    report.add(Run::new(name, window, tally, spent, Permitted::Nothing))
}

async fn record(tally: &mut Tally, caller: &mut impl Caller) {
    let began = Instant::now();
    let outcome = caller.call().await;
    tally.record(began.elapsed(), outcome);
}

async fn total(mut tasks: JoinSet<Tally>) -> anyhow::Result<Tally> {
    let mut total = Tally::new();
    while let Some(tally) = tasks.join_next().await {
        total.add(tally?);
    }
    Ok(total)
}

fn bar(what: &'static str, length: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {elapsed}")?;
    Ok(ProgressBar::new(length).with_style(style).with_message(what))
}

//! Muster under load, on the machine that it shares with its clients and its stores.
//!
//! Every figure stands beside what it cost in CPU, per process: that is what a busy machine cannot distort. Where a figure
//! depends on the machine, a floor is measured in the same run: the same client against a server that does nothing, the
//! same hash without a server. How fast the machine is at all is measured at the beginning and at the end.

mod client;
mod crowd;
mod echo;
mod edge;
mod http1;
mod load;
mod lobby;
mod muster;
mod process;
mod redis_floor;
mod relay;
mod report;
mod scenario;
mod stores;
mod table;
mod tally;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::load::Load;
use crate::muster::Executable;
use crate::report::Report;
use crate::scenario::events::Where;
use crate::scenario::{
    Accounts, dev, envoy, events, flood, guest, launch, log, matcher, pace, password, refresh, scores, tickets,
};
use crate::stores::StoreOptions;

/// Measures Muster. Ends with failure if a call failed that may not fail, not if a target of speed was missed.
#[derive(Debug, Parser)]
#[command(name = "muster-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything.
    All(OnStores),
    /// Sign-ins of devices that have an account.
    Guest(OnStores),
    /// Refreshes, each worker with a chain of its own.
    Refresh(OnStores),
    /// Sign-ins by password, beside what the cores can hash.
    Password(OnStores),
    /// Other calls during a flood of logins.
    Flood(OnStores),
    /// What Envoy costs: a cheap call with and without it.
    Envoy(OnStores),
    /// The day of a launch, through Envoy: 10,000 scores, a ramp to 5,000 players who look for a match, 1,000 live streams. Ends
    /// with failure if a call fails.
    Launch(OnLaunch),
    /// Appends to the durable log, one after the other and many at once.
    Log(OnStores),
    /// The start and the idle memory of `muster dev`. Needs no stores.
    Dev(Output),
    /// The matcher alone, on one core. Needs no stores.
    Matcher {
        /// Write the figures to this file as well, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Players who wait for a match on muster dev. Needs no stores.
    Tickets(OnTickets),
    /// Players who wait for a match on the services of production, with replicas of the matchmaking service.
    TicketsOnReplicas {
        /// How many replicas. The players are spread over all of them.
        #[arg(long, value_name = "COUNT", default_value = "1")]
        replicas: NonZeroUsize,

        #[command(flatten)]
        stores: StoreOptions,

        #[command(flatten)]
        tickets: OnTickets,
    },
    /// Scores and leaderboards on muster dev. Needs no stores.
    Scores(OnScores),
    /// Scores and leaderboards on the services of production, with replicas of the leaderboard service.
    ScoresOnReplicas {
        /// How many replicas. Calls are spread over all of them.
        #[arg(long, value_name = "COUNT", default_value = "1")]
        replicas: NonZeroUsize,

        #[command(flatten)]
        stores: StoreOptions,

        #[command(flatten)]
        scores: OnScores,
    },
    /// Live events on muster dev. Needs no stores.
    Events(OnEvents),
    /// Live events on replicas of the game service.
    EventsOnReplicas {
        /// How many replicas. The players of each session are spread over all of them.
        #[arg(long, value_name = "COUNT", default_value = "1")]
        replicas: NonZeroUsize,

        #[command(flatten)]
        stores: StoreOptions,

        #[command(flatten)]
        events: OnEvents,
    },
    /// The server that answers calls and does nothing, which the benchmark starts for floors.
    #[command(hide = true)]
    Echo {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The server that passes on what it gets, which the benchmark starts for the floor of live events.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// What is measured on real stores.
#[derive(Debug, Args)]
struct OnStores {
    #[command(flatten)]
    stores: StoreOptions,

    #[command(flatten)]
    load: Load,

    /// How many devices have an account before guests sign in.
    #[arg(long, value_name = "COUNT", default_value = "20000")]
    devices: usize,

    /// The Envoy to measure; without one, what it costs is left out.
    #[arg(long, value_name = "FILE", env = "MUSTER_TEST_ENVOY")]
    envoy: Option<PathBuf>,

    #[command(flatten)]
    output: Output,
}

/// What is launched.
#[derive(Debug, Args)]
struct OnLaunch {
    #[command(flatten)]
    stores: StoreOptions,

    /// The Envoy to go through.
    #[arg(long, value_name = "FILE", env = "MUSTER_TEST_ENVOY")]
    envoy: PathBuf,

    #[command(flatten)]
    output: Output,
}

/// What is measured of live events.
#[derive(Debug, Args)]
struct OnEvents {
    #[command(flatten)]
    which: events::Which,

    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    output: Output,
}

/// What is measured of tickets.
#[derive(Debug, Args)]
struct OnTickets {
    #[command(flatten)]
    which: tickets::Which,

    #[command(flatten)]
    output: Output,
}

/// What is measured of scores.
#[derive(Debug, Args)]
struct OnScores {
    #[command(flatten)]
    which: scores::Which,

    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Output {
    /// The muster to measure; the one beside this executable by default.
    #[arg(long, value_name = "FILE")]
    muster: Option<PathBuf>,

    /// Write the figures to this file as well, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Echo { listen } => echo::serve(listen).await.map(|()| ExitCode::SUCCESS),
        Command::Relay { listen } => relay::serve(listen).await.map(|()| ExitCode::SUCCESS),
        Command::Dev(output) => {
            let mut report = begin(None).await?;
            dev::run(&Executable::find(output.muster.as_deref())?, &mut report).await?;
            finish(report, &output).await
        }
        Command::Matcher { json } => {
            let mut report = begin(None).await?;
            matcher::run(&mut report)?;
            finish(report, &Output { muster: None, json }).await
        }
        Command::Tickets(options) => on_tickets(Where::Dev, &options).await,
        Command::TicketsOnReplicas { replicas, stores, tickets } => {
            on_tickets(Where::Replicas(replicas, &stores), &tickets).await
        }
        Command::Scores(options) => on_scores(Where::Dev, &options).await,
        Command::ScoresOnReplicas { replicas, stores, scores } => {
            on_scores(Where::Replicas(replicas, &stores), &scores).await
        }
        Command::Events(options) => on_events(Where::Dev, &options).await,
        Command::EventsOnReplicas { replicas, stores, events } => {
            on_events(Where::Replicas(replicas, &stores), &events).await
        }
        Command::All(options) => {
            on_stores(
                &options,
                &[Part::Guest, Part::Refresh, Part::Password, Part::Flood, Part::Envoy, Part::Log, Part::Dev],
            )
            .await
        }
        Command::Guest(options) => on_stores(&options, &[Part::Guest]).await,
        Command::Refresh(options) => on_stores(&options, &[Part::Refresh]).await,
        Command::Password(options) => on_stores(&options, &[Part::Password]).await,
        Command::Envoy(options) => on_stores(&options, &[Part::Envoy]).await,
        Command::Launch(options) => {
            let mut report = begin(None).await?;
            let executable = Executable::find(options.output.muster.as_deref())?;
            launch::run(&executable, &options.stores, &options.envoy, &mut report).await?;
            finish(report, &options.output).await
        }
        Command::Log(options) => on_stores(&options, &[Part::Log]).await,
        Command::Flood(options) => on_stores(&options, &[Part::Flood]).await,
    }
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Guest,
    Refresh,
    Password,
    Flood,
    Envoy,
    Log,
    Dev,
}

async fn on_events(place: Where<'_>, options: &OnEvents) -> anyhow::Result<ExitCode> {
    let mut report = begin(Some(options.load)).await?;
    let executable = Executable::find(options.output.muster.as_deref())?;
    events::run(&executable, place, &options.which, options.load, &mut report).await?;
    finish(report, &options.output).await
}

async fn on_tickets(place: Where<'_>, options: &OnTickets) -> anyhow::Result<ExitCode> {
    let mut report = begin(None).await?;
    let executable = Executable::find(options.output.muster.as_deref())?;
    tickets::run(&executable, place, &options.which, &mut report).await?;
    finish(report, &options.output).await
}

async fn on_scores(place: Where<'_>, options: &OnScores) -> anyhow::Result<ExitCode> {
    let mut report = begin(None).await?;
    let executable = Executable::find(options.output.muster.as_deref())?;
    scores::run(&executable, place, &options.which, &mut report).await?;
    finish(report, &options.output).await
}

async fn on_stores(options: &OnStores, parts: &[Part]) -> anyhow::Result<ExitCode> {
    let executable = Executable::find(options.output.muster.as_deref())?;
    let accounts = Accounts::serve(&executable, &options.stores, options.load)?;
    let mut report = begin(Some(options.load)).await?;
    for part in parts {
        match part {
            Part::Guest => guest::run(&accounts, options.devices, &mut report).await?,
            Part::Refresh => refresh::run(&accounts, &mut report).await?,
            Part::Password => password::run(&accounts, &mut report).await?,
            Part::Flood => flood::run(&accounts, &mut report).await?,
            Part::Envoy => {
                if let Some(program) = &options.envoy {
                    envoy::run(&accounts, &executable, program, &mut report).await?;
                }
            }
            Part::Log => log::run(&accounts, &mut report).await?,
            Part::Dev => dev::run(&executable, &mut report).await?,
        }
    }
    finish(report, &options.output).await
}

/// An empty report, but for the pace of the machine.
async fn begin(load: Option<Load>) -> anyhow::Result<Report> {
    let mut report = Report::begin(load);
    report.note_pace(pace::measure().await?);
    Ok(report)
}

/// Prints the report, and says whether calls failed that may not fail.
async fn finish(mut report: Report, output: &Output) -> anyhow::Result<ExitCode> {
    report.note_pace(pace::measure().await?);
    report.print()?;
    if let Some(file) = &output.json {
        report.write_json(file)?;
    }
    Ok(if report.has_forbidden_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

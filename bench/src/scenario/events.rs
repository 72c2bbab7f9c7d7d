//! Live events: how many reach their subscribers, how soon, and what an idle stream costs.

mod floor;

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::time::sleep;
use tokio::try_join;

use crate::crowd::{Crowd, Deployment, Reach};
use crate::load::Load;
use crate::muster::{Executable, Keys, Server};
use crate::process::{Parties, resident_bytes};
use crate::report::{Permitted, Report, Run, Target};
use crate::stores::{StoreOptions, Stores};
use crate::tally::exact;

/// How long it is quiet before anything is measured: that everybody came is told to all.
const SETTLE: Duration = Duration::from_secs(2);
const SHARED: Reach = Reach::SharedConnections(10);
/// Streams whose memory is measured. A few less than the connections that a server takes.
const IDLE_STREAMS: usize = 9_900;
/// Streams that are open before memory is read for the first time: what the process makes once is not counted.
const IDLE_BEFORE: usize = 100;

/// Where the events are measured: on muster dev, or on so many replicas of the game service on stores, over which the
/// players of a session are spread.
#[derive(Debug, Clone, Copy)]
pub enum Where<'a> {
    Dev,
    Replicas(NonZeroUsize, &'a StoreOptions),
}

/// Which of it.
#[derive(Debug, Args)]
pub struct Which {
    /// Measure only what has this in its name.
    #[arg(long, value_name = "TEXT", default_value = "")]
    scene: String,
}

/// What is asked of a crowd.
struct Scene {
    name: &'static str,
    sessions: usize,
    players: usize,
    reach: Reach,
    retained: bool,
    per_second: Option<u32>,
    least_per_second: Option<f64>,
    most_p50_ms: Option<f64>,
    most_p99_ms: Option<f64>,
}

const SCENES: [Scene; 6] = [
    Scene {
        name: "events, 100 sessions of 10, own connections",
        sessions: 100,
        players: 10,
        reach: Reach::OwnConnections,
        retained: false,
        per_second: None,
        least_per_second: Some(130_000.0),
        most_p50_ms: None,
        most_p99_ms: Some(18.0),
    },
    Scene {
        name: "events, 100 sessions of 10, 10 connections",
        sessions: 100,
        players: 10,
        reach: SHARED,
        retained: false,
        per_second: None,
        least_per_second: Some(350_000.0),
        most_p50_ms: None,
        most_p99_ms: Some(8.0),
    },
    Scene {
        name: "events, 2,000 a second",
        sessions: 100,
        players: 10,
        reach: SHARED,
        retained: false,
        per_second: Some(2_000),
        least_per_second: None,
        most_p50_ms: Some(0.3),
        most_p99_ms: Some(1.0),
    },
    Scene {
        name: "events, one session of 1,000, own connections",
        sessions: 1,
        players: 1_000,
        reach: Reach::OwnConnections,
        retained: false,
        per_second: None,
        least_per_second: Some(110_000.0),
        most_p50_ms: None,
        most_p99_ms: None,
    },
    Scene {
        name: "events, one session of 1,000, 10 connections",
        sessions: 1,
        players: 1_000,
        reach: SHARED,
        retained: false,
        per_second: None,
        least_per_second: Some(400_000.0),
        most_p50_ms: None,
        most_p99_ms: None,
    },
    Scene {
        name: "events, retained, 100 sessions of 10, 10 connections",
        sessions: 100,
        players: 10,
        reach: SHARED,
        retained: true,
        per_second: None,
        least_per_second: Some(60_000.0),
        most_p50_ms: None,
        most_p99_ms: None,
    },
];

pub async fn run(
    executable: &Executable,
    place: Where<'_>,
    which: &Which,
    load: Load,
    report: &mut Report,
) -> anyhow::Result<()> {
    for scene in SCENES.iter().filter(|scene| scene.name.contains(&which.scene)) {
        match scene.reach {
            Reach::OwnConnections => {
                let before = floor::measure(scene, load, report).await?;
                let run = scene.play(executable, place, load, report).await?;
                let after = floor::measure(scene, load, report).await?;
                floor::compare(&run, &[before, after], report);
            }
            Reach::SharedConnections(_) => drop(scene.play(executable, place, load, report).await?),
        }
    }
    let memory = [
        ("memory of an idle stream, 100 connections", Reach::SharedConnections(100), 12.0),
        ("memory of an idle stream, own connections", Reach::OwnConnections, 32.0),
    ];
    for (name, reach, most) in memory.into_iter().filter(|(name, ..)| name.contains(&which.scene)) {
        let stage = Stage::set(executable, place)?;
        let cost = idle_kib(&stage, reach).await?;
        report.compare(&stage.named(name), cost, "KiB", Target::AtMost(most));
    }
    Ok(())
}

/// What is measured. It ends with this value: the servers before the stores.
struct Stage {
    deployment: Deployment,
    parties: Parties,
    servers: Vec<Server>,
    stores: Option<Stores>,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set(executable: &Executable, place: Where<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (servers, stores, key) = match place {
            Where::Replicas(replicas, options) => {
                let (stores, keys) = (Stores::make(options)?, Keys::make(folder.path())?);
                executable.migrate(&stores)?;
                let servers = (0..replicas.get()).map(|_| executable.game(&stores, &keys));
                (servers.collect::<anyhow::Result<_>>()?, Some(stores), keys.players)
            }
            Where::Dev => (vec![executable.dev(folder.path())?.0], None, folder.path().join("signing-key.pem")),
        };
        let deployment = Deployment::new(servers.iter().map(|server| server.address).collect(), &key)?;
        let parties =
            servers.iter().fold(Parties::client(), |parties, server| parties.and("muster", server.pid(), false));
        let parties = stores.iter().fold(parties, |parties, stores| stores.count(parties));
        Ok(Self { deployment, parties, servers, stores, _folder: folder })
    }

    /// What the report says of this stage.
    fn named(&self, what: &str) -> String {
        match (&self.stores, self.servers.len()) {
            (None, _) => what.to_owned(),
            (Some(_), 1) => format!("{what}, on Redis"),
            (Some(_), replicas) => format!("{what}, on Redis, {replicas} replicas"),
        }
    }
}

impl Scene {
    async fn play(
        &self,
        executable: &Executable,
        place: Where<'_>,
        load: Load,
        report: &mut Report,
    ) -> anyhow::Result<Run> {
        // Each begins anew: streams of the one before do not end in its time.
        let stage = Stage::set(executable, place)?;
        let name = stage.named(self.name);
        let crowd = Crowd::gather(&stage.deployment, self.sessions, self.players, self.reach).await;
        let crowd = crowd.with_context(|| name.clone())?;
        let seated_in = crowd.seated_in;
        sleep(SETTLE).await;
        let window = load.window();
        let playing = async { crowd.play(window, self.retained, self.per_second).await.context(self.name) };
        let (outcome, spent) = try_join!(playing, stage.parties.spend(window))?;
        let run = Run::new(&name, window, &outcome.tally, &spent, Permitted::Nothing);
        let what = |part: &str| format!("{name}: {part}");
        match self.least_per_second {
            Some(least) => report.compare(&what("deliveries"), run.per_second, "/s", Target::AtLeast(least)),
            None => report.tell(&what("deliveries"), run.per_second, "/s"),
        }
        if let Some(most) = self.most_p50_ms {
            report.compare(&what("p50"), run.latency.p50, "ms", Target::AtMost(most));
        }
        if let Some(most) = self.most_p99_ms {
            report.compare(&what("p99"), run.latency.p99, "ms", Target::AtMost(most));
        }
        report.tell(&what("missed"), outcome.missed * 100.0, "%");
        if self.sessions == 1 {
            report.tell(&what("all seats taken in"), seated_in.as_secs_f64() * 1_000.0, "ms");
        }
        report.add(run.clone())?;
        Ok(run)
    }
}

/// What an idle stream costs the servers, in KiB.
async fn idle_kib(stage: &Stage, reach: Reach) -> anyhow::Result<f64> {
    let resident = || stage.servers.iter().map(|server| resident_bytes(server.pid())).sum::<anyhow::Result<u64>>();
    let first = stage.deployment.idle(IDLE_BEFORE, reach).await?;
    sleep(SETTLE).await;
    let before = resident()?;
    let streams = stage.deployment.idle(IDLE_STREAMS - IDLE_BEFORE, reach).await?;
    sleep(SETTLE).await;
    let cost = exact(resident()?.saturating_sub(before)) / exact((IDLE_STREAMS - IDLE_BEFORE) as u64) / 1024.0;
    drop((first, streams));
    Ok(cost)
}

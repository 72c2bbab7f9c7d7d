//! Live events: how many reach their subscribers, how soon, and what an idle stream costs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::time::sleep;
use tokio::try_join;

use crate::crowd::{Crowd, Deployment, Reach};
use crate::load::Load;
use crate::muster::{Executable, Server};
use crate::process::{Parties, resident_bytes};
use crate::report::{Permitted, Report, Run, Target};
use crate::tally::exact;

/// How long it is quiet before anything is measured: that everybody came is told to all.
const SETTLE: Duration = Duration::from_secs(2);
const SHARED: Reach = Reach::SharedConnections(10);
/// Streams whose memory is measured. A few less than the connections that a server takes.
const IDLE_STREAMS: usize = 9_900;
/// Streams that are open before memory is read for the first time: what the process makes once is not counted.
const IDLE_BEFORE: usize = 100;

/// Where the events are measured.
#[derive(Debug, Args)]
pub struct Where {
    /// Measure the game service at these addresses instead of a muster dev of our own.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "signing_key")]
    address: Vec<SocketAddr>,

    /// The key that signs the tokens of that deployment.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,

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

pub async fn run(executable: &Executable, place: &Where, load: Load, report: &mut Report) -> anyhow::Result<()> {
    for scene in SCENES.iter().filter(|scene| scene.name.contains(&place.scene)) {
        // Each begins anew: streams of the one before do not end in its time.
        let stage = Stage::set(executable, place)?;
        scene.play(&stage, load, report).await?;
    }
    let memory = [
        ("memory of an idle stream, 100 connections", Reach::SharedConnections(100), 12.0),
        ("memory of an idle stream, own connections", Reach::OwnConnections, 32.0),
    ];
    for (name, reach, most) in memory.into_iter().filter(|(name, ..)| name.contains(&place.scene)) {
        let stage = Stage::set(executable, place)?;
        if let Some(pid) = stage.pid {
            report.compare(name, idle_kib(&stage.deployment, pid, reach).await?, "KiB", Target::AtMost(most));
        }
    }
    Ok(())
}

/// A deployment to be measured: somebody else's, or a `muster dev` that ends with this value.
struct Stage {
    deployment: Deployment,
    parties: Parties,
    pid: Option<u32>,
    _own: Option<(Server, tempfile::TempDir)>,
}

impl Stage {
    fn set(executable: &Executable, place: &Where) -> anyhow::Result<Self> {
        if let (Some(first), Some(key)) = (place.address.first(), &place.signing_key) {
            let parties = place
                .address
                .iter()
                .fold(Parties::client(), |parties, address| parties.and_listener("muster", address.port()));
            let deployment = Deployment::new(place.address.clone(), key)?;
            return Ok(Self { deployment, parties, pid: crate::process::listener(first.port()), _own: None });
        }
        let folder = tempfile::tempdir()?;
        let (server, _) = executable.dev(folder.path())?;
        let key = folder.path().join("signing-key.pem");
        let deployment = Deployment::new(vec![server.address], &key)?;
        let parties = Parties::client().and("muster", server.pid(), false);
        Ok(Self { deployment, parties, pid: Some(server.pid()), _own: Some((server, folder)) })
    }
}

impl Scene {
    async fn play(&self, stage: &Stage, load: Load, report: &mut Report) -> anyhow::Result<()> {
        let crowd = Crowd::gather(&stage.deployment, self.sessions, self.players, self.reach).await;
        let crowd = crowd.with_context(|| self.name)?;
        sleep(SETTLE).await;
        let window = load.window();
        let playing = async { crowd.play(window, self.retained, self.per_second).await.context(self.name) };
        let (outcome, spent) = try_join!(playing, stage.parties.spend(window))?;
        let run = Run::new(self.name, window, &outcome.tally, &spent, Permitted::Nothing);
        let what = |part: &str| format!("{}: {part}", self.name);
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
        report.add(run)
    }
}

/// What an idle stream costs the server, in KiB.
async fn idle_kib(deployment: &Deployment, pid: u32, reach: Reach) -> anyhow::Result<f64> {
    let first = deployment.idle(IDLE_BEFORE, reach).await?;
    sleep(SETTLE).await;
    let before = resident_bytes(pid)?;
    let streams = deployment.idle(IDLE_STREAMS - IDLE_BEFORE, reach).await?;
    sleep(SETTLE).await;
    let after = resident_bytes(pid)?;
    let cost = exact(after.saturating_sub(before)) / exact(streams.len() as u64) / 1024.0;
    drop((first, streams));
    Ok(cost)
}

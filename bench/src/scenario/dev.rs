//! `muster dev`: how soon it serves, and how little it needs.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::sleep;

use crate::client::Connections;
use crate::load::each;
use crate::muster::{Executable, Server};
use crate::process::resident_bytes;
use crate::report::{Report, Target};
use crate::tally::exact;

const TARGET_START_MS: f64 = 150.0;
const TARGET_MEMORY_MB: f64 = 40.0;

const STARTS: usize = 11;
/// How long it lies idle before its memory is read.
const REST: Duration = Duration::from_secs(2);
/// Registrations before the memory is read once more: each core has hashed passwords by then.
const REGISTRATIONS: usize = 16;
const REGISTER_AT_ONCE: usize = 4;

pub async fn run(executable: &Executable, report: &mut Report) -> anyhow::Result<()> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let mut running = None;
    for _ in 0..STARTS {
        drop(running.take());
        let folder = tempfile::tempdir()?;
        let (server, took) = executable.dev(folder.path())?;
        first.push(took);
        drop(server);
        let (server, took) = executable.dev(folder.path())?;
        again.push(took);
        running = Some((server, folder));
    }
    report.compare("muster dev: ready, in a new folder", median(first), "ms", Target::Below(TARGET_START_MS));
    report.compare("muster dev: ready, with data", median(again), "ms", Target::Below(TARGET_START_MS));

    if let Some((server, _folder)) = running {
        sleep(REST).await;
        report.compare("muster dev: memory, idle", memory(&server)?, "MB", Target::Below(TARGET_MEMORY_MB));
        register(&server).await?;
        sleep(REST).await;
        report.tell("muster dev: memory, after registrations", memory(&server)?, "MB");
    }
    Ok(())
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// In megabytes.
fn memory(server: &Server) -> anyhow::Result<f64> {
    Ok(exact(resident_bytes(server.pid())?) / 1e6)
}

async fn register(server: &Server) -> anyhow::Result<()> {
    let connections = Connections::open(server.address, NonZeroU32::MIN).await?;
    each(0..REGISTRATIONS, REGISTER_AT_ONCE, |number| {
        let mut client = connections.client(number);
        async move { client.register(&format!("player-{number}"), "correct-horse-battery-9").await.map(drop) }
    })
    .await
}

//! Starting and ending a process, whatever its role.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use pkg_ambient::Ambient;
use pkg_middleware::{BindError, Bound, Guard, Server, Settings};
use pkg_telemetry::{Format, Metrics};
use tokio::signal::unix::{SignalKind, signal};

/// After so many tasks a worker looks into the queue that all share. What sockets have to say arrives there, and by tokio's
/// own choice it waits until dozens of tasks have run: one event for a thousand streams wakes a thousand tasks, and
/// meanwhile nobody would read what clients send. With 2, the slowest of them wait about half as long.
const GLOBAL_QUEUE_INTERVAL: u32 = 2;

/// Runs a role until it ends.
pub fn in_runtime(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().global_queue_interval(GLOBAL_QUEUE_INTERVAL);
    runtime.build().context("the async runtime")?.block_on(role)
}

/// Says why the process ends, with all causes. Secrets are in none of them.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    // Nothing can be done if standard error is closed; the exit code still tells.
    let _ = writeln!(std::io::stderr(), "muster: {error:#}");
    ExitCode::FAILURE
}

/// Logging and metrics, from here on until the process ends.
pub fn start_telemetry(format: Format, log: &str) -> anyhow::Result<Metrics> {
    pkg_telemetry::init_logging(format, log).context("MUSTER_LOG (--log)")?;
    let metrics = Metrics::install(&[("version", env!("CARGO_PKG_VERSION").to_owned())])?;
    let upkeep = metrics.clone();
    tokio::spawn(async move { upkeep.keep_up().await });
    Ok(metrics)
}

/// A server that serves the metrics of this process.
pub fn server(settings: Settings, guard: Guard, metrics: Metrics, ambient: Ambient) -> Server {
    Server::new(settings, guard, std::sync::Arc::new(move || metrics.render()), ambient)
}

/// Serves until the process is told to end, and says when it has begun to.
pub async fn serve(server: Server) -> anyhow::Result<()> {
    let bound = bind(server).await?;
    tracing::info!(address = %bound.address()?, "serving");
    Ok(bound.serve(shutdown()).await?)
}

/// Listens, or says which option keeps it from that.
pub async fn bind(server: Server) -> anyhow::Result<Bound> {
    server.bind().await.map_err(|error| match &error {
        BindError::Setting(setting) if setting.setting == "cors" => {
            anyhow::Error::new(error).context("MUSTER_CORS_ORIGINS (--cors-origins)")
        }
        _ => error.into(),
    })
}

/// Ends when the process is told to end: SIGTERM by an orchestrator, SIGINT by Ctrl-C.
pub async fn shutdown() {
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be received: the process can only be killed");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

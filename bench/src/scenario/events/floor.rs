//! The floor of own connections: the same crowd before a server that only passes on what it gets. What the kernel asks for
//! the same deliveries, with nothing of Muster, gRPC and HTTP/2 in the server.
//!
//! It is measured before the scene and again after it, since the machine's speed changes meanwhile. It is one of deliveries
//! and of CPU, not of p99: nobody sees to it there that all have their turn.

use tokio::try_join;

use super::Scene;
use crate::crowd::Crowd;
use crate::load::Load;
use crate::muster::Server;
use crate::process::Parties;
use crate::report::{Permitted, Report, Run};

pub async fn measure(scene: &Scene, load: Load, report: &mut Report) -> anyhow::Result<Run> {
    let relay = Server::relay()?;
    let crowd = Crowd::gather_bare(relay.address, scene.sessions, scene.players).await?;
    let parties = Parties::client().and("relay", relay.pid(), false);
    let window = load.floor_window();
    let (outcome, spent) = try_join!(crowd.play(window, false, None), parties.spend(window))?;
    let name = format!("floor: {}", scene.name);
    let run = Run::new(&name, window, &outcome.tally, &spent, Permitted::Nothing);
    report.add(run.clone())?;
    Ok(run)
}

/// Says how near a scene came to the mean of its floors, in deliveries and in what they cost.
pub fn compare(run: &Run, floors: &[Run; 2], report: &mut Report) {
    let mean = |of: fn(&Run) -> f64| floors.iter().map(of).sum::<f64>() / 2.0;
    let share = run.per_second / mean(|floor| floor.per_second) * 100.0;
    report.tell(&format!("{}: deliveries, share of the floor", run.name), share, "%");
    let share = mean(Run::cpu_per_call) / run.cpu_per_call() * 100.0;
    report.tell(&format!("{}: deliveries that the cores allow, share of the floor", run.name), share, "%");
}

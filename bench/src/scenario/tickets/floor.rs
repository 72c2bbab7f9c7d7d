//! What speaks for the machine beside tickets: gRPC calls with nothing behind them, and commands of Redis sent one by one.
//!
//! No floor of a ticket itself: what its writes would cost without Muster depends on how many are written together, and that
//! is what Muster is measured for.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{measure, pace};
use super::stage::Stage;
use crate::load::Window;
use crate::report::{Permitted, Report, Run};

/// How many add to a sorted set at once, as `redis-benchmark` has it.
const ADDING: u32 = 50;
/// How long they do so before they are measured, and then.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(2);

/// The price of a call on this machine.
pub struct Floor {
    call_micros: f64,
}

impl Floor {
    pub async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<Self> {
        let calls = pace::measure().await?;
        let floor = Self { call_micros: calls.cpu_per_call() };
        report.add(calls)?;
        if let Some(redis) = stage.redis() {
            let name = "floor: ZADD, 50 at once, one by one";
            let callers = redis.callers(ADDING).await?;
            let begin = Instant::now() + WARM_UP;
            let window = Window { begin, end: begin + MEASURED };
            report.add(measure(name, callers, window, &redis.parties(), Permitted::Nothing).await?)?;
        }
        Ok(floor)
    }

    /// Says what a ticket costs, where a call costs so much.
    pub fn compare(&self, name: &str, run: &Run, report: &mut Report) {
        report.tell(&format!("{name}: CPU of a ticket"), run.cpu_per_call(), "µs");
        let calls = run.cpu_per_call() / self.call_micros;
        report.tell(&format!("{name}: CPU of a ticket, in calls with nothing behind them"), calls, "");
    }
}

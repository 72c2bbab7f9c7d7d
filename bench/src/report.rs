//! What was measured, for people and for machines.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use pkg_ambient::Ambient;
use serde::Serialize;

use crate::load::{Load, Window};
use crate::muster::{LOG_LEVEL, RAISED_LIMIT};
use crate::process::{Spent, cores};
use crate::table::{Align, Table};
use crate::tally::{Failures, Latency, Tally};

/// Everything that a run of the benchmark found.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    /// The same calls, with nothing behind them, at the beginning and at the end.
    pace: Vec<Run>,
    load: Option<Load>,
    configuration: Vec<String>,
    runs: Vec<Run>,
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
struct Machine {
    date: String,
    processor: String,
    cores: u32,
    kernel: String,
}

/// One kind of call, under load for a while.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub name: String,
    /// Calls that succeeded.
    pub per_second: f64,
    pub latency: Latency,
    /// Microseconds of CPU per call that succeeded, by process.
    cpu_micros: Vec<(&'static str, f64)>,
    /// What processes that have nothing to do with it used of all cores, from 0 to 1.
    others: f64,
    failures: Failures,
    failures_forbidden: bool,
}

/// Which calls may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permitted {
    Nothing,
    /// To be refused because too many passwords wait.
    Shedding,
}

/// Above this, what others used of all cores is worth a word.
const DISTURBED: f64 = 0.05;
/// How Muster names a refusal for that reason.
const SHED: &str = "ResourceExhausted SIGN_IN_OVERLOADED";

impl Run {
    pub fn new(name: &str, window: Window, tally: &Tally, spent: &Spent, permitted: Permitted) -> Self {
        let calls = tally.successes();
        let per_call = |time: Duration| time.as_secs_f64() * 1e6 / calls.max(1.0);
        let forbidden = |name: &String| permitted == Permitted::Nothing || name != SHED;
        Self {
            name: name.to_owned(),
            per_second: calls / window.duration().as_secs_f64(),
            latency: tally.latency(),
            cpu_micros: spent.by_party.iter().map(|(party, time)| (*party, per_call(*time))).collect(),
            others: spent.by_others,
            failures_forbidden: tally.failures.keys().any(forbidden),
            failures: tally.failures.clone(),
        }
    }

    /// Microseconds of CPU per call, of all processes that are counted.
    pub fn cpu_per_call(&self) -> f64 {
        self.cpu_micros.iter().map(|(_, micros)| micros).sum()
    }

    /// Microseconds of CPU per call, of one process.
    pub fn cpu_of(&self, party: &str) -> f64 {
        self.cpu_micros.iter().filter(|(name, _)| *name == party).map(|(_, micros)| micros).sum()
    }

    /// How many calls a second the cores could do if they did nothing else.
    fn per_second_alone(&self) -> f64 {
        f64::from(cores()) * 1e6 / self.cpu_per_call().max(f64::MIN_POSITIVE)
    }
}

/// A number, and what it should be.
#[derive(Debug, Serialize)]
pub struct Figure {
    what: String,
    measured: f64,
    unit: &'static str,
    target: Option<Target>,
    met: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Target {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bound) => measured >= bound,
            Self::AtMost(bound) => measured <= bound,
            Self::Below(bound) => measured < bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", amount(bound, unit)),
            Self::AtMost(bound) => format!("≤ {}", amount(bound, unit)),
            Self::Below(bound) => format!("< {}", amount(bound, unit)),
        }
    }
}

impl Report {
    /// An empty report about this machine, now.
    pub fn begin(load: Option<Load>) -> Self {
        let mut configuration = vec![format!("logging at {LOG_LEVEL}")];
        if load.is_some() {
            configuration.push(format!("rate limits per address and account raised to {RAISED_LIMIT}"));
        }
        Self { machine: Machine::this(), pace: vec![], load, configuration, runs: vec![], figures: vec![] }
    }

    /// Notes how fast the machine is now, so that two reports can be compared.
    pub fn note_pace(&mut self, run: Run) {
        self.pace.push(run);
    }

    /// Adds a run, and says so: a benchmark takes minutes.
    pub fn add(&mut self, run: Run) -> anyhow::Result<()> {
        writeln!(std::io::stderr(), "{}: {}", run.name, amount(run.per_second, "/s"))?;
        self.runs.push(run);
        Ok(())
    }

    pub fn compare(&mut self, what: &str, measured: f64, unit: &'static str, target: Target) {
        let met = target.is_met(measured);
        self.figures.push(Figure { what: what.to_owned(), measured, unit, target: Some(target), met });
    }

    /// Adds a number that nothing is asked of.
    pub fn tell(&mut self, what: &str, measured: f64, unit: &'static str) {
        self.figures.push(Figure { what: what.to_owned(), measured, unit, target: None, met: true });
    }

    pub fn has_forbidden_failures(&self) -> bool {
        self.runs.iter().any(|run| run.failures_forbidden)
    }

    pub fn write_json(&self, file: &Path) -> anyhow::Result<()> {
        Ok(fs::write(file, serde_json::to_vec_pretty(self)?)?)
    }

    pub fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let Machine { date, processor, cores, kernel } = &self.machine;
        writeln!(out, "\n{date}: {cores} cores of {processor}, Linux {kernel}, shared by client, service and stores")?;
        for (when, run) in ["beginning", "end"].iter().zip(&self.pace) {
            let (calls, micros) = (amount(run.per_second, "/s"), run.cpu_per_call());
            writeln!(out, "pace at the {when}: {calls} calls with nothing behind them, {micros:.1} µs of CPU each")?;
        }
        if let Some(load) = &self.load {
            let Load { concurrency, connections, seconds, warm_up } = load;
            write!(out, "{concurrency} calls at once on {connections} connections, ")?;
            writeln!(out, "{seconds} s each after {warm_up} s of warm-up, floors half as long")?;
        }
        writeln!(out, "{}\n", self.configuration.join("; "))?;
        if !self.runs.is_empty() {
            writeln!(out, "{}", self.runs_table())?;
        }
        writeln!(out, "{}", self.figures_table())?;
        self.print_failures(&mut out)?;
        self.print_disturbance(&mut out)
    }

    fn runs_table(&self) -> Table {
        let mut table = Table::new(&[
            ("call", Align::Left),
            ("per second", Align::Right),
            ("p50 ms", Align::Right),
            ("p95 ms", Align::Right),
            ("p99 ms", Align::Right),
            ("max ms", Align::Right),
            ("CPU µs per call", Align::Left),
            ("all", Align::Right),
            ("cores allow", Align::Right),
            ("others", Align::Right),
        ]);
        for run in &self.runs {
            let cpu: Vec<_> = run.cpu_micros.iter().map(|(party, micros)| format!("{party} {micros:.0}")).collect();
            let Latency { p50, p95, p99, max } = run.latency;
            table.row(vec![
                run.name.clone(),
                amount(run.per_second, ""),
                format!("{p50:.2}"),
                format!("{p95:.2}"),
                format!("{p99:.2}"),
                format!("{max:.1}"),
                cpu.join(", "),
                format!("{:.0}", run.cpu_per_call()),
                amount(run.per_second_alone(), "/s"),
                format!("{:.0} %", run.others * 100.0),
            ]);
        }
        table
    }

    fn figures_table(&self) -> Table {
        let columns =
            [("figure", Align::Left), ("measured", Align::Right), ("target", Align::Right), ("", Align::Left)];
        let mut table = Table::new(&columns);
        for Figure { what, measured, unit, target, met } in &self.figures {
            let verdict = match target {
                None => "",
                Some(_) if *met => "pass",
                Some(_) => "MISSED",
            };
            table.row(vec![
                what.clone(),
                amount(*measured, unit),
                target.map_or_else(String::new, |target| target.text(unit)),
                verdict.to_owned(),
            ]);
        }
        table
    }

    fn print_failures(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for run in &self.runs {
            for (name, failure) in &run.failures {
                let verdict = if run.failures_forbidden && name != SHED { "FAILED" } else { "shed" };
                writeln!(out, "{verdict}: {}, {} × {name}: {}", run.name, failure.count, failure.example)?;
            }
        }
        Ok(())
    }

    fn print_disturbance(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let most = self.runs.iter().map(|run| run.others).fold(0.0, f64::max);
        if most > DISTURBED {
            writeln!(out, "disturbed: other processes used up to {:.0} % of the cores; believe the CPU", most * 100.0)?;
        }
        Ok(())
    }
}

impl Machine {
    fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            date: Ambient::system().now().date().to_string(),
            processor: model.unwrap_or("an unknown processor").to_owned(),
            cores: cores(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// As many digits as mean something, thousands apart.
fn amount(value: f64, unit: &str) -> String {
    let digits = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let space = if unit.is_empty() || unit.starts_with('/') { "" } else { " " };
    format!("{text}{rest}{space}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        assert_eq!(amount(1_234_567.4, "/s"), "1,234,567/s");
        assert_eq!(amount(100.4, "ms"), "100 ms");
        assert_eq!(amount(3.25, ""), "3.2");
    }

    #[test]
    fn targets_are_met_at_their_bounds_or_not() {
        assert!(Target::AtLeast(5.0).is_met(5.0));
        assert!(Target::AtMost(5.0).is_met(5.0));
        assert!(!Target::Below(5.0).is_met(5.0));
    }
}

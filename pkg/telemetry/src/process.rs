//! What the system tells about this process, under the names that Prometheus' own clients use.

use std::fmt::Write;
use std::fs;

/// The kernel counts CPU time in hundredths of a second for every program (`USER_HZ`), whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;
/// `/proc/self/stat` after the command in brackets: user and system time, and when the process started, in ticks.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const START_TIME: usize = 19;

/// The metrics in Prometheus' text format; nothing where there is no `/proc`.
pub(crate) fn render() -> String {
    let readings = [
        ("process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes()),
        ("process_cpu_seconds_total", "counter", "User and system CPU time.", cpu_seconds()),
        ("process_open_fds", "gauge", "Open file descriptors.", open_descriptors()),
        ("process_start_time_seconds", "gauge", "When the process started, since 1970.", start_seconds()),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in readings {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    }
    text
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = kibibytes.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    Some((stat_field(USER_TIME)? + stat_field(SYSTEM_TIME)?) / TICKS_PER_SECOND)
}

fn start_seconds() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat_field(START_TIME)? / TICKS_PER_SECOND)
}

#[expect(clippy::cast_precision_loss, reason = "file descriptors are few")]
fn open_descriptors() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn stat_field(index: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command may contain spaces and brackets; the last bracket ends it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_everything_and_the_figures_are_plausible() {
        assert!(resident_bytes().unwrap() > 100_000.0);
        assert!(cpu_seconds().unwrap() >= 0.0);
        assert!(open_descriptors().unwrap() >= 3.0);
        let year_2020 = 1_577_836_800.0;
        assert!(start_seconds().unwrap() > year_2020);
        assert_eq!(render().matches("# TYPE").count(), 4);
    }
}

//! What processes cost, as Linux counts it in /proc.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::load::Window;

/// A tick of CPU time: Linux tells programs 100 a second, whatever it counts in.
const TICK: Duration = Duration::from_millis(10);
/// The state of a listening socket in /proc/net/tcp.
const LISTENING: &str = "0A";

/// Processes whose CPU time is counted, by the names that the report has for them.
#[derive(Debug, Clone, Default)]
pub struct Parties(Vec<Party>);

#[derive(Debug, Clone, Copy)]
struct Party {
    name: &'static str,
    pid: u32,
    /// Whether its children are counted as well.
    with_children: bool,
}

/// The CPU time that was spent while something was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Spent {
    pub by_party: Vec<(&'static str, Duration)>,
    /// What others used of all cores, from 0 to 1: the noise.
    pub by_others: f64,
}

impl Parties {
    /// This process, which is the client.
    pub fn client() -> Self {
        Self::default().and("client", std::process::id(), false)
    }

    pub fn and(mut self, name: &'static str, pid: u32, with_children: bool) -> Self {
        self.0.push(Party { name, pid, with_children });
        self
    }

    /// The process that listens at a port of this machine, and its children, if it is on this machine.
    pub fn and_listener(self, name: &'static str, port: u16) -> Self {
        match listener(port) {
            Some(pid) => self.and(name, pid, true),
            None => self,
        }
    }

    /// What they spend in a window.
    pub async fn spend(&self, window: Window) -> anyhow::Result<Spent> {
        sleep_until(window.begin).await;
        let ((), _, spent) = self.spend_on(sleep_until(window.end)).await?;
        Ok(spent)
    }

    /// What comes of something, when it was done, and what they spend meanwhile.
    pub async fn spend_on<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<(T, Window, Spent)> {
        let before = Reading::take()?;
        let begin = Instant::now();
        let outcome = work.await;
        let window = Window { begin, end: Instant::now() };
        let after = Reading::take()?;
        let by_party: Vec<_> =
            self.0.iter().map(|party| (party.name, after.of(party).saturating_sub(before.of(party)))).collect();
        let ours: Duration = by_party.iter().map(|(_, spent)| *spent).sum();
        let all = after.busy.saturating_sub(before.busy).as_secs_f64();
        let capacity = window.duration().as_secs_f64() * f64::from(cores());
        let by_others = ((all - ours.as_secs_f64()) / capacity).max(0.0);
        Ok((outcome, window, Spent { by_party, by_others }))
    }
}

/// How many cores there are for everybody.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// The CPU time of this process so far.
pub fn own_cpu_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    Ok(Process::parse(&stat).context("/proc/self/stat is not as expected")?.own)
}

/// The memory of a process that is in RAM, in bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the process has no memory")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("/proc/PID/status is not as expected")?;
    Ok(kib * 1024)
}

/// The CPU time of all processes so far.
struct Reading {
    processes: HashMap<u32, Process>,
    busy: Duration,
}

struct Process {
    parent: u32,
    own: Duration,
    /// Of children that have ended.
    ended_children: Duration,
}

impl Reading {
    fn take() -> anyhow::Result<Self> {
        let mut processes = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that ended just now is counted by its parent.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            processes.insert(pid, Process::parse(&stat).context("/proc/PID/stat is not as expected")?);
        }
        Ok(Self { processes, busy: busy()? })
    }

    fn of(&self, party: &Party) -> Duration {
        let Some(process) = self.processes.get(&party.pid) else { return Duration::ZERO };
        if !party.with_children {
            return process.own;
        }
        let children = self.processes.values().filter(|child| child.parent == party.pid);
        process.own + process.ended_children + children.map(|child| child.own).sum::<Duration>()
    }
}

impl Process {
    /// See proc(5). The name, in brackets, may contain anything.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse().ok().map(|ticks: u32| TICK * ticks);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

/// The time that all cores were not idle.
fn busy() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u64> = stat.lines().next().unwrap_or_default().split(' ').filter_map(|t| t.parse().ok()).collect();
    // user nice system idle iowait irq softirq
    let [user, nice, system, _, _, irq, softirq, ..] = ticks[..] else {
        anyhow::bail!("/proc/stat is not as expected")
    };
    Ok(Duration::from_millis((user + nice + system + irq + softirq) * 10))
}

/// The process that listens at a port of a loopback address or of all addresses, as far as we may see it.
pub fn listener(port: u16) -> Option<u32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listening_inode(table, port))?;
    let socket = format!("socket:[{inode}]");
    let holds_it = |process: &Path| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == Path::new(&socket)))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let holders = processes.filter(|process| holds_it(&process.path()));
    // Children inherit the socket; the first that has it opened it.
    holders.filter_map(|process| process.file_name().to_str()?.parse().ok()).min()
}

fn listening_inode(table: &str, port: u16) -> Option<String> {
    let table = fs::read_to_string(table).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (address, local_port) = local.split_once(':')?;
        let ours = is_local(address) && u16::from_str_radix(local_port, 16) == Ok(port) && *state == LISTENING;
        ours.then(|| (*inode).to_owned())
    })
}

/// Addresses are written as hexadecimal words in the machine's order.
fn is_local(address: &str) -> bool {
    let v4 = |address: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(address.octets()));
    let v6 = |address: Ipv6Addr| {
        let word = |bytes: &[u8]| format!("{:08X}", u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        address.octets().chunks(4).map(word).collect::<String>()
    };
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    [v4(Ipv4Addr::LOCALHOST), v4(Ipv4Addr::UNSPECIFIED), v6(Ipv6Addr::LOCALHOST), v6(Ipv6Addr::UNSPECIFIED), v6(mapped)]
        .iter()
        .any(|local| local == address)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn we_find_ourselves_by_our_port() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(listening.local_addr().unwrap().port()), Some(std::process::id()));
    }

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let process = Process::parse("7 (a) b) S 3 1 1 0 -1 0 0 0 0 0 100 20 3 4 20 0 1 0 5").unwrap();
        assert_eq!(process.parent, 3);
        assert_eq!(process.own, Duration::from_millis(1200));
        assert_eq!(process.ended_children, Duration::from_millis(70));
    }

    #[test]
    fn we_have_memory_and_have_spent_time() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(busy().unwrap() > Duration::ZERO);
    }
}

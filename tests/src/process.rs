//! A process whose output is captured, and that does not outlive its value.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::eventually_blocking;

/// How much of the output is shown when a test fails.
const SHOWN_LINES: usize = 60;

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    readers: Vec<JoinHandle<()>>,
    stdout: Captured,
    stderr: Captured,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

type Captured = Arc<Mutex<String>>;

impl Process {
    /// Starts a process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let readers = vec![
            capture(child.stdout.take().expect("it is piped"), stdout.clone()),
            capture(child.stderr.take().expect("it is piped"), stderr.clone()),
        ];
        Self { name, child, readers, stdout, stderr }
    }

    /// Runs a process to its end.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn run(command: Command) -> Finished {
        Self::start(command).finish()
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let what = format!("{} ends", self.name);
        let status = eventually_blocking(&what, || self.ended());
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        Finished { status, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the system knows its children")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGSTOP: it does nothing, and its connections stay open.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(pid, signal).expect("a child can be signalled");
    }

    /// Sends SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// How much memory the process has, in bytes, as the system sees it.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
        kibibytes * 1024
    }

    /// All that the process has written so far: standard output, then standard error.
    #[must_use]
    pub fn output(&self) -> String {
        read(&self.stdout) + &read(&self.stderr)
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "cargo shows the output of tests that fail")]
    fn drop(&mut self) {
        // Nothing can be done about a process that cannot be killed, and a drop must not panic.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<_> = output.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("--- {}, at the end:\n{}", self.name, lines[last..].join("\n"));
        }
    }
}

fn capture(from: impl Read + Send + 'static, into: Captured) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

fn read(captured: &Captured) -> String {
    captured.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

//! A Redis server that a test may kill.

#![expect(clippy::missing_panics_doc, reason = "it panics: that is how a test learns what went wrong")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pkg_ambient::Ambient;
use tempfile::TempDir;

/// A server [started with](RedisServer::start_with) this keeps all that it acknowledged, whenever it is killed.
pub const DURABLE: &[&str] = &["--appendfsync", "always"];
/// How long a server may take to do something.
const LIMIT: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Ports for servers: below those that the system gives to outgoing connections, which may take that of a killed server.
/// A node of a cluster takes another one, 10,000 higher.
const PORTS: Range<u16> = 10_000..20_000;
/// How often another port is tried because one is taken.
const PORT_ATTEMPTS: usize = 100;
/// What the server says, in its folder.
const LOG: &str = "redis.log";
/// How much of that is shown when a test fails.
const SHOWN_LINES: usize = 60;

/// A server of its own, in a folder of its own, on a port of its own; both are the same after a restart. It is killed when
/// this value is dropped, and the folder is removed. All of it blocks.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    folder: TempDir,
    port: u16,
    settings: &'static [&'static str],
}

/// All that a server had at a moment.
#[derive(Debug)]
pub struct Copied(TempDir);

impl RedisServer {
    /// An empty server, ready. It writes down all that it is told, and as it does by itself: while the disk is slow, it
    /// acknowledges what it has not handed on to the system yet.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with settings as the command line takes them.
    #[must_use]
    pub fn start_with(settings: &'static [&'static str]) -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let port = free_port();
        let mut server = Self { process: spawn(folder.path(), port, settings), folder, port, settings };
        server.wait_until_ready();
        server
    }

    /// How a client reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `redis-cli` prints when it is told this about the server; nothing if there is no answer.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output();
        String::from_utf8_lossy(&output.expect("Redis is installed").stdout).trim().to_owned()
    }

    /// Takes no more writes for a minute, and waits until all that was acknowledged is with the system, which keeps it when
    /// the server is killed.
    pub fn wait_until_written(&self) {
        assert_eq!(self.ask(&["CLIENT", "PAUSE", "60000", "WRITE"]), "OK");
        wait_until("nothing waits to be written", || {
            self.ask(&["INFO", "persistence"]).contains("aof_buffer_length:0\r\n")
        });
    }

    /// Forgets all that it has.
    pub fn empty(&self) {
        assert_eq!(self.ask(&["FLUSHALL"]), "OK");
    }

    /// Sends SIGKILL, and waits until the server is gone.
    pub fn kill(&mut self) {
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("a killed child ends");
    }

    /// Starts the killed server again, with its data.
    pub fn restart(&mut self) {
        self.process = spawn(self.folder.path(), self.port, self.settings);
        self.wait_until_ready();
    }

    /// Stops for a moment, and copies all that it has.
    pub fn copy(&mut self) -> Copied {
        self.wait_until_written();
        self.kill();
        let copy = TempDir::new().expect("there is a place for temporary files");
        copy_folder(self.folder.path(), copy.path());
        self.restart();
        Copied(copy)
    }

    /// Stops for a moment, and comes back as it was when it was copied.
    pub fn set_back(&mut self, copied: &Copied) {
        self.kill();
        fs::remove_dir_all(self.folder.path()).expect("the folder is ours");
        copy_folder(copied.0.path(), self.folder.path());
        self.restart();
    }

    fn wait_until_ready(&mut self) {
        wait_until("Redis answers", || {
            let ended = self.process.try_wait().expect("the system knows its children");
            assert!(ended.is_none(), "Redis ended: {}", self.said());
            // Another server may answer on the same port.
            self.said().contains("Ready to accept connections") && self.ask(&["PING"]) == "PONG"
        });
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    #[expect(clippy::print_stderr, reason = "cargo shows the output of tests that fail")]
    fn drop(&mut self) {
        // Nothing can be done about a process that cannot be killed, and a drop must not panic.
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<_> = said.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("--- Redis, at the end:\n{}", lines[last..].join("\n"));
        }
    }
}

fn spawn(folder: &Path, port: u16, settings: &[&str]) -> Child {
    let log = File::create(folder.join(LOG)).expect("the folder is ours");
    let errors = log.try_clone().expect("a file can be written to twice");
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    command.args(settings).arg("--dir").arg(folder);
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("Redis is installed")
}

fn free_port() -> u16 {
    let random = || PORTS.start + u16::from_le_bytes(Ambient::system().random()) % (PORTS.end - PORTS.start);
    let mut ports = (0..PORT_ATTEMPTS).map(|_| random());
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).unwrap_or_else(|| panic!("no free port in {PORTS:?}"))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("the folder is ours") {
        let entry = entry.expect("the folder is ours");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the folder is ours");
        }
    }
}

//! Redis servers of a test's own, to kill.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to do something.
const LIMIT: Duration = Duration::from_secs(30);

/// Ports are at most so high: a node of a cluster takes another one, 10,000 higher.
const HIGHEST_PORT: u16 = 55_535;

/// A server which keeps what it acknowledged.
pub(super) struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
    settings: &'static [&'static str],
}

/// Three servers that share the slots.
pub(super) struct Cluster {
    servers: [Server; 3],
}

impl Server {
    /// An empty server, ready.
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: &'static [&'static str]) -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let port = free_port();
        Self { process: serve(&folder, port, settings), folder, port, settings }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills the server, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the killed server again, with its data.
    pub(super) fn restart(&mut self) {
        self.process = serve(&self.folder, self.port, self.settings);
    }

    /// What the server answers to a command.
    pub(super) fn ask(&self, command: &[&str]) -> String {
        cli(&[&["-p", &self.port.to_string()], command].concat())
    }
}

impl Cluster {
    /// A cluster without keys, ready.
    pub(super) fn start() -> Self {
        let settings = &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let servers = [(); 3].map(|()| Server::start_with(settings));
        let addresses = servers.each_ref().map(|server| format!("127.0.0.1:{}", server.port));
        let [first, second, third] = addresses.each_ref().map(String::as_str);
        cli(&["--cluster", "create", first, second, third, "--cluster-yes"]);
        let cluster = Self { servers };
        cluster.wait_until_ready();
        cluster
    }

    pub(super) fn url(&self) -> String {
        let [first, second, third] = self.servers.each_ref().map(|server| server.port);
        format!("redis-cluster://127.0.0.1:{first}?node=127.0.0.1:{second}&node=127.0.0.1:{third}")
    }

    pub(super) fn wait_until_ready(&self) {
        let is_ready = |server: &Server| server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        let started = Instant::now();
        while !self.servers.iter().all(is_ready) {
            assert!(started.elapsed() < LIMIT, "the cluster does not serve");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The server that has a slot.
    pub(super) fn owner(&mut self, slot: u16) -> &mut Server {
        let owner = self.owner_index(slot);
        &mut self.servers[owner]
    }

    fn owner_index(&self, slot: u16) -> usize {
        let has_slot = |server: &Server| {
            let nodes = server.ask(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).expect("a node knows itself").to_owned();
            own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
            })
        };
        self.servers.iter().position(has_slot).expect("every slot has a server")
    }

    /// Moves a slot with its keys to another server.
    pub(super) fn move_slot(&self, slot: u16) {
        let from = self.owner_index(slot);
        let (from, to) = (&self.servers[from], &self.servers[(from + 1) % self.servers.len()]);
        let id = |server: &Server| server.ask(&["CLUSTER", "MYID"]);
        let (slot, from_id, to_id) = (slot.to_string(), id(from), id(to));
        let set = |server: &Server, what: &[&str]| {
            let answer = server.ask(&[&["CLUSTER", "SETSLOT", &slot], what].concat());
            assert_eq!(answer, "OK", "{what:?}");
        };
        set(to, &["IMPORTING", &from_id]);
        set(from, &["MIGRATING", &to_id]);
        loop {
            let keys = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.is_empty() {
                break;
            }
            let port = to.port.to_string();
            let command = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            from.ask(&[&command[..], &keys.lines().collect::<Vec<_>>()].concat());
        }
        set(to, &["NODE", &to_id]);
        set(from, &["NODE", &to_id]);
        for server in &self.servers {
            server.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that cannot be killed, and a drop must not panic.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if port <= HIGHEST_PORT {
            return port;
        }
    }
}

fn cli(arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(arguments).output().expect("Redis is installed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn serve(folder: &TempDir, port: u16, settings: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", "always"]).args(settings).arg("--dir").arg(folder.path());
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("Redis is installed");
    let started = Instant::now();
    while !answers(port) {
        assert!(process.try_wait().unwrap().is_none(), "Redis ended");
        assert!(started.elapsed() < LIMIT, "Redis does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn answers(port: u16) -> bool {
    let mut answer = [0; 5];
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer)).is_ok() && &answer == b"+PONG"
}

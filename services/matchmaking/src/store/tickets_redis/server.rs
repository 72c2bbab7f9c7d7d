//! A Redis server of a test's own, to kill and to empty.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::testing::LIMIT;

/// A server which keeps what it acknowledged.
pub(super) struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// An empty server, ready.
    pub(super) fn start() -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        drop(listener);
        Self { process: serve(&folder, port), folder, port }
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
        self.process = serve(&self.folder, self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that cannot be killed, and a drop must not panic.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn serve(folder: &TempDir, port: u16) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", "always"]).arg("--dir").arg(folder.path());
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

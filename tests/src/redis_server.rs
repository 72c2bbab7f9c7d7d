//! A Redis server that a test may kill.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::muster::free_address;
use crate::process::Process;
use crate::wait::eventually_blocking;

/// A Redis server of its own, which keeps what it acknowledged.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    folder: TempDir,
    address: SocketAddr,
}

impl RedisServer {
    /// An empty server, ready.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let address = free_address();
        Self { process: serve(&folder, address), folder, address }
    }

    /// How a client reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Takes no more writes for a minute, and waits until all that was acknowledged is with the system, which keeps it over a
    /// SIGKILL: while the disk is slow, Redis acknowledges what it has not handed on yet.
    pub fn wait_until_written(&self) {
        ask(self.address, b"CLIENT PAUSE 60000 WRITE\r\n").expect("Redis answers");
        eventually_blocking("nothing waits to be written", || {
            ask(self.address, b"INFO persistence\r\n").ok()?.contains("aof_buffer_length:0\r\n").then_some(())
        });
    }

    /// Forgets all that it has.
    pub fn empty(&self) {
        ask(self.address, b"FLUSHALL\r\n").expect("Redis answers");
    }

    /// Sends SIGKILL, and waits until the server is gone.
    pub fn kill(&mut self) {
        self.process.kill();
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
        std::fs::remove_dir_all(self.folder.path()).expect("the folder is ours");
        copy_folder(copied.0.path(), self.folder.path());
        self.restart();
    }

    /// Starts the killed server again, with its data.
    pub fn restart(&mut self) {
        self.process = serve(&self.folder, self.address);
    }
}

/// All that a server had at a moment.
#[derive(Debug)]
pub struct Copied(TempDir);

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is ours");
    for entry in std::fs::read_dir(from).expect("the folder is ours") {
        let entry = entry.expect("the folder is ours");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the folder is ours");
        }
    }
}

fn serve(folder: &TempDir, address: SocketAddr) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    command.arg("--dir").arg(folder.path());
    let mut process = Process::start(command);
    eventually_blocking("Redis answers", || {
        assert!(process.ended().is_none(), "Redis ended: {}", process.output());
        (process.output().contains("Ready to accept connections") && answers(address)).then_some(())
    });
    process
}

fn answers(address: SocketAddr) -> bool {
    ask(address, b"PING\r\n").is_ok_and(|answer| answer.starts_with("+PONG"))
}

/// What the server answers before it is told to quit.
fn ask(address: SocketAddr, command: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(command)?;
    stream.write_all(b"QUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

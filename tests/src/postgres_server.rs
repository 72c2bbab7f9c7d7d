//! A Postgres server that a test may take away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::muster::free_address;
use crate::process::Process;
use crate::test_variable;
use crate::wait::eventually_blocking;

/// The user that the server's package makes: Postgres refuses to be root.
const SERVER_USER: &str = "postgres";
/// The user within Postgres.
const USER: &str = "muster";

/// A Postgres server of its own, which keeps what it acknowledged.
#[derive(Debug)]
pub struct PostgresServer {
    process: Process,
    folder: TempDir,
    programs: PathBuf,
    address: SocketAddr,
}

impl PostgresServer {
    /// An empty server, ready; of the version that `make test` has started.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let programs = programs();
        if geteuid().is_root() {
            run("chown", &[SERVER_USER, folder.path().to_str().expect("the folder has a name")]);
        }
        let mut initdb = as_server(&programs.join("initdb"));
        initdb.arg("--pgdata").arg(folder.path().join("data"));
        initdb.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]);
        let made = Process::run(initdb);
        assert!(made.status.success(), "{}", made.stderr);
        let address = free_address();
        Self { process: serve(&programs, &folder, address), folder, programs, address }
    }

    /// How a client reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@{}/postgres", self.address)
    }

    /// Ends all processes of the server at once, as a crash does: what is under way is lost, the rest is recovered.
    pub fn stop_at_once(&mut self) {
        let mut stop = as_server(&self.programs.join("pg_ctl"));
        stop.args(["stop", "--wait", "--mode", "immediate", "--pgdata"]).arg(self.folder.path().join("data"));
        let stopped = Process::run(stop);
        assert!(stopped.status.success(), "{}{}", stopped.stdout, stopped.stderr);
        eventually_blocking("Postgres is gone", || self.process.ended());
    }

    /// Starts the server again, with its data.
    pub fn restart(&mut self) {
        self.process = serve(&self.programs, &self.folder, self.address);
    }
}

fn serve(programs: &Path, folder: &TempDir, address: SocketAddr) -> Process {
    let mut command = as_server(&programs.join("postgres"));
    command.arg("-D").arg(folder.path().join("data")).args(["-p", &address.port().to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    let mut process = Process::start(command);
    eventually_blocking("Postgres answers", || {
        assert!(process.ended().is_none(), "Postgres ended: {}", process.output());
        process.output().contains("database system is ready to accept connections").then_some(())
    });
    process
}

/// A program of the server, run by a user that may run it.
fn as_server(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={SERVER_USER}"), format!("--regid={SERVER_USER}"), "--init-groups".to_owned()]);
    command.arg(program);
    command
}

/// Where the programs of the server for tests are.
fn programs() -> PathBuf {
    let mut ask = Command::new("psql");
    ask.args(["--no-psqlrc", "-At", "--dbname", &test_variable(pkg_db::testing::POSTGRES_VARIABLE)]);
    ask.args(["--command", "SELECT setting FROM pg_config WHERE name = 'BINDIR'"]);
    let asked = Process::run(ask);
    assert!(asked.status.success(), "{}", asked.stderr);
    PathBuf::from(asked.stdout.trim())
}

fn run(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments);
    let finished = Process::run(command);
    assert!(finished.status.success(), "{program}: {}", finished.stderr);
}

//! `muster` as a process.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use pkg_ambient::Ambient;
use serde_json::Value;

use crate::process::{Finished, Process};
use crate::wait::eventually_blocking;

/// Ports for servers: below those that the system gives to outgoing connections, beside those of `with-stack`.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// How often other ports are tried because somebody took ours between the choice and the start.
pub(crate) const PORT_ATTEMPTS: usize = 10;

/// How long an answer over HTTP may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running `muster dev`, or a service.
#[derive(Debug)]
pub struct Muster {
    process: Process,
    api: SocketAddr,
    admin: SocketAddr,
}

impl Muster {
    /// `muster dev` with this data folder ("none" for none), ready.
    #[must_use]
    pub fn dev(data: &Path, flags: &[&str]) -> Self {
        Self::start_on_free_ports("Muster is ready at", |api, _| {
            let mut command = command("dev", &[]);
            command.args(["--listen", &api.to_string()]).arg("--data").arg(data).args(flags);
            (command, api)
        })
    }

    /// `muster ROLE`, a service, with these variables and flags, ready.
    #[must_use]
    pub fn service(role: &str, environment: &[(&str, String)], flags: &[&str]) -> Self {
        Self::start_on_free_ports("\"serving\"", |api, admin| {
            let mut command = command(role, environment);
            command.args(["--listen", &api.to_string(), "--admin-listen", &admin.to_string()]).args(flags);
            (command, admin)
        })
    }

    /// As [`Self::service`], where one has been before.
    #[must_use]
    pub fn service_at(api: SocketAddr, role: &str, environment: &[(&str, String)], flags: &[&str]) -> Self {
        let started = Self::start_on_free_ports("\"serving\"", |_, admin| {
            let mut command = command(role, environment);
            command.args(["--listen", &api.to_string(), "--admin-listen", &admin.to_string()]).args(flags);
            (command, admin)
        });
        Self { api, ..started }
    }

    /// Starts a server and waits until it says that it listens, so that it is no other that answers on its port.
    fn start_on_free_ports(listens: &str, command: impl Fn(SocketAddr, SocketAddr) -> (Command, SocketAddr)) -> Self {
        for _ in 0..PORT_ATTEMPTS {
            let api = free_address();
            let (command, admin) = command(api, free_address());
            let mut process = Process::start(command);
            let ended = eventually_blocking("muster listens or ends", || {
                let ended = process.ended();
                (ended.is_some() || process.output().contains(listens)).then_some(ended)
            });
            match ended {
                None => {
                    let mut muster = Self { process, api, admin };
                    muster.wait_until_ready();
                    return muster;
                }
                Some(status) => {
                    let Finished { stdout, stderr, .. } = process.finish();
                    assert!(stderr.contains("cannot listen"), "muster ended with {status}: {stdout}{stderr}");
                }
            }
        }
        panic!("no free port after {PORT_ATTEMPTS} attempts");
    }

    /// Where the API is served.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the admin paths are served.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until `/readyz` says yes.
    pub fn wait_until_ready(&mut self) {
        eventually_blocking("/readyz says yes", || {
            assert!(self.process.ended().is_none(), "muster ended while it should become ready");
            self.readiness().is_some_and(|(status, _)| status == 200).then_some(())
        });
    }

    /// What `/readyz` answers, if it does.
    #[must_use]
    pub fn readiness(&self) -> Option<(u16, Value)> {
        let (status, body) = http_get(self.admin, "/readyz").ok()?;
        Some((status, serde_json::from_str(&body).ok()?))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Sends SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops the process where it is (SIGSTOP), until [`Self::go_on`].
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets a stopped process go on (SIGCONT).
    pub fn go_on(&self) {
        self.process.go_on();
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits until the process has ended by itself. It blocks the thread: a client needs another one to notice that the
    /// server goes away, or the server waits for it until the end of its drain.
    #[must_use]
    pub fn finish(self) -> Finished {
        self.process.finish()
    }

    /// How much memory the process has, in bytes, as the system sees it.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// What the process has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// Runs `muster` with these arguments and variables to its end.
#[must_use]
pub fn run_muster(arguments: &[&str], environment: &[(&str, String)]) -> Finished {
    let (role, rest) = arguments.split_first().expect("there is a role");
    let mut command = command(role, environment);
    command.args(rest);
    Process::run(command)
}

/// The executable in a clean environment: what the developer has set for their own server is not ours.
fn command(role: &str, environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(executable());
    command.arg(role).env_clear().current_dir(std::env::temp_dir());
    let path: Option<OsString> = std::env::var_os("PATH");
    command.envs(path.map(|path| ("PATH", path))).envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

fn executable() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let executable = profile.join("muster");
    assert!(executable.is_file(), "{} is not there: run `cargo build -p muster` first", executable.display());
    executable
}

/// An address on which nobody listens at this moment.
#[must_use]
pub fn free_address() -> SocketAddr {
    for _ in 0..PORT_ATTEMPTS * 10 {
        let random = u16::from_le_bytes(Ambient::system().random());
        let port = PORTS.start + random % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return (Ipv4Addr::LOCALHOST, port).into();
        }
    }
    panic!("no free port in {PORTS:?}");
}

/// The status and the body of an answer.
fn http_get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, HTTP_TIMEOUT)?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
}

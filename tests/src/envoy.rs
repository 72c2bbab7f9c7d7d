//! Envoy as a process, with the configuration that production has.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::curl::Curl;
use crate::muster::{PORT_ATTEMPTS, free_address, run_muster};
use crate::process::{Finished, Process};
use crate::test_variable;
use crate::wait::eventually_blocking;

/// The repository, from this crate.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What differs from one Envoy to another: the values that `envoy.yaml` has by name.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The replicas of the auth service.
    pub auth: Vec<SocketAddr>,
    /// The replicas of the game service; without any, `/healthz` does not ask for them.
    pub game: Vec<SocketAddr>,
    /// The replicas of the matchmaking service, in the same way.
    pub matchmaking: Vec<SocketAddr>,
    /// The replicas of the leaderboard service, in the same way.
    pub leaderboard: Vec<SocketAddr>,
    /// How many proxies in front of Envoy are trusted.
    pub trusted_hops: u8,
    /// The origins whose pages may call.
    pub origins: Vec<String>,
    /// Whether the API's description of itself is routed.
    pub reflection: bool,
    /// Whether the page of the example game is routed.
    pub examples: bool,
    /// How many calls of each kind one address may make at once; as many come back in a minute.
    pub address_burst: u32,
    /// The same for sign-ins.
    pub sign_in_burst: u32,
    /// The same for publications.
    pub publish_burst: u32,
}

impl Edge {
    /// Accounts alone, reflection, no pages, and nobody is limited.
    #[must_use]
    pub fn of(auth: &[SocketAddr]) -> Self {
        Self {
            auth: auth.to_vec(),
            game: Vec::new(),
            matchmaking: Vec::new(),
            leaderboard: Vec::new(),
            trusted_hops: 0,
            origins: Vec::new(),
            reflection: true,
            examples: false,
            address_burst: 1_000_000,
            sign_in_burst: 1_000_000,
            publish_burst: 1_000_000,
        }
    }

    /// The names and their values, as they stand before `envoy.yaml`.
    #[must_use]
    pub fn to_yaml(&self, listen: SocketAddr, admin: SocketAddr, api: &Path) -> String {
        let mut yaml = "!ignore addresses:\n".to_owned();
        let mut value = |name: &str, value: &str| writeln!(yaml, "- &{name} {value}").expect("a string can be written");
        let address = |address: SocketAddr| {
            format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
        };
        let bucket = |burst: u32| format!("{{ max_tokens: {burst}, tokens_per_fill: {burst}, fill_interval: 60s }}");
        let endpoints = |replicas: &[SocketAddr]| {
            let endpoint = |replica: &SocketAddr| format!("{{ endpoint: {{ address: {} }} }}", address(*replica));
            format!("[{{ lb_endpoints: [{}] }}]", replicas.iter().map(endpoint).collect::<Vec<_>>().join(", "))
        };
        let services = [
            ("auth", &self.auth),
            ("game", &self.game),
            ("matchmaking", &self.matchmaking),
            ("leaderboard", &self.leaderboard),
        ];
        let needed = services.iter().filter(|(_, replicas)| !replicas.is_empty());
        let needed: Vec<_> = needed.map(|(name, _)| format!("{name}: {{ value: 1 }}")).collect();
        let origins: Vec<_> = self.origins.iter().map(|origin| format!("{{ exact: \"{origin}\" }}")).collect();

        value("listen", &address(listen));
        value("admin", &address(admin));
        for (name, replicas) in services {
            value(name, &endpoints(replicas));
        }
        value("needed", &format!("{{ {} }}", needed.join(", ")));
        value("descriptors", &api.join("muster.binpb").display().to_string());
        value("api_tables", &api.join("?.lua").display().to_string());
        value("strict_json", &script());
        value("trusted_hops", &self.trusted_hops.to_string());
        value("origins", &format!("[{}]", origins.join(", ")));
        value("reflection", if self.reflection { "100" } else { "0" });
        value("examples", if self.examples { "100" } else { "0" });
        value("address_limit", &bucket(self.address_burst));
        value("sign_in_limit", &bucket(self.sign_in_burst));
        value("publish_limit", &bucket(self.publish_burst));
        value("heap", "536870912");
        yaml
    }
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    listen: SocketAddr,
    admin: SocketAddr,
    _folder: TempDir,
}

impl Envoy {
    /// Starts it, and waits until it routes to a healthy replica.
    #[must_use]
    pub fn start(edge: &Edge) -> Self {
        let folder = TempDir::new().expect("there is a place for temporary files");
        let api = folder.path().join("api");
        write_descriptors(&api);
        for _ in 0..PORT_ATTEMPTS {
            let (listen, admin) = free_pair();
            let file = configuration(folder.path(), &edge.to_yaml(listen, admin, &api));
            let mut command = command(&file);
            // Few threads: many tests run at once. The log is read as it grows.
            command.args(["--use-dynamic-base-id", "--concurrency", "1", "--file-flush-interval-msec", "50"]);
            let mut process = Process::start(command);
            if is_serving(&mut process, listen) {
                return Self { process, listen, admin, _folder: folder };
            }
            let Finished { stdout, stderr, .. } = process.finish();
            assert!(stderr.contains("Address already in use"), "Envoy ended: {stdout}{stderr}");
        }
        panic!("no free ports after {PORT_ATTEMPTS} attempts");
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Where it is told what to do.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What it has written: a line of JSON for every request that has ended, and its own log.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// Has Envoy read `envoy.yaml` after these addresses, and only say whether they are valid. The addresses name folders of
/// their own for what `muster descriptors` writes and for the script.
#[must_use]
pub fn validate_envoy(addresses: &str, api_folder: &str, script_folder: &str) -> Finished {
    let folder = TempDir::new().expect("there is a place for temporary files");
    let api = folder.path().join("api");
    write_descriptors(&api);
    let addresses = addresses
        .replace(api_folder, &api.display().to_string())
        .replace(&format!("{script_folder}/strict_json.lua"), &script());
    let mut command = command(&configuration(folder.path(), &addresses));
    command.args(["--mode", "validate"]);
    Process::run(command)
}

/// The names that a file of addresses gives to its values.
#[must_use]
pub fn names_of_addresses(yaml: &str) -> Vec<&str> {
    yaml.lines().filter_map(|line| line.strip_prefix("- &")?.split(' ').next()).collect()
}

/// A file of the repository.
#[must_use]
pub fn repository_file(path: &str) -> String {
    fs::read_to_string(Path::new(REPOSITORY).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn command(file: &Path) -> Command {
    let mut command = Command::new(test_variable("MUSTER_TEST_ENVOY"));
    command.arg("--config-path").arg(file).args(["--log-level", "warning"]);
    command
}

fn script() -> String {
    format!("{REPOSITORY}/deployments/envoy/strict_json.lua")
}

/// Writes the addresses and `envoy.yaml` into one file.
fn configuration(folder: &Path, addresses: &str) -> PathBuf {
    let file = folder.join("envoy.yaml");
    fs::write(&file, addresses.to_owned() + &repository_file("envoy.yaml")).expect("the folder is ours");
    file
}

fn write_descriptors(folder: &Path) {
    let written = run_muster(&["descriptors", "--output", &folder.display().to_string()], &[]);
    assert!(written.status.success(), "{}", written.stderr);
}

/// Waits until it serves or has ended.
fn is_serving(process: &mut Process, listen: SocketAddr) -> bool {
    let curl = Curl::to(listen);
    eventually_blocking("Envoy serves or ends", || match process.ended() {
        Some(_) => Some(false),
        None => (curl.status("/healthz") == Some(200)).then_some(true),
    })
}

/// Two ports side by side. Two Envoys may listen at one port without noticing, but not for their admin interfaces: with
/// the ports in pairs, the second one ends.
fn free_pair() -> (SocketAddr, SocketAddr) {
    for _ in 0..PORT_ATTEMPTS * 10 {
        let listen = free_address();
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port() + 1));
        if TcpListener::bind(admin).is_ok() {
            return (listen, admin);
        }
    }
    panic!("no two free ports side by side");
}

//! Envoy as it is in production, but for its addresses and with nobody limited.

use std::net::SocketAddr;
use std::path::Path;

use crate::muster::{Executable, RAISED_LIMIT, Server, free_address};

/// The repository, from this crate.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The services and where production has them; Envoy is healthy if all that are there are.
const SERVICES: [(&str, &str); 4] =
    [("auth", "50051"), ("game", "50052"), ("matchmaking", "50053"), ("leaderboard", "50054")];
/// How many calls of one address Envoy lets through at once; and then.
const LIMITS: [&str; 3] = [
    "{ max_tokens: 400, tokens_per_fill: 100,",
    "{ max_tokens: 200, tokens_per_fill: 20,",
    "{ max_tokens: 2000, tokens_per_fill: 1000,",
];

/// Starts Envoy before services, named as in [`SERVICES`], ready when this returns.
pub fn start(executable: &Executable, program: &Path, services: &[(&str, SocketAddr)]) -> anyhow::Result<Server> {
    let folder = tempfile::tempdir()?;
    executable.describe(folder.path())?;
    let (listen, admin) = (free_address()?, free_address()?);
    let read = |file: &str| std::fs::read_to_string(format!("{REPOSITORY}/{file}"));
    let port = |port: &str| format!("port_value: {port}");
    let mut addresses = read("deployments/envoy/local.yaml")?
        .replace(&port("8080"), &port(&listen.port().to_string()))
        .replace(&port("9901"), &port(&admin.port().to_string()))
        .replace(".stack/envoy/api", &folder.path().display().to_string())
        .replace("deployments/envoy/", &format!("{REPOSITORY}/deployments/envoy/"));
    for (name, usual) in SERVICES {
        match services.iter().find(|(service, _)| *service == name) {
            Some((_, address)) => addresses = addresses.replace(&port(usual), &port(&address.port().to_string())),
            // It is not there to be healthy.
            None => addresses = addresses.replace(&format!(", {name}: {{ value: 1 }}"), ""),
        }
    }
    for limit in LIMITS {
        let raised = format!("{{ max_tokens: {RAISED_LIMIT}, tokens_per_fill: {RAISED_LIMIT},");
        addresses = addresses.replace(limit, &raised);
    }
    Server::envoy(program, &(addresses + &read("envoy.yaml")?), listen, folder)
}

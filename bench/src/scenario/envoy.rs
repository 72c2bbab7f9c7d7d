//! What Envoy adds to a call: the cheapest one that there is, straight to the service and through Envoy.

use std::path::Path;

use tonic::Status;

use super::{Accounts, measure};
use crate::client::{Client, Connections};
use crate::load::Caller;
use crate::muster::{Executable, RAISED_LIMIT, Server, free_address};
use crate::report::{Permitted, Report, Target};
use crate::scenario::guest::device_secret;

const TARGET_MICROS: f64 = 60.0;
/// The repository, from this crate.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub async fn run(
    accounts: &Accounts,
    executable: &Executable,
    envoy: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let direct = accounts.connect().await?;
    let (tokens, _) = direct.client(0).log_in_with_device(&device_secret()).await?;
    let callers = callers(&direct, accounts, &tokens.access_token);
    report.add(accounts.measure("validate token, direct", callers, Permitted::Nothing).await?)?;

    let envoy = start(executable, envoy, accounts)?;
    let connections = Connections::open(envoy.address, accounts.load.connections).await?;
    let parties = accounts.parties().and("envoy", envoy.pid(), false);
    let callers = self::callers(&connections, accounts, &tokens.access_token);
    let window = accounts.load.window();
    let run = measure("validate token, through Envoy", callers, window, &parties, Permitted::Nothing).await?;
    report.compare("CPU of Envoy per gRPC call", run.cpu_of("envoy"), "µs", Target::AtMost(TARGET_MICROS));
    report.add(run)
}

/// Envoy as it is in production, but for its addresses and with nobody limited.
fn start(executable: &Executable, envoy: &Path, accounts: &Accounts) -> anyhow::Result<Server> {
    let folder = tempfile::tempdir()?;
    executable.describe(folder.path())?;
    let (listen, admin) = (free_address()?, free_address()?);
    let read = |file: &str| std::fs::read_to_string(format!("{REPOSITORY}/{file}"));
    let addresses = read("deployments/envoy/local.yaml")?
        .replace("port_value: 8080", &format!("port_value: {}", listen.port()))
        .replace("port_value: 9901", &format!("port_value: {}", admin.port()))
        .replace("port_value: 50051", &format!("port_value: {}", accounts.server.address.port()))
        .replace(".stack/envoy/api", &folder.path().display().to_string())
        // There is no game service here to be healthy.
        .replace(", game: { value: 1 }", "")
        .replace("deployments/envoy/", &format!("{REPOSITORY}/deployments/envoy/"))
        .replace("{ max_tokens: 400, tokens_per_fill: 100,", &unlimited())
        .replace("{ max_tokens: 200, tokens_per_fill: 20,", &unlimited());
    Server::envoy(envoy, &(addresses + &read("envoy.yaml")?), listen, folder)
}

fn unlimited() -> String {
    format!("{{ max_tokens: {RAISED_LIMIT}, tokens_per_fill: {RAISED_LIMIT},")
}

fn callers(connections: &Connections, accounts: &Accounts, access_token: &str) -> Vec<Validation> {
    let clients = connections.clients(accounts.load.concurrency);
    clients.map(|client| Validation { client, access_token: access_token.to_owned() }).collect()
}

/// Asks whether a token is valid: one check of a signature, no store.
struct Validation {
    client: Client,
    access_token: String,
}

impl Caller for Validation {
    async fn call(&mut self) -> Result<(), Status> {
        self.client.validate(&self.access_token).await
    }
}

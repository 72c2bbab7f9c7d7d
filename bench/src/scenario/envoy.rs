//! What Envoy adds to a call: the cheapest one that there is, straight to the service and through Envoy.

use std::path::Path;

use tonic::Status;

use super::{Accounts, measure};
use crate::client::{Client, Connections};
use crate::edge;
use crate::load::Caller;
use crate::muster::Executable;
use crate::report::{Permitted, Report, Target};
use crate::scenario::guest::device_secret;

const TARGET_MICROS: f64 = 60.0;

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

    let envoy = edge::start(executable, envoy, &[("auth", accounts.server.address)])?;
    let connections = Connections::open(envoy.address, accounts.load.connections).await?;
    let parties = accounts.parties().and("envoy", envoy.pid(), false);
    let callers = self::callers(&connections, accounts, &tokens.access_token);
    let window = accounts.load.window();
    let run = measure("validate token, through Envoy", callers, window, &parties, Permitted::Nothing).await?;
    report.compare("CPU of Envoy per gRPC call", run.cpu_of("envoy"), "µs", Target::AtMost(TARGET_MICROS));
    report.add(run)
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

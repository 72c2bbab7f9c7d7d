//! Games that run for long: refreshes, each caller with a chain of its own.

use tonic::Status;

use super::{Accounts, Floor};
use crate::client::{Client, Connections};
use crate::load::{Caller, Load};
use crate::report::{Permitted, Report, Target};
use crate::scenario::guest::device_secret;

const TARGET_PER_SECOND: f64 = 8_000.0;

pub async fn run(accounts: &Accounts, report: &mut Report) -> anyhow::Result<()> {
    let floor = Floor::serve(accounts.load)?;
    let callers = signed_in(&floor.connect().await?, accounts.load).await?;
    report.add(floor.measure("floor: refresh", callers).await?)?;
    drop(floor);

    let callers = signed_in(&accounts.connect().await?, accounts.load).await?;
    let run = accounts.measure("refresh", callers, Permitted::Nothing).await?;
    report.compare("refreshes", run.per_second, "/s", Target::AtLeast(TARGET_PER_SECOND));
    report.add(run)
}

/// One for each of so many devices.
pub async fn signed_in(connections: &Connections, load: Load) -> anyhow::Result<Vec<Chain>> {
    let mut chains = Vec::new();
    for mut client in connections.clients(load.concurrency) {
        let (tokens, _) = client.log_in_with_device(&device_secret()).await?;
        chains.push(Chain { client, newest: tokens.refresh_token });
    }
    Ok(chains)
}

/// Exchanges each refresh token for the next.
pub struct Chain {
    client: Client,
    newest: String,
}

impl Caller for Chain {
    async fn call(&mut self) -> Result<(), Status> {
        self.newest = self.client.refresh(self.newest.clone()).await?.refresh_token;
        Ok(())
    }
}

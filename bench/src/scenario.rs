//! What is measured, a subject per file.

pub mod dev;
pub mod envoy;
pub mod events;
pub mod flood;
pub mod guest;
pub mod launch;
pub mod log;
pub mod matcher;
pub mod pace;
pub mod password;
pub mod refresh;
pub mod scores;
pub mod tickets;

use tokio::try_join;

use crate::client::Connections;
use crate::load::{Caller, Load, Window, closed_loop};
use crate::muster::{Executable, Server};
use crate::process::Parties;
use crate::report::{Permitted, Run};
use crate::stores::{StoreOptions, Stores};

/// The accounts service, on real stores, under measurement.
pub struct Accounts {
    load: Load,
    // Before the stores, so that it is dropped before its schema.
    server: Server,
    stores: Stores,
}

impl Accounts {
    pub fn serve(executable: &Executable, stores: &StoreOptions, load: Load) -> anyhow::Result<Self> {
        let stores = Stores::make(stores)?;
        Ok(Self { load, server: executable.auth(&stores)?, stores })
    }

    async fn connect(&self) -> anyhow::Result<Connections> {
        Connections::open(self.server.address, self.load.connections).await
    }

    fn parties(&self) -> Parties {
        self.stores.count(Parties::client().and("muster", self.server.pid(), false))
    }

    /// Callers against the service, each waiting for its answers.
    async fn measure<C: Caller>(&self, name: &str, callers: Vec<C>, permitted: Permitted) -> anyhow::Result<Run> {
        measure(name, callers, self.load.window(), &self.parties(), permitted).await
    }
}

/// A server that does nothing, under the same load: what the calls cost before anybody does anything.
struct Floor {
    load: Load,
    server: Server,
}

impl Floor {
    fn serve(load: Load) -> anyhow::Result<Self> {
        Ok(Self { load, server: Server::echo()? })
    }

    async fn connect(&self) -> anyhow::Result<Connections> {
        Connections::open(self.server.address, self.load.connections).await
    }

    async fn measure<C: Caller>(&self, name: &str, callers: Vec<C>) -> anyhow::Result<Run> {
        let parties = Parties::client().and("echo", self.server.pid(), false);
        measure(name, callers, self.load.floor_window(), &parties, Permitted::Nothing).await
    }
}

async fn measure<C: Caller>(
    name: &str,
    callers: Vec<C>,
    window: Window,
    parties: &Parties,
    permitted: Permitted,
) -> anyhow::Result<Run> {
    let (tally, spent) = try_join!(closed_loop(callers, window), parties.spend(window))?;
    Ok(Run::new(name, window, &tally, &spent, permitted))
}

//! Guests come back: sign-ins of devices that have an account.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use pkg_ambient::Ambient;
use tonic::Status;

use super::{Accounts, Floor};
use crate::client::{Client, Connections};
use crate::load::{Caller, Dice, Load, each};
use crate::report::{Permitted, Report, Target};

const TARGET_PER_SECOND: f64 = 10_000.0;
/// How many sign in at once where that is not what is measured, on how many connections.
const SIGN_INS: usize = 64;
const SIGN_IN_CONNECTIONS: NonZeroU32 = NonZeroU32::new(8).expect("not zero");

pub async fn run(accounts: &Accounts, devices: usize, report: &mut Report) -> anyhow::Result<()> {
    ensure!(devices > 0, "--devices is not zero");
    let secrets: Arc<[String]> = (0..devices).map(|_| device_secret()).collect();

    let floor = Floor::serve(accounts.load)?;
    let callers = guests(&floor.connect().await?, accounts.load, &secrets);
    report.add(floor.measure("floor: guest sign-in", callers).await?)?;
    drop(floor);

    let connections = accounts.connect().await?;
    create_accounts(&connections, accounts.load, &secrets).await?;
    let callers = guests(&connections, accounts.load, &secrets);
    let run = accounts.measure("guest sign-in", callers, Permitted::Nothing).await?;
    report.compare("guest sign-ins", run.per_second, "/s", Target::AtLeast(TARGET_PER_SECOND));
    report.add(run)
}

/// A secret as a device makes it, 256 bits as hex.
pub fn device_secret() -> String {
    let [high, low] = [Ambient::system().random(), Ambient::system().random()].map(u128::from_be_bytes);
    format!("{high:032x}{low:032x}")
}

/// So many guests sign in at an address that nobody is limited at. Answers with their access tokens.
pub async fn sign_in(address: SocketAddr, guests: usize) -> anyhow::Result<Vec<String>> {
    let connections = Connections::open(address, SIGN_IN_CONNECTIONS).await?;
    let tokens = Arc::new(Mutex::new(Vec::with_capacity(guests)));
    each(0..guests, SIGN_INS, |number| {
        let (mut client, tokens) = (connections.client(number), tokens.clone());
        async move {
            let (signed_in, _) = client.log_in_with_device(&device_secret()).await?;
            tokens.lock().unwrap_or_else(PoisonError::into_inner).push(signed_in.access_token);
            Ok(())
        }
    })
    .await?;
    let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *tokens))
}

/// The first sign-in of each device.
async fn create_accounts(connections: &Connections, load: Load, secrets: &Arc<[String]>) -> anyhow::Result<()> {
    each(0..secrets.len(), load.concurrency.get() as usize, |number| {
        let (mut client, secrets) = (connections.client(number), secrets.clone());
        async move { client.log_in_with_device(&secrets[number]).await.map(drop) }
    })
    .await
}

fn guests(connections: &Connections, load: Load, secrets: &Arc<[String]>) -> Vec<Guest> {
    let clients = connections.clients(load.concurrency).zip(0..);
    clients.map(|(client, seed)| Guest { client, secrets: secrets.clone(), dice: Dice(seed) }).collect()
}

/// Signs in with one device after the other, at random.
struct Guest {
    client: Client,
    secrets: Arc<[String]>,
    dice: Dice,
}

impl Caller for Guest {
    async fn call(&mut self) -> Result<(), Status> {
        match self.client.log_in_with_device(self.dice.choose(&self.secrets)).await? {
            (_, false) => Ok(()),
            (_, true) => Err(Status::data_loss("the account was gone")),
        }
    }
}

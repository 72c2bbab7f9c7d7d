//! Sign-ins by password, beside what the cores can hash when they do nothing else.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use pkg_auth::{Argon2id, Scratch, Verdict};
use tonic::Status;

use super::Accounts;
use super::guest::device_secret;
use crate::client::{Client, Connections};
use crate::load::{Caller, Dice, Load, each};
use crate::process::{cores, own_cpu_time};
use crate::report::{Permitted, Report, Target};

/// Of what the cores can hash, in percent.
const TARGET_SHARE: f64 = 85.0;
/// How long the floor is measured before the sign-ins, and again after them: a machine's speed changes.
const FLOOR: Duration = Duration::from_secs(3);

/// Letters that tell the accounts of two runs apart.
const PREFIX: usize = 12;
const ACCOUNTS: usize = 256;
/// Few enough that none is shed.
const REGISTER_AT_ONCE: usize = 8;
const PASSWORD: &str = "correct-horse-battery-9";

pub async fn run(accounts: &Accounts, report: &mut Report) -> anyhow::Result<()> {
    let connections = accounts.connect().await?;
    let names = register(&connections).await?;

    let before = hashes_per_second(FLOOR)?;
    let callers = players(&connections, accounts.load, &names);
    let run = accounts.measure("sign-in by password", callers, Permitted::Shedding).await?;
    let floor = before.max(hashes_per_second(FLOOR)?);

    report.tell("password hashes, no server", floor, "/s");
    report.tell("sign-ins by password", run.per_second, "/s");
    report.compare(
        "share of what the cores can hash",
        run.per_second / floor * 100.0,
        "%",
        Target::AtLeast(TARGET_SHARE),
    );
    report.add(run)
}

/// Makes accounts with passwords; their names.
pub async fn register(connections: &Connections) -> anyhow::Result<Arc<[String]>> {
    let run = device_secret();
    let names: Arc<[String]> = (0..ACCOUNTS).map(|number| format!("b-{}-{number}", &run[..PREFIX])).collect();
    each(0..ACCOUNTS, REGISTER_AT_ONCE, |number| {
        let (mut client, names) = (connections.client(number), names.clone());
        async move { client.register(&names[number], PASSWORD).await.map(drop) }
    })
    .await?;
    Ok(names)
}

pub fn players(connections: &Connections, load: Load, names: &Arc<[String]>) -> Vec<Player> {
    let clients = connections.clients(load.concurrency).zip(0..);
    clients.map(|(client, seed)| Player { client, names: names.clone(), dice: Dice(seed) }).collect()
}

/// Signs in to one account after the other, at random, by password.
pub struct Player {
    client: Client,
    names: Arc<[String]>,
    dice: Dice,
}

impl Caller for Player {
    async fn call(&mut self) -> Result<(), Status> {
        self.client.log_in(self.dice.choose(&self.names), PASSWORD).await.map(drop)
    }
}

/// What all cores can hash, with the hasher that the service has. Counted by the CPU time that a hash takes, so that it
/// is not too low if others were busy. It blocks: nothing else is measured meanwhile.
fn hashes_per_second(duration: Duration) -> anyhow::Result<f64> {
    let algorithm = Argon2id::default();
    let stored = algorithm.hash(PASSWORD, [7; 16], &mut Scratch::default());
    let deadline = Instant::now() + duration;
    let hash_until_then = || {
        let mut scratch = Scratch::default();
        let mut hashes = 0_u32;
        while Instant::now() < deadline && algorithm.verify(PASSWORD, &stored, &mut scratch) == Verdict::Right {
            hashes += 1;
        }
        hashes
    };
    let before = own_cpu_time()?;
    let hashes = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(hash_until_then)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("the hasher panicked")))
            .sum::<anyhow::Result<u32>>()
    })?;
    let spent = own_cpu_time()?.saturating_sub(before);
    Ok(f64::from(hashes * cores()) / spent.as_secs_f64())
}

//! A flood of logins, and what becomes of those who only play.

use std::num::NonZeroU32;

use tokio::try_join;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};

use super::{Accounts, guest, password};
use crate::client::{Client, Connections};
use crate::load::{Caller, closed_loop, open_loop};
use crate::report::{Permitted, Report, Run, Target};

/// During the flood, as a multiple of the p99 without it.
const TARGET_RATIO: f64 = 5.0;
/// Other calls per second, half of each kind.
const OTHERS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("it is not zero");

pub async fn run(accounts: &Accounts, report: &mut Report) -> anyhow::Result<()> {
    let parties = accounts.parties();
    let (connections, flood) = (accounts.connect().await?, accounts.connect().await?);
    let names = password::register(&flood).await?;
    let mut others = Others::sign_in(&connections).await?;

    let window = accounts.load.window();
    let (calls, spent) =
        try_join!(open_loop(OTHERS_PER_SECOND, window, || Some(others.next())), parties.spend(window))?;
    let idle = Run::new("other calls, idle", window, &calls, &spent, Permitted::Nothing);

    let window = accounts.load.window();
    let players = password::players(&flood, accounts.load, &names);
    let (calls, logins, spent) = try_join!(
        open_loop(OTHERS_PER_SECOND, window, || Some(others.next())),
        closed_loop(players, window),
        parties.spend(window)
    )?;
    let flooded = Run::new("other calls, in a flood of logins", window, &calls, &spent, Permitted::Nothing);
    let logins = Run::new("the flood", window, &logins, &spent, Permitted::Shedding);

    let ratio = flooded.latency.p99 / idle.latency.p99;
    report.tell("p99 of other calls, idle", idle.latency.p99, "ms");
    report.tell("p99 of other calls, in a flood of logins", flooded.latency.p99, "ms");
    report.compare("p99 in the flood, by p99 idle", ratio, "×", Target::AtMost(TARGET_RATIO));
    [idle, flooded, logins].into_iter().try_for_each(|run| report.add(run))
}

/// Calls of a player who is signed in: one that costs a signature check, one that asks the database.
struct Others {
    connections: Connections,
    access_token: String,
    authorization: MetadataValue<Ascii>,
    made: usize,
}

impl Others {
    async fn sign_in(connections: &Connections) -> anyhow::Result<Self> {
        let (tokens, _) = connections.client(0).log_in_with_device(&guest::device_secret()).await?;
        let authorization = format!("Bearer {}", tokens.access_token).parse()?;
        Ok(Self { connections: connections.clone(), access_token: tokens.access_token, authorization, made: 0 })
    }

    fn next(&mut self) -> OtherCall {
        self.made += 1;
        let client = self.connections.client(self.made / 2);
        if self.made.is_multiple_of(2) {
            OtherCall::Validate(client, self.access_token.clone())
        } else {
            OtherCall::Profile(client, self.authorization.clone())
        }
    }
}

enum OtherCall {
    Validate(Client, String),
    Profile(Client, MetadataValue<Ascii>),
}

impl Caller for OtherCall {
    async fn call(&mut self) -> Result<(), Status> {
        match self {
            Self::Validate(client, token) => client.validate(token).await,
            Self::Profile(client, authorization) => client.profile(authorization).await,
        }
    }
}

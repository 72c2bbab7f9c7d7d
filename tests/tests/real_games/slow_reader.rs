//! One reader that stands still is no harm to the others, nor to the process.

use std::time::Duration;

use pkg_api::game::v1::{EventLimits, SessionRules};
use pkg_auth::Role;
use system_tests::{Client, Curl, Deployment, Follower, SignedIn, eventually, game_event, random_text, refusal};
use tokio::task::JoinSet;

use crate::system::{System, generous, topic_of};

const READERS: usize = 1_000;
/// How many of them share a connection.
const ON_ONE_CONNECTION: usize = 20;
/// How many events all of them get…
const EVENTS: usize = 100;
/// …and how many bytes a few of them get after that…
const VOLUME: u64 = 256 * 1024 * 1024;
const FEW: usize = 2;
const EVENT_BYTES: usize = 60_000;
const BATCH: usize = 16;
/// …of which the process may keep this.
const GROWTH: u64 = 32 * 1024 * 1024;
/// What the connection of the one that stands still takes.
const WINDOW: u32 = 65_535;
/// How long Envoy keeps a stream on which nothing moves.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stands_still_neither_slows_the_others_nor_costs_memory() {
    let deployment = Deployment::new().await;
    let replica = deployment.game_replica(&[]);
    let (client, signer) = (Client::of(replica.api()), deployment.signer());
    let limits = EventLimits { retained_events: 16, ..generous().event_limits.unwrap() };
    let rules = SessionRules { event_limits: Some(limits), ..generous() };
    let game = client.create_game(&deployment.admin_token(), rules).await;
    let owner = signer.sign_in(Role::Server);
    let session = client.create_session(&owner, &game).await.session.unwrap().session_id;
    let topic = topic_of(&session);

    let standing = Client::with_window(replica.api(), WINDOW);
    let standing = Follower::of(&standing, &signer.sign_in(Role::Server), &topic, "").await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..(READERS - 1).div_ceil(ON_ONE_CONNECTION) {
        let client = Client::of(replica.api());
        for _ in 0..ON_ONE_CONNECTION {
            readers.push(Follower::of(&client, &signer.sign_in(Role::Server), &topic, "").await.unwrap());
        }
    }
    publish(&client, &owner, &session, EVENTS, 100).await;
    readers = read(readers, EVENTS).await;

    readers.truncate(FEW);
    let before = replica.resident_bytes();
    let rounds = usize::try_from(VOLUME).unwrap() / (BATCH * EVENT_BYTES);
    for _ in 0..rounds {
        publish(&client, &owner, &session, BATCH, EVENT_BYTES).await;
        readers = read(readers, BATCH).await;
    }
    let after = replica.resident_bytes();
    assert!(after < before + GROWTH, "from {before} to {after} bytes");
    drop(standing);
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_that_stand_still_share_connections_behind_envoy_and_stop_nobody() {
    /// On each of two replicas they leave more unread than one connection has room for by default, 4 MiB.
    const PHONES: usize = 200;
    const ROUNDS: usize = 16;
    let system = System::start().await;
    let (client, signer) = (system.client(), system.deployment.signer());
    let game = system.game(generous()).await;
    let owner = signer.sign_in(Role::Server);
    let session = client.create_session(&owner, &game).await.session.unwrap().session_id;
    let topic = topic_of(&session);
    let mut standing = Vec::new();
    for _ in 0..PHONES {
        let phone = Client::with_window(system.envoy.address(), WINDOW);
        standing.push(Follower::of(&phone, &signer.sign_in(Role::Server), &topic, "").await.unwrap());
    }
    let mut readers = Vec::new();
    for _ in 0..FEW {
        readers.push(Follower::of(&system.client(), &signer.sign_in(Role::Server), &topic, "").await.unwrap());
    }
    for _ in 0..ROUNDS {
        publish(&client, &owner, &session, BATCH, EVENT_BYTES).await;
        readers = read(readers, BATCH).await;
    }
    // In the long form until Envoy has lost patience with them.
    if std::env::var_os("MUSTER_TEST_LONG").is_some() {
        tokio::time::sleep(PATIENCE).await;
        let admin = Curl::to(system.envoy.admin());
        eventually("the phones are cut off, and nobody else", async || {
            let stats = admin.text("/stats?filter=^http.edge.downstream_rq_active$");
            (stats.trim() == format!("http.edge.downstream_rq_active: {FEW}")).then_some(())
        })
        .await;
    }
    drop(standing);
}

async fn publish(client: &Client, owner: &SignedIn, session: &str, count: usize, bytes: usize) {
    let filling = random_text::<16>().repeat(bytes / 32 + 1);
    let events: Vec<_> = (0..count).map(|number| game_event(format!("{number} {}", &filling[..bytes - 8]))).collect();
    while let Err(status) = client.publish(owner, session, events.clone()).await {
        assert_eq!(refusal(&status).1, "RATE_LIMITED");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All of them hear the next events, in their order.
async fn read(readers: Vec<Follower>, count: usize) -> Vec<Follower> {
    let mut reading = JoinSet::new();
    for mut reader in readers {
        reading.spawn(async move {
            for number in 0..count {
                let data = reader.next_data().await;
                assert!(data.starts_with(format!("{number} ").as_bytes()), "lost or out of order");
            }
            reader
        });
    }
    reading.join_all().await
}

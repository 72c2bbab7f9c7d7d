//! Two players, one with a native client and one on a web page, play while replicas go and come.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pkg_api::game::v1::SessionRules;
use system_tests::{
    Client, LIMIT, Muster, Process, SignedIn, eventually, generate_javascript, node_client, run_muster,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::native::{Native, Order};
use crate::system::{System, generous};

/// How many events each of the two publishes…
const EVENTS: usize = 10_000;
/// …and at once.
const BATCH: usize = 50;
/// How long a player waits between two of them, so that replicas go and come meanwhile.
const PAUSE: Duration = Duration::from_millis(80);

#[derive(Clone, Copy)]
enum Fault {
    Drain,
    Kill,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_reordered_while_replicas_are_drained_and_killed() {
    // The oldest replica goes each time, so each is drained once and killed once.
    const FAULTS: [Fault; 4] = [Fault::Drain, Fault::Kill, Fault::Kill, Fault::Drain];
    let mut system = System::start().await;
    let game = system.game(generous()).await;
    let players = [system.player(), system.player()];
    let exchange = Exchange::begin(system.envoy.address(), &game, players, EVENTS).await;

    for fault in FAULTS {
        let turns = exchange.take_turns(EVENTS / BATCH / FAULTS.len());
        match fault {
            Fault::Drain => system.drain_one().await,
            Fault::Kill => system.kill_one().await,
        }
        turns.await.unwrap();
    }
    // Whichever replica a stream is on, it is among every two that go.
    let streams = exchange.end().await;
    assert!(streams > FAULTS.len() / 2, "only {streams} streams: the faults came too late");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_players_meet_on_one_machine_without_stores() {
    const EVENTS: usize = 500;
    let data = TempDir::new().unwrap();
    let muster = Muster::dev(data.path(), &[]);
    let client = Client::of(muster.api());
    let game = client.create_game(&admin_token(data.path()), SessionRules { ..generous() }).await;
    let players = [guest(&client).await, guest(&client).await];
    let exchange = Exchange::begin(muster.api(), &game, players, EVENTS).await;
    exchange.take_turns(EVENTS / BATCH).await.unwrap();
    exchange.end().await;
}

/// Two players in a session.
struct Exchange {
    turns: mpsc::Sender<usize>,
    native: JoinHandle<Order>,
    web: Process,
    _generated: TempDir,
}

impl Exchange {
    /// Both have a seat, and each begins with what happened before the other came.
    async fn begin(address: SocketAddr, game: &str, [native, web]: [SignedIn; 2], count: usize) -> Self {
        let client = Client::of(address);
        let created = client.create_session(&native, game).await;
        let session = created.session.unwrap().session_id;
        let generated = generate_javascript();
        let mut command = Command::new("node");
        command.arg(node_client().join("player.mjs")).arg(format!("http://{address}")).arg(&web.token);
        command.arg(&web.id).arg(&session).arg(count.to_string()).arg(BATCH.to_string()).arg(generated.path());
        let web = Process::start(command);
        eventually("the page's player has a seat", async || web.output().contains("joined").then_some(())).await;

        let (turns, receiver) = mpsc::channel(1);
        let native = Native { client, me: native, session, cursor: created.cursor, count };
        Self { turns, native: tokio::spawn(native.play(receiver)), web, _generated: generated }
    }

    /// The native player publishes so many batches; the other one answers each with one of their own.
    fn take_turns(&self, batches: usize) -> JoinHandle<()> {
        let turns = self.turns.clone();
        tokio::spawn(async move {
            for _ in 0..batches {
                turns.send(BATCH).await.unwrap();
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// Both have heard the same in the same order. Says how many streams that took the native player.
    async fn end(self) -> usize {
        let Self { turns: _turns, native, mut web, .. } = self;
        let order = tokio::time::timeout(LIMIT, native).await.expect("the native player hears all").unwrap();
        let status = eventually("the page's player hears all", async || web.ended()).await;
        let output = web.output();
        assert!(status.success(), "{output}");
        let heard = output.lines().find_map(|line| line.strip_prefix("order: ")).expect("it says what it heard");
        assert!(heard == order.as_the_other_sees_it(), "they heard different orders");
        order.streams
    }
}

async fn guest(client: &Client) -> SignedIn {
    let registered = client.register().await;
    SignedIn { id: registered.user.unwrap().user_id, token: registered.tokens.unwrap().access_token }
}

fn admin_token(data: &Path) -> String {
    run_muster(&["token", "--data", data.to_str().unwrap()], &[]).stdout.trim().to_owned()
}

//! A Redis Cluster of a test's own, to kill.

use std::time::{Duration, Instant};

use pkg_redis::testing::RedisServer;

/// How long the cluster may take to do something.
const LIMIT: Duration = Duration::from_secs(30);
/// How often keys are moved out of a slot, a hundred each time, until it must be empty.
const MOVES_MAX: usize = 100;
/// A node keeps what it acknowledged, and is soon given up when it is killed.
const SETTINGS: &[&str] = &["--appendfsync", "always", "--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];

/// Three servers that share the slots.
pub(super) struct Cluster {
    servers: [RedisServer; 3],
}

impl Cluster {
    /// A cluster without keys, ready.
    pub(super) fn start() -> Self {
        let servers = [(); 3].map(|()| RedisServer::start_with(SETTINGS));
        let addresses = servers.each_ref().map(|server| format!("127.0.0.1:{}", server.port()));
        let [first, second, third] = addresses.each_ref().map(String::as_str);
        let created = servers[0].ask(&["--cluster", "create", first, second, third, "--cluster-yes"]);
        assert!(created.contains("All 16384 slots covered"), "{created}");
        let cluster = Self { servers };
        cluster.wait_until_ready();
        cluster
    }

    pub(super) fn url(&self) -> String {
        let [first, second, third] = self.servers.each_ref().map(RedisServer::port);
        format!("redis-cluster://127.0.0.1:{first}?node=127.0.0.1:{second}&node=127.0.0.1:{third}")
    }

    pub(super) fn wait_until_ready(&self) {
        let is_ready = |server: &RedisServer| server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        let started = Instant::now();
        while !self.servers.iter().all(is_ready) {
            assert!(started.elapsed() < LIMIT, "the cluster does not serve");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The server that has a slot.
    pub(super) fn owner(&mut self, slot: u16) -> &mut RedisServer {
        let owner = self.owner_index(slot);
        &mut self.servers[owner]
    }

    fn owner_index(&self, slot: u16) -> usize {
        let has_slot = |server: &RedisServer| {
            let nodes = server.ask(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).expect("a node knows itself").to_owned();
            own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
            })
        };
        self.servers.iter().position(has_slot).expect("every slot has a server")
    }

    /// Moves a slot with its keys to another server.
    pub(super) fn move_slot(&self, slot: u16) {
        let from = self.owner_index(slot);
        let (from, to) = (&self.servers[from], &self.servers[(from + 1) % self.servers.len()]);
        let id = |server: &RedisServer| server.ask(&["CLUSTER", "MYID"]);
        let (slot, from_id, to_id) = (slot.to_string(), id(from), id(to));
        let set = |server: &RedisServer, what: &[&str]| {
            let answer = server.ask(&[&["CLUSTER", "SETSLOT", &slot], what].concat());
            assert_eq!(answer, "OK", "{what:?}");
        };
        set(to, &["IMPORTING", &from_id]);
        set(from, &["MIGRATING", &to_id]);
        for attempt in 0_usize.. {
            assert!(attempt < MOVES_MAX, "slot {slot} is never empty");
            let keys = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.is_empty() {
                break;
            }
            let port = to.port().to_string();
            let command = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            let answer = from.ask(&[&command[..], &keys.lines().collect::<Vec<_>>()].concat());
            assert!(["OK", "NOKEY"].contains(&answer.as_str()), "{answer}");
        }
        set(to, &["NODE", &to_id]);
        set(from, &["NODE", &to_id]);
        for server in &self.servers {
            set(server, &["NODE", &to_id]);
        }
    }
}

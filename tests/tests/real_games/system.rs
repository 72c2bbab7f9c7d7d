//! What production has: Envoy, the auth service, and replicas of the game service that go and come.

use pkg_api::game::v1::{EventLimits, SessionRules};
use pkg_auth::Role;
use system_tests::{Client, Curl, Deployment, Edge, Envoy, Muster, SignedIn, eventually};

/// What every service behind Envoy is told: there is one proxy.
const BEHIND_ENVOY: [&str; 2] = ["--trusted-hops", "1"];
const REPLICAS: usize = 2;

pub struct System {
    pub envoy: Envoy,
    /// The replica that was started last is the last one.
    pub games: Vec<Muster>,
    _auth: Muster,
    // After the processes, so that they end first.
    pub deployment: Deployment,
}

impl System {
    pub async fn start() -> Self {
        Self::with(Deployment::new().await, |_| {})
    }

    /// On these stores, with what one Envoy has differently from another.
    pub fn with(deployment: Deployment, change: impl FnOnce(&mut Edge)) -> Self {
        let auth = deployment.unlimited_replica(&BEHIND_ENVOY);
        let games: Vec<_> = (0..REPLICAS).map(|_| deployment.game_replica(&BEHIND_ENVOY)).collect();
        let mut edge = Edge::of(&[auth.api()]);
        edge.game = games.iter().map(Muster::api).collect();
        change(&mut edge);
        Self { envoy: Envoy::start(&edge), games, _auth: auth, deployment }
    }

    /// Somebody who calls through Envoy.
    pub fn client(&self) -> Client {
        Client::of(self.envoy.address())
    }

    pub fn player(&self) -> SignedIn {
        self.deployment.signer().sign_in(Role::Player)
    }

    /// A game with these rules.
    pub async fn game(&self, rules: SessionRules) -> String {
        self.client().create_game(&self.deployment.admin_token(), rules).await
    }

    /// Has the oldest replica end in good order, and starts it again.
    pub async fn drain_one(&mut self) {
        let replica = self.games.remove(0);
        let address = replica.api();
        replica.terminate();
        let ended = tokio::task::spawn_blocking(|| replica.finish()).await.unwrap();
        assert!(ended.status.success(), "{}", ended.stderr);
        self.start_again(address).await;
    }

    /// Kills the oldest replica, and starts it again.
    pub async fn kill_one(&mut self) {
        let mut replica = self.games.remove(0);
        replica.kill();
        self.start_again(replica.api()).await;
    }

    /// Starts a replica where one has been, and waits until Envoy uses it.
    async fn start_again(&mut self, api: std::net::SocketAddr) {
        self.games.push(self.deployment.game_replica_at(api, &BEHIND_ENVOY));
        let admin = Curl::to(self.envoy.admin());
        let host = format!("{api}::health_flags::healthy");
        eventually("Envoy uses it", async || admin.text("/clusters").contains(&host).then_some(())).await;
    }
}

/// Rules under which nothing that a test publishes is too much, and all of it is kept.
pub fn generous() -> SessionRules {
    let event_limits = EventLimits {
        player_events_per_second: 1_000,
        session_events_per_second: 100_000,
        max_event_bytes: 65_536,
        retained_events: 10_000,
        retention: None,
    };
    SessionRules { event_limits: Some(event_limits), owner_may_finish: true, ..SessionRules::default() }
}

/// The topic of a session.
pub fn topic_of(session: &str) -> String {
    format!("session/{session}")
}

//! What production has: Envoy, the auth service, replicas of the game and the matchmaking service that go and come.

use std::net::SocketAddr;

use pkg_api::game::v1::GameDefinition;
use pkg_auth::Role;
use system_tests::{Client, Curl, Deployment, Edge, Envoy, Muster, SignedIn, eventually};

/// What every service behind Envoy is told: there is one proxy.
const BEHIND_ENVOY: [&str; 2] = ["--trusted-hops", "1"];
const REPLICAS: usize = 2;

pub struct System {
    pub envoy: Envoy,
    pub matchmaking: Vec<Muster>,
    pub games: Vec<Muster>,
    _auth: Muster,
    // After the processes, so that they end first.
    pub deployment: Deployment,
}

impl System {
    pub async fn start() -> Self {
        Self::on(Deployment::of_matches().await)
    }

    /// On these stores.
    pub fn on(deployment: Deployment) -> Self {
        let auth = deployment.unlimited_replica(&BEHIND_ENVOY);
        let games: Vec<_> = (0..REPLICAS).map(|_| deployment.game_replica(&BEHIND_ENVOY)).collect();
        let at: Vec<_> = games.iter().map(Muster::api).collect();
        let matchmaking: Vec<_> = (0..REPLICAS).map(|_| deployment.matchmaking_replica(&at, &BEHIND_ENVOY)).collect();
        let mut edge = Edge::of(&[auth.api()]);
        edge.matchmaking = matchmaking.iter().map(Muster::api).collect();
        edge.game = at;
        Self { envoy: Envoy::start(&edge), matchmaking, games, _auth: auth, deployment }
    }

    /// Somebody who calls through Envoy.
    pub fn client(&self) -> Client {
        Client::of(self.envoy.address())
    }

    pub fn player(&self) -> SignedIn {
        self.deployment.signer().sign_in(Role::Player)
    }

    /// A game server.
    pub fn server(&self) -> SignedIn {
        self.deployment.signer().sign_in(Role::Server)
    }

    pub async fn game(&self, definition: GameDefinition) -> String {
        self.client().create_defined_game(&self.deployment.admin_token(), definition).await
    }

    /// Kills a replica of the matchmaking service.
    pub fn kill(&mut self, which: usize) {
        self.matchmaking[which].kill();
    }

    /// Starts the replica again that was killed, where it has been, and waits until Envoy uses it.
    pub async fn revive(&mut self, which: usize) {
        let games: Vec<_> = self.games.iter().map(Muster::api).collect();
        let api = self.matchmaking[which].api();
        self.matchmaking[which] = self.deployment.matchmaking_replica_at(api, &games, &BEHIND_ENVOY);
        self.wait_until_used(api).await;
    }

    /// Kills a replica of the game service, and starts it again.
    pub async fn restart_game(&mut self, which: usize) {
        self.games[which].kill();
        let api = self.games[which].api();
        self.games[which] = self.deployment.game_replica_at(api, &BEHIND_ENVOY);
        self.wait_until_used(api).await;
    }

    async fn wait_until_used(&self, api: SocketAddr) {
        let admin = Curl::to(self.envoy.admin());
        let host = format!("{api}::health_flags::healthy");
        eventually("Envoy uses it", async || admin.text("/clusters").contains(&host).then_some(())).await;
    }

    /// On how many queues a replica works.
    pub fn queues(&self, which: usize) -> usize {
        let metrics = Curl::to(self.matchmaking[which].admin()).text("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix("muster_matchmaking_queues "));
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    }
}

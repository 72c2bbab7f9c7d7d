//! What production has: Envoy, the auth and the game service, replicas of the leaderboard service that go and come.

use std::net::SocketAddr;

use pkg_api::game::v1::LeaderboardDefinition;
use pkg_auth::Role;
use system_tests::{Client, Curl, Deployment, Edge, Envoy, Muster, SignedIn, eventually, game_with_boards};

/// What every service behind Envoy is told: there is one proxy.
const BEHIND_ENVOY: [&str; 2] = ["--trusted-hops", "1"];

pub struct System {
    pub envoy: Envoy,
    pub leaderboards: Vec<Muster>,
    pub game: Muster,
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
        let game = deployment.game_replica(&BEHIND_ENVOY);
        let games = [game.api()];
        let leaderboards = vec![
            deployment.leaderboard_replica_at(deployment.leaderboard_address(), &games, &BEHIND_ENVOY),
            deployment.leaderboard_replica(&games, &BEHIND_ENVOY),
        ];
        let mut edge = Edge::of(&[auth.api()]);
        edge.game = vec![game.api()];
        edge.leaderboard = leaderboards.iter().map(Muster::api).collect();
        Self { envoy: Envoy::start(&edge), leaderboards, game, _auth: auth, deployment }
    }

    /// Somebody who calls through Envoy.
    pub fn client(&self) -> Client {
        Client::of(self.envoy.address())
    }

    /// Somebody who calls a replica.
    pub fn client_of(&self, which: usize) -> Client {
        Client::of(self.leaderboards[which].api())
    }

    pub fn player(&self) -> SignedIn {
        self.deployment.signer().sign_in(Role::Player)
    }

    /// A game server.
    pub fn server(&self) -> SignedIn {
        self.deployment.signer().sign_in(Role::Server)
    }

    /// A game with these boards.
    pub async fn game_with(&self, boards: Vec<LeaderboardDefinition>) -> String {
        self.client().create_defined_game(&self.deployment.admin_token(), game_with_boards(boards)).await
    }

    pub fn kill(&mut self, which: usize) {
        self.leaderboards[which].kill();
    }

    /// Starts the replica again that was killed, where it has been, and waits until Envoy uses it.
    pub async fn revive(&mut self, which: usize) {
        let api = self.leaderboards[which].api();
        self.leaderboards[which] = self.deployment.leaderboard_replica_at(api, &[self.game.api()], &BEHIND_ENVOY);
        self.wait_until_used(api).await;
    }

    async fn wait_until_used(&self, api: SocketAddr) {
        let admin = Curl::to(self.envoy.admin());
        let host = format!("{api}::health_flags::healthy");
        eventually("Envoy uses it", async || admin.text("/clusters").contains(&host).then_some(())).await;
    }
}

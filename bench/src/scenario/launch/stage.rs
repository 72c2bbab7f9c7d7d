//! All services of production behind Envoy.

use std::path::Path;

use anyhow::Context;
use pkg_ambient::Ambient;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::queue_definition::Format;
use pkg_api::game::v1::{
    CreateGameRequest, Game, GameDefinition, LeaderboardDefinition, LeaderboardWriters, QueueDefinition, RatingRule,
    SessionRules, SubmissionRate, TeamFormat,
};
use pkg_auth::Role;
use tempfile::TempDir;

use crate::crowd::Deployment;
use crate::edge;
use crate::lobby::{Lobby, Place, Player};
use crate::muster::{Executable, Keys, Server};
use crate::process::Parties;
use crate::scenario::guest::sign_in;
use crate::scenario::scores::Submit;
use crate::stores::{StoreOptions, Stores};

const QUEUE: &str = "duel";
const BOARD: &str = "points";
/// More than anybody submits.
const RATE: i32 = 1_000_000;
/// How long sessions last at most: what is left of them in Redis goes away.
const SESSION_LIFETIME: prost_types::Duration = prost_types::Duration { seconds: 15 * 60, nanos: 0 };

/// It ends with this value: Envoy, the services, then the stores.
pub struct Stage {
    edge: Deployment,
    game: String,
    envoy: Server,
    services: [(&'static str, Server); 4],
    stores: Stores,
    _folder: TempDir,
}

impl Stage {
    pub async fn set(executable: &Executable, options: &StoreOptions, envoy: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = Keys::make(folder.path())?;
        let stores = Stores::with_own_topics(options)?;
        executable.migrate(&stores)?;
        let game = executable.game(&stores, &keys)?;
        let services = [
            ("auth", executable.auth_with_key(&stores, &keys.players)?),
            ("matchmaking", executable.matchmaking(&stores, &keys, game.address)?),
            ("leaderboard", executable.leaderboard(&stores, &keys, game.address)?),
            ("game", game),
        ];
        let addresses = services.each_ref().map(|(name, server)| (*name, server.address));
        let envoy = edge::start(executable, envoy, &addresses)?;
        let edge = Deployment::new(vec![envoy.address], &keys.players)?;
        let game = make_game(&edge).await?;
        Ok(Self { edge, game, envoy, services, stores, _folder: folder })
    }

    /// Where everybody calls.
    pub fn edge(&self) -> &Deployment {
        &self.edge
    }

    /// So many players who write scores, each with a token of their own.
    pub async fn writers(&self, count: usize) -> anyhow::Result<Vec<Submit>> {
        let tokens = sign_in(self.envoy.address, count).await?;
        Submit::by_themselves(&[self.envoy.address], &self.game, BOARD, tokens).await
    }

    /// So many players who look for a match.
    pub async fn players(&self, count: usize) -> anyhow::Result<Vec<Player>> {
        let lobby = Lobby::open(&[self.envoy.address], Place { game: self.game.clone(), queue: QUEUE }).await?;
        let tokens = sign_in(self.envoy.address, count).await?;
        Ok(tokens.into_iter().enumerate().map(|(number, token)| lobby.player(number, token)).collect())
    }

    pub fn parties(&self) -> Parties {
        let parties = Parties::client().and("envoy", self.envoy.pid(), false);
        let parties =
            self.services.iter().fold(parties, |parties, (name, server)| parties.and(name, server.pid(), false));
        self.stores.count(parties)
    }
}

async fn make_game(edge: &Deployment) -> anyhow::Result<String> {
    let ambient = Ambient::system();
    let per = prost_types::Duration { seconds: 1, nanos: 0 };
    let definition = GameDefinition {
        queues: vec![QueueDefinition {
            key: QUEUE.to_owned(),
            format: Some(Format::Teams(TeamFormat { team_count: 2, min_team_size: 1, max_team_size: 1 })),
            rating: Some(RatingRule::default()),
            ..QueueDefinition::default()
        }],
        leaderboards: vec![LeaderboardDefinition {
            key: BOARD.to_owned(),
            writers: LeaderboardWriters::Players.into(),
            rate: Some(SubmissionRate { count: RATE, per: Some(per) }),
            ..LeaderboardDefinition::default()
        }],
        session_rules: Some(SessionRules { max_duration: Some(SESSION_LIFETIME), ..SessionRules::default() }),
    };
    let key = format!("bench-{}", ambient.id().simple());
    let request = CreateGameRequest {
        game: Some(Game { key, name: "A launch".to_owned(), ..Game::default() }),
        definition: Some(definition),
        ..CreateGameRequest::default()
    };
    let request = edge.request(ambient.id(), Role::Admin, request)?;
    let created = CatalogServiceClient::new(edge.connect(0).await?).create_game(request).await?.into_inner();
    Ok(created.game.context("a game")?.game_id)
}

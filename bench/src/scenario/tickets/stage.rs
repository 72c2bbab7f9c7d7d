//! What tickets are measured on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use pkg_ambient::Ambient;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::queue_definition::Format;
use pkg_api::game::v1::{
    CreateGameRequest, Game, GameDefinition, QueueDefinition, RatingRule, RatingWindow, RelaxingLimit, SessionRules,
    TeamFormat,
};
use pkg_auth::Role;
use tempfile::TempDir;

use super::super::events::Where;
use super::super::guest::sign_in;
use crate::crowd::Deployment;
use crate::lobby::{Lobby, Place};
use crate::muster::{Executable, Keys, Server};
use crate::process::{Parties, resident_bytes};
use crate::redis_floor::RedisFloor;
use crate::stores::Stores;

/// A queue of two, in which everybody fits everybody.
pub const DUEL: &str = "duel";
/// One in which nobody fits anybody whose rating is further away than [`distance`].
pub const APART: &str = "apart";
const WINDOW: f64 = 1_000.0;
const NARROW_WINDOW: f64 = 1.0;
/// How long players may be silent, and tickets wait: longer than any run.
const PRESENCE: Duration = Duration::from_mins(10);
const LIFETIME: Duration = Duration::from_mins(15);

/// What is measured. It ends with this value: the servers before the stores.
pub struct Stage {
    /// The game service, and the key that all tokens are signed with.
    pub games: Deployment,
    game: String,
    services: Services,
    key: PathBuf,
    folder: TempDir,
}

enum Services {
    Dev(Server),
    Apart { matchmaking: Vec<Server>, game: Server, auth: Server, keys: Keys, stores: Box<Stores> },
}

impl Stage {
    pub async fn set(executable: &Executable, place: Where<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (services, key) = match place {
            Where::Dev => {
                let dev = executable.unlimited_dev(folder.path())?;
                (Services::Dev(dev), folder.path().join("signing-key.pem"))
            }
            Where::Replicas(replicas, options) => {
                let keys = Keys::make(folder.path())?;
                let stores = Box::new(Stores::with_own_topics(options)?);
                executable.migrate(&stores)?;
                let auth = executable.auth_with_key(&stores, &keys.players)?;
                let game = executable.game(&stores, &keys)?;
                let matchmaking = (0..replicas.get())
                    .map(|_| executable.matchmaking(&stores, &keys, game.address))
                    .collect::<anyhow::Result<_>>()?;
                let key = keys.players.clone();
                (Services::Apart { matchmaking, game, auth, keys, stores }, key)
            }
        };
        let games = Deployment::new(vec![services.game()], &key)?;
        let game = make_game(&games).await?;
        Ok(Self { games, game, services, key, folder })
    }

    /// A queue, with connections to all who serve it.
    pub async fn lobby(&self, queue: &'static str) -> anyhow::Result<Lobby> {
        Lobby::open(&self.services.matchmaking(), Place { game: self.game.clone(), queue }).await
    }

    /// Who serves queues.
    pub fn matchmaking(&self) -> anyhow::Result<Deployment> {
        Deployment::new(self.services.matchmaking(), &self.key)
    }

    /// The access tokens of so many guests.
    pub async fn sign_in(&self, players: usize) -> anyhow::Result<Vec<String>> {
        sign_in(self.services.auth(), players).await
    }

    /// Starts the matchmaking service anew.
    pub fn restart_matchmaking(&mut self, executable: &Executable) -> anyhow::Result<()> {
        match &mut self.services {
            Services::Dev(dev) => {
                dev.end();
                *dev = executable.unlimited_dev(self.folder.path())?;
                self.games = Deployment::new(vec![dev.address], &self.key)?;
            }
            Services::Apart { matchmaking, game, keys, stores, .. } => {
                for server in matchmaking {
                    server.end();
                    *server = executable.matchmaking(stores, keys, game.address)?;
                }
            }
        }
        Ok(())
    }

    /// How much memory the services have that serve queues, in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.services.of_matchmaking().iter().map(|server| resident_bytes(server.pid())).sum()
    }

    /// The Redis server, where there is one.
    pub fn redis(&self) -> Option<RedisFloor> {
        match &self.services {
            Services::Dev(_) => None,
            Services::Apart { stores, .. } => Some(stores.redis_floor()),
        }
    }

    pub fn parties(&self) -> Parties {
        match &self.services {
            Services::Dev(dev) => Parties::client().and("muster", dev.pid(), false),
            Services::Apart { matchmaking, game, stores, .. } => {
                let parties = Parties::client();
                let parties =
                    matchmaking.iter().fold(parties, |parties, server| parties.and("matchmaking", server.pid(), false));
                stores.count(parties.and("game", game.pid(), false))
            }
        }
    }

    /// What the report says of this stage.
    pub fn named(&self, what: &str) -> String {
        match &self.services {
            Services::Dev(_) => what.to_owned(),
            Services::Apart { matchmaking, .. } if matchmaking.len() == 1 => format!("{what}, on stores"),
            Services::Apart { matchmaking, .. } => format!("{what}, on stores, {} replicas", matchmaking.len()),
        }
    }
}

impl Services {
    fn of_matchmaking(&self) -> &[Server] {
        match self {
            Self::Dev(dev) => std::slice::from_ref(dev),
            Self::Apart { matchmaking, .. } => matchmaking,
        }
    }

    fn matchmaking(&self) -> Vec<SocketAddr> {
        self.of_matchmaking().iter().map(|server| server.address).collect()
    }

    fn game(&self) -> SocketAddr {
        match self {
            Self::Dev(dev) => dev.address,
            Self::Apart { game, .. } => game.address,
        }
    }

    fn auth(&self) -> SocketAddr {
        match self {
            Self::Dev(dev) => dev.address,
            Self::Apart { auth, .. } => auth.address,
        }
    }
}

/// How far apart ratings are of players who never meet in [`APART`], in points.
pub fn distance() -> f64 {
    10.0 * NARROW_WINDOW
}

async fn make_game(games: &Deployment) -> anyhow::Result<String> {
    let ambient = Ambient::system();
    let lifetime = prost_types::Duration::try_from(LIFETIME)?;
    let definition = GameDefinition {
        queues: vec![queue(DUEL, WINDOW)?, queue(APART, NARROW_WINDOW)?],
        // What is left of sessions in Redis goes away.
        session_rules: Some(SessionRules { max_duration: Some(lifetime), ..SessionRules::default() }),
        ..GameDefinition::default()
    };
    let key = format!("bench-{}", ambient.id().simple());
    let request = CreateGameRequest {
        game: Some(Game { key, name: "A lobby".to_owned(), ..Game::default() }),
        definition: Some(definition),
        ..CreateGameRequest::default()
    };
    let request = games.request(ambient.id(), Role::Admin, request)?;
    let created = CatalogServiceClient::new(games.connect(0).await?).create_game(request).await?.into_inner();
    Ok(created.game.context("a game")?.game_id)
}

fn queue(key: &str, window: f64) -> anyhow::Result<QueueDefinition> {
    let distance = RelaxingLimit { start: window, growth_per_second: 0.0, ceiling: window };
    Ok(QueueDefinition {
        key: key.to_owned(),
        format: Some(Format::Teams(TeamFormat { team_count: 2, min_team_size: 1, max_team_size: 1 })),
        rating_window: Some(RatingWindow { distance: Some(distance) }),
        rating: Some(RatingRule::default()),
        presence_timeout: Some(prost_types::Duration::try_from(PRESENCE)?),
        ticket_lifetime: Some(prost_types::Duration::try_from(LIFETIME)?),
        ..QueueDefinition::default()
    })
}

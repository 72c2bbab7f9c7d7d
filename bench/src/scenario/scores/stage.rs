//! What scores are measured on.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use pkg_ambient::Ambient;
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::{
    CreateGameRequest, Game, GameDefinition, LeaderboardDefinition, LeaderboardOperator, LeaderboardPeriod,
    LeaderboardWriters, SubmissionRate,
};
use pkg_api::leaderboard::v1::{ListEntriesRequest, ListEntriesResponse};
use pkg_auth::Role;
use tempfile::TempDir;
use tokio::time::Instant;

use super::super::events::Where;
use super::calls::{call, wires};
use crate::crowd::Deployment;
use crate::muster::{Executable, Keys, Server};
use crate::process::Parties;
use crate::redis_floor::RedisFloor;
use crate::stores::Stores;

/// A board of all time…
pub const ONE_PERIOD: &str = "one";
/// …one of all kinds of periods…
pub const FOUR_PERIODS: &str = "four";
/// …and one with many players.
pub const LARGE: &str = "large";
const RATE: i32 = 1_000_000;

/// What is measured. It ends with this value: the servers before the stores.
pub struct Stage {
    deployment: Deployment,
    game: String,
    services: Services,
    folder: TempDir,
}

enum Services {
    Dev(Server),
    Apart { leaderboards: Vec<Server>, game: Server, keys: Keys, stores: Box<Stores> },
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
                let game = executable.game(&stores, &keys)?;
                let leaderboards = (0..replicas.get())
                    .map(|_| executable.leaderboard(&stores, &keys, game.address))
                    .collect::<anyhow::Result<_>>()?;
                let key = keys.players.clone();
                (Services::Apart { leaderboards, game, keys, stores }, key)
            }
        };
        let deployment = Deployment::new(vec![services.game()], &key)?;
        let game = make_game(&deployment).await?;
        Ok(Self { deployment, game, services, folder })
    }

    pub fn game(&self) -> &str {
        &self.game
    }

    /// What signs tokens.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    pub fn server_token(&self) -> String {
        self.deployment.token(Ambient::system().id(), Role::Server)
    }

    pub fn player_token(&self) -> String {
        self.deployment.token(Ambient::system().id(), Role::Player)
    }

    /// Who serves boards.
    pub fn leaderboards(&self) -> Vec<SocketAddr> {
        match &self.services {
            Services::Dev(dev) => vec![dev.address],
            Services::Apart { leaderboards, .. } => leaderboards.iter().map(|server| server.address).collect(),
        }
    }

    /// The Redis server, where there is one.
    pub fn redis(&self) -> Option<RedisFloor> {
        match &self.services {
            Services::Dev(_) => None,
            Services::Apart { stores, .. } => Some(stores.redis_floor()),
        }
    }

    /// Kills who serves boards, and starts them again. Says how long it took until the large board was read, which must be
    /// whole in the first answer.
    pub async fn restart(&mut self, executable: &Executable, players: usize) -> anyhow::Result<Duration> {
        let began = Instant::now();
        match &mut self.services {
            Services::Dev(dev) => {
                dev.end();
                *dev = executable.unlimited_dev(self.folder.path())?;
            }
            Services::Apart { leaderboards, game, keys, stores } => {
                for server in leaderboards {
                    server.end();
                    *server = executable.leaderboard(stores, keys, game.address)?;
                }
            }
        }
        let request = ListEntriesRequest {
            game_id: self.game.clone(),
            board_key: LARGE.to_owned(),
            page_size: 1,
            ..ListEntriesRequest::default()
        };
        let wires = wires(self).await?;
        let answer: ListEntriesResponse = call(&wires[0], "ListEntries", &self.player_token(), &request).await?;
        let total = answer.view.context("an answer has a view")?.total_count;
        ensure!(usize::try_from(total)? == players, "{total} of {players} players are on the board");
        Ok(began.elapsed())
    }

    /// Has all boards made of the history again, and says how long it took; nothing on muster dev, which does so at its start.
    pub fn rebuild(&self, executable: &Executable) -> anyhow::Result<Option<Duration>> {
        match &self.services {
            Services::Dev(_) => Ok(None),
            Services::Apart { game, keys, stores, .. } => {
                let began = Instant::now();
                executable.rebuild_boards(stores, keys, game.address)?;
                Ok(Some(began.elapsed()))
            }
        }
    }

    pub fn parties(&self) -> Parties {
        match &self.services {
            Services::Dev(dev) => Parties::client().and("muster", dev.pid(), false),
            Services::Apart { leaderboards, stores, .. } => {
                let parties = leaderboards
                    .iter()
                    .fold(Parties::client(), |parties, server| parties.and("leaderboard", server.pid(), false));
                stores.count(parties)
            }
        }
    }

    /// What the report says of this stage.
    pub fn named(&self, what: &str) -> String {
        match &self.services {
            Services::Dev(_) => what.to_owned(),
            Services::Apart { leaderboards, .. } if leaderboards.len() == 1 => format!("{what}, on stores"),
            Services::Apart { leaderboards, .. } => format!("{what}, on stores, {} replicas", leaderboards.len()),
        }
    }
}

impl Services {
    fn game(&self) -> SocketAddr {
        match self {
            Self::Dev(dev) => dev.address,
            Self::Apart { game, .. } => game.address,
        }
    }
}

async fn make_game(games: &Deployment) -> anyhow::Result<String> {
    let ambient = Ambient::system();
    let four =
        [LeaderboardPeriod::AllTime, LeaderboardPeriod::Daily, LeaderboardPeriod::Weekly, LeaderboardPeriod::Monthly];
    let definition = GameDefinition {
        leaderboards: vec![board(ONE_PERIOD, &four[..1]), board(FOUR_PERIODS, &four), board(LARGE, &four[..1])],
        ..GameDefinition::default()
    };
    let key = format!("bench-{}", ambient.id().simple());
    let request = CreateGameRequest {
        game: Some(Game { key, name: "Boards".to_owned(), ..Game::default() }),
        definition: Some(definition),
        ..CreateGameRequest::default()
    };
    let request = games.request(ambient.id(), Role::Admin, request)?;
    let created = CatalogServiceClient::new(games.connect(0).await?).create_game(request).await?.into_inner();
    Ok(created.game.context("a game")?.game_id)
}

/// The last score counts: each one changes the board.
fn board(key: &str, periods: &[LeaderboardPeriod]) -> LeaderboardDefinition {
    let per = prost_types::Duration { seconds: 1, nanos: 0 };
    LeaderboardDefinition {
        key: key.to_owned(),
        operator: LeaderboardOperator::Last.into(),
        periods: periods.iter().map(|period| (*period).into()).collect(),
        writers: LeaderboardWriters::Players.into(),
        rate: Some(SubmissionRate { count: RATE, per: Some(per) }),
        ..LeaderboardDefinition::default()
    }
}

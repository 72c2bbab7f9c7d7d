//! `muster boards rebuild`: leaderboards, made of the history again.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use leaderboard_service::{BoardsRebuild, Catalog, RebuildStep, RedisBoards, SqlHistory, WhichBoards};
use pkg_ambient::Ambient;
use pkg_definition::{Key, Period};
use pkg_middleware::AnyChannel;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ground::{self, GameOptions};
use crate::options::{StoreOptions, TokenNames};
use crate::stores::Opened;

#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make boards in Redis of the history in Postgres again, while scores go on. Each takes its place in one step.
    Rebuild(Box<Rebuild>),
}

#[derive(Debug, Args)]
struct Rebuild {
    /// Only those of this game.
    #[arg(long, value_name = "ID")]
    game: Option<Uuid>,

    /// Only those with this key.
    #[arg(long, value_name = "KEY", value_parser = board_key)]
    board: Option<Key>,

    /// Only periods of this kind.
    #[arg(long, value_enum)]
    period: Option<PeriodKind>,

    #[command(flatten)]
    stores: StoreOptions,

    #[command(flatten)]
    games: GameOptions,

    /// The private key that signs calls to the game service, which says what boards are: Ed25519, PKCS#8, PEM.
    #[arg(long, env = "MUSTER_SERVICE_KEY", value_name = "FILE")]
    service_key: PathBuf,

    #[command(flatten)]
    names: TokenNames,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PeriodKind {
    AllTime,
    Daily,
    Weekly,
    Monthly,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let Action::Rebuild(options) = options.action;
    let ambient = Ambient::system();
    let identity = ground::identity(&options.service_key, &options.names, &ambient)?;
    let opened = Opened::open(&options.stores).await?;
    let (games, watch) = ground::games(&identity, &options.games).await?;
    let (catalog, definitions) = Catalog::new(AnyChannel::new(games));
    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    tokio::spawn(watch.run(shutdown.clone()));
    tokio::spawn(definitions.run(shutdown));

    let rebuild = BoardsRebuild {
        history: Arc::new(SqlHistory::new(opened.database.clone())),
        boards: Arc::new(RedisBoards::new(opened.redis.clone())),
        catalog,
        ambient,
    };
    let which = WhichBoards { game: options.game, board: options.board, period: options.period.map(Into::into) };
    let mut printed = Ok(());
    let outcome = rebuild.run(&which, |step| printed = print(&step)).await;
    opened.close().await;
    outcome?;
    printed.context("standard output")
}

fn print(step: &RebuildStep) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match step {
        RebuildStep::Rebuilt(board, span) => writeln!(out, "{board} {}", span.id),
        RebuildStep::Removed(board) => writeln!(out, "{board} is not in its game any more"),
    }
}

fn board_key(text: &str) -> anyhow::Result<Key> {
    Key::parse(text).ok_or_else(|| anyhow!("has 1 to 64 lower-case letters, digits, \"-\" or \"_\""))
}

impl From<PeriodKind> for Period {
    fn from(kind: PeriodKind) -> Self {
        match kind {
            PeriodKind::AllTime => Self::AllTime,
            PeriodKind::Daily => Self::Daily,
            PeriodKind::Weekly => Self::Weekly,
            PeriodKind::Monthly => Self::Monthly,
        }
    }
}

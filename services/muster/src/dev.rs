//! `muster dev`: everything in one process on one port, on embedded stores.

use std::fs::DirBuilder;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use auth_service::SqlDeviceSessions;
use clap::Args;
use pkg_ambient::Ambient;
use pkg_bus::{MemoryBus, Retentions};
use pkg_db::{Database, SqlRevocations};
use pkg_log::Log;
use pkg_middleware::{AdminAt, AnyChannel, ServiceIdentity};
use pkg_telemetry::Format;

use crate::accounts::{self, Stores};
use crate::boards;
use crate::examples;
use crate::games;
use crate::keys::Keys;
use crate::matches;
use crate::options::{EdgeOptions, SignInOptions, TokenOptions};
use crate::readiness::DatabaseReadiness;
use crate::run;

/// The file of the data folder that holds everything but the keys.
pub const DATABASE_FILE: &str = "muster.db";

#[derive(Debug, Args)]
pub struct Options {
    /// Serve gRPC, gRPC-Web, JSON and the admin paths at this address.
    #[arg(long, env = "MUSTER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Keep data in this folder; "none" forgets everything at exit.
    #[arg(long, env = "MUSTER_DATA", value_name = "FOLDER", default_value = "muster-data")]
    data: PathBuf,

    /// Have the example game, with its page at /duel/. One that was changed stays so.
    #[arg(long, env = "MUSTER_EXAMPLES", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    examples: bool,

    #[command(flatten)]
    edge: EdgeOptions,

    #[command(flatten)]
    tokens: TokenOptions,

    #[command(flatten)]
    sign_in: SignInOptions,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let telemetry = run::start_telemetry(Format::Text, &options.edge.log)?;
    let ambient = Ambient::system();
    let (database, keys) = open(&options.data, &ambient).await?;
    pkg_db::migrate_up(&database, None).await?;
    let tokens = keys.into_tools(&options.tokens.names)?;

    let mut settings = options.edge.settings(options.listen);
    settings.admin = AdminAt::SamePort;
    settings.reflection = true;
    settings.json = true;
    settings.limits.message_bytes = games::MESSAGE_BYTES.max(boards::MESSAGE_BYTES);

    let log = Arc::new(crate::log::embedded(&database, &ambient)?);
    let stores = Stores {
        database: database.clone(),
        device_sessions: Arc::new(SqlDeviceSessions::new(database.clone())),
        revocations: Arc::new(SqlRevocations::new(database.clone())),
        log: log.clone(),
        readiness: vec![("sqlite", Arc::new(DatabaseReadiness(database.clone())))],
    };
    let identity = ServiceIdentity::new(tokens.issuer.clone(), ambient.id(), ambient.clone());
    let operator = ServiceIdentity::of_operator(tokens.issuer.clone(), ambient.id(), ambient.clone());
    let (guard, auth) = accounts::build(stores, tokens, &options.sign_in.settings(&options.tokens)?, &ambient);

    let bus = MemoryBus::new(ambient.clone(), Retentions::default());
    let server = run::server(settings, guard, telemetry, ambient.clone());
    let operator = operator.over(server.in_process());
    let others = AnyChannel::new(identity.over(server.in_process()));
    let game = games::embedded(&database, &bus, log.clone(), others.clone(), &ambient);
    let game = if options.examples { game.pages(examples::pages()) } else { game };
    let matchmaking = matches::embedded(&database, &bus, log.clone(), others.clone(), &ambient);
    let leaderboard = boards::embedded(&database, &bus, log.clone(), others, &ambient);
    let server = server.mount(auth).mount(game).mount(matchmaking).mount(leaderboard);
    let bound = run::bind(server).await?;
    if options.examples {
        examples::create_game(operator).await?;
    }
    greet(bound.address()?, &options)?;
    bound.serve(run::shutdown()).await?;
    log.close().await;
    database.close().await;
    Ok(())
}

/// The embedded stores and the keys: in a folder, made at its first use, or in memory.
async fn open(folder: &Path, ambient: &Ambient) -> anyhow::Result<(Database, Keys)> {
    if folder == Path::new("none") {
        return Ok((Database::sqlite_memory().await?, Keys::made_up(ambient)?));
    }
    // Its owner's alone: there are password hashes and keys in it.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("MUSTER_DATA (--data): cannot make {}", folder.display()))?;
    let database = Database::sqlite_file(&folder.join(DATABASE_FILE)).await?;
    Ok((database, Keys::in_folder(folder, ambient)?))
}

fn greet(address: SocketAddr, options: &Options) -> std::io::Result<()> {
    let kept = match options.data.to_str() {
        Some("none") => "nothing is kept".to_owned(),
        _ => format!("data in {}", options.data.display()),
    };
    let play = if options.examples {
        format!("Play the example: open http://{address}{} in two windows.\n\n", examples::DUEL_PATH)
    } else {
        String::new()
    };
    write!(
        std::io::stdout(),
        r#"
Muster is ready at http://{address} ({kept})

{play}Call it, as JSON:
  curl -d '{{"username":"neo","email":"neo@example.com","password":"correct-horse-9"}}' {address}/v1/auth/register
  curl -d '{{"identifier":"neo","password":"correct-horse-9"}}' {address}/v1/auth/login
or as gRPC:
  grpcurl -plaintext {address} list
  grpcurl -plaintext -d '{{"identifier":"neo","password":"correct-horse-9"}}' {address} muster.auth.v1.AuthService/Login

Ctrl-C ends it.
"#
    )
}

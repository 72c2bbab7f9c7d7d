//! The processes that are measured: the services of `muster`, `muster dev`, and the servers of floors.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use pkg_ambient::Ambient;
use pkg_auth::SigningKey;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::http1;
use crate::stores::Stores;

/// How long a server may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(1);
/// The rate limits of the measured service: a benchmark comes from one address.
pub const RAISED_LIMIT: &str = "1000000";
/// What the measured service logs.
pub const LOG_LEVEL: &str = "warn";
/// So that what is left in Redis goes away by itself.
const SESSION_LIFETIME: &str = "1h";
/// Under these flags no sign-in is too many.
const UNLIMITED: [&str; 12] = [
    "--address-rate",
    RAISED_LIMIT,
    "--address-burst",
    RAISED_LIMIT,
    "--creation-rate",
    RAISED_LIMIT,
    "--creation-burst",
    RAISED_LIMIT,
    "--account-rate",
    RAISED_LIMIT,
    "--account-burst",
    RAISED_LIMIT,
];

/// The `muster` to be measured.
#[derive(Debug)]
pub struct Executable(PathBuf);

/// A process of ours; it ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it serves gRPC.
    pub address: SocketAddr,
    /// Its key or its configuration, where it needs one.
    folder: Option<TempDir>,
}

impl Executable {
    /// The one that is named, or the one beside this executable.
    pub fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let beside = std::env::current_exe()?.with_file_name("muster");
        let path = named.map_or(beside, Path::to_owned);
        ensure!(path.is_file(), "{} is not there: build it with cargo build --release -p muster", path.display());
        Ok(Self(path))
    }

    /// Migrates the schema and serves accounts from it, ready when this returns.
    pub fn auth(&self, stores: &Stores) -> anyhow::Result<Server> {
        self.migrate(stores)?;
        let folder = tempfile::tempdir()?;
        let key = make_key(folder.path())?;
        let mut server = self.auth_with_key(stores, &key)?;
        server.folder = Some(folder);
        Ok(server)
    }

    /// Serves accounts from a migrated schema, ready when this returns; tokens are signed with this key.
    pub fn auth_with_key(&self, stores: &Stores, key: &Path) -> anyhow::Result<Server> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = self.on(stores, &["auth", "--log", LOG_LEVEL, "--session-lifetime", SESSION_LIFETIME]);
        command
            .args(UNLIMITED)
            .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--redis-prefix", &stores.name])
            .arg("--signing-key")
            .arg(key)
            .env("MUSTER_REDIS_URL", stores.options.redis_url.expose_secret())
            .env("MUSTER_REFRESH_SECRETS", stores.name.repeat(2));
        let mut server = Server { child: command.spawn()?, address, folder: None };
        server.await_readiness(admin)?;
        Ok(server)
    }

    /// Makes the schema and the topics.
    pub fn migrate(&self, stores: &Stores) -> anyhow::Result<()> {
        let mut migrate = self.on(stores, &["migrate", "up", "--kafka-replication", "1"]);
        let migrated = migrate.stdout(Stdio::null()).status()?;
        ensure!(migrated.success(), "muster migrate up failed");
        Ok(())
    }

    /// Serves games, sessions and live events from migrated stores, ready when this returns.
    pub fn game(&self, stores: &Stores, keys: &Keys) -> anyhow::Result<Server> {
        // Nobody is asked for leaderboards unless the rules of one change.
        let nobody = format!("http://{}", free_address()?);
        self.service("game", stores, keys, &["--leaderboard-address", &nobody])
    }

    /// Serves matchmaking from migrated stores, beside a replica of the game service; ready when this returns.
    pub fn matchmaking(&self, stores: &Stores, keys: &Keys, game: SocketAddr) -> anyhow::Result<Server> {
        self.service("matchmaking", stores, keys, &["--game-address", &format!("http://{game}")])
    }

    /// Serves leaderboards from migrated stores, beside a replica of the game service; ready when this returns.
    pub fn leaderboard(&self, stores: &Stores, keys: &Keys, game: SocketAddr) -> anyhow::Result<Server> {
        self.service("leaderboard", stores, keys, &["--game-address", &format!("http://{game}")])
    }

    /// Has all leaderboards made of the history again.
    pub fn rebuild_boards(&self, stores: &Stores, keys: &Keys, game: SocketAddr) -> anyhow::Result<()> {
        let mut rebuild = Command::new(&self.0);
        rebuild
            .args(["boards", "rebuild", "--postgres-schema", &stores.name, "--redis-prefix", &stores.name])
            .args(["--game-address", &format!("http://{game}")])
            .arg("--service-key")
            .arg(&keys.services)
            .env("MUSTER_POSTGRES_URL", stores.options.postgres_url.expose_secret())
            .env("MUSTER_REDIS_URL", stores.options.redis_url.expose_secret());
        let status = rebuild.stdout(Stdio::null()).status()?;
        ensure!(status.success(), "muster boards rebuild failed");
        Ok(())
    }

    /// A service that accepts tokens of players and of other services.
    fn service(&self, role: &str, stores: &Stores, keys: &Keys, rest: &[&str]) -> anyhow::Result<Server> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = self.on(stores, &[role, "--log", LOG_LEVEL, "--redis-prefix", &stores.name]);
        command
            .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()])
            .args(rest)
            .arg("--accepted-keys")
            .arg(&keys.players)
            .arg("--accepted-keys")
            .arg(&keys.services)
            .arg("--service-key")
            .arg(&keys.services)
            .env("MUSTER_REDIS_URL", stores.options.redis_url.expose_secret());
        let mut server = Server { child: command.spawn()?, address, folder: None };
        server.await_readiness(admin)?;
        Ok(server)
    }

    /// Everything in one process, its data in a folder; and how long it took until it was ready.
    pub fn dev(&self, data: &Path) -> anyhow::Result<(Server, Duration)> {
        self.dev_with(data, &[])
    }

    /// The same; no sign-in is too many.
    pub fn unlimited_dev(&self, data: &Path) -> anyhow::Result<Server> {
        Ok(self.dev_with(data, &UNLIMITED)?.0)
    }

    fn dev_with(&self, data: &Path, flags: &[&str]) -> anyhow::Result<(Server, Duration)> {
        let address = free_address()?;
        let mut command = Command::new(&self.0);
        command.args(["dev", "--log", LOG_LEVEL, "--listen", &address.to_string()]).args(flags).arg("--data").arg(data);
        let began = Instant::now();
        let child = command.stdout(Stdio::null()).spawn()?;
        let mut server = Server { child, address, folder: None };
        server.await_readiness(address)?;
        Ok((server, began.elapsed()))
    }

    /// Writes what Envoy reads of the API.
    pub fn describe(&self, folder: &Path) -> anyhow::Result<()> {
        let status = Command::new(&self.0).arg("descriptors").arg("--output").arg(folder).status()?;
        ensure!(status.success(), "muster descriptors failed");
        Ok(())
    }

    fn on(&self, stores: &Stores, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command
            .args(arguments)
            .args(["--postgres-schema", &stores.name])
            .args(["--kafka-brokers", &stores.options.kafka_brokers, "--kafka-prefix", &stores.log().prefix])
            .env("MUSTER_POSTGRES_URL", stores.options.postgres_url.expose_secret());
        command
    }
}

impl Server {
    /// The server that answers calls and does nothing.
    pub fn echo() -> anyhow::Result<Self> {
        Self::of_ours("echo")
    }

    /// The server that passes on what it gets.
    pub fn relay() -> anyhow::Result<Self> {
        Self::of_ours("relay")
    }

    /// This executable in another role.
    fn of_ours(role: &str) -> anyhow::Result<Self> {
        let address = free_address()?;
        let child = Command::new(std::env::current_exe()?).args([role, "--listen", &address.to_string()]).spawn()?;
        let mut server = Self { child, address, folder: None };
        server.await_it(|| std::net::TcpStream::connect(address).is_ok())?;
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits until it is gone.
    pub fn end(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Envoy before a service: its configuration is written into the folder, with what it reads besides.
    pub fn envoy(program: &Path, configuration: &str, address: SocketAddr, folder: TempDir) -> anyhow::Result<Self> {
        let file = folder.path().join("envoy.yaml");
        fs::write(&file, configuration)?;
        let mut command = Command::new(program);
        // One worker: the cores are few, and the client and the service have them too.
        command
            .args(["--use-dynamic-base-id", "--log-level", "error", "--concurrency", "1", "--config-path"])
            .arg(&file);
        let child = command.stdout(Stdio::null()).spawn()?;
        let mut server = Self { child, address, folder: Some(folder) };
        server.await_it(|| http1::is_ok(address, "/healthz"))?;
        Ok(server)
    }

    fn await_readiness(&mut self, admin: SocketAddr) -> anyhow::Result<()> {
        self.await_it(|| http1::is_ok(admin, "/readyz"))
    }

    /// Waits until it serves. It blocks its thread: nothing else is done meanwhile.
    fn await_it(&mut self, serves: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !serves() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the measured server ended at its start: {status}");
            }
            ensure!(Instant::now() < deadline, "the measured server is not ready after {START_TIMEOUT:?}");
            thread::sleep(START_POLL);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose.
        self.end();
    }
}

/// What tokens are signed with: those of players, and those of services.
#[derive(Debug)]
pub struct Keys {
    pub players: PathBuf,
    services: PathBuf,
}

impl Keys {
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        let services = make_named_key(folder, "service-key.pem")?;
        Ok(Self { players: make_key(folder)?, services })
    }
}

/// A key that signs tokens, in a folder.
pub fn make_key(folder: &Path) -> anyhow::Result<PathBuf> {
    make_named_key(folder, "signing-key.pem")
}

/// A key in a folder, in a file of this name.
fn make_named_key(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let key = folder.join(name);
    fs::write(&key, SigningKey::generate(Ambient::system().random()).to_pem().expose_secret())?;
    Ok(key)
}

/// An address that nobody listens at just now.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    Ok(listener.local_addr()?)
}

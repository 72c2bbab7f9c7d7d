//! Accounts: sign-in, device sessions, tokens, profiles, moderation, the credentials of game servers.
//!
//! It owns users, credentials, identities and profiles (Postgres | SQLite), and device sessions, refresh families and
//! revocations (Redis | SQLite). [`build`] puts the parts together; [`access`] says who may call what.

pub mod access;
mod account;
mod audit;
mod device_session;
mod grpc;
mod hashing;
mod known_devices;
mod limits;
mod moderation;
mod ownership;
mod password;
mod profile;
mod secret;
mod server_credential;
mod sessions;
mod sign_in;
mod store;
mod tokens;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::auth::v1::auth_service_server::AuthServiceServer;
use pkg_api::player::v1::player_service_server::PlayerServiceServer;
use pkg_auth::{Argon2id, Issuer, RefreshSecrets, Verifier};
use pkg_log::Log;
use pkg_middleware::{Dependency, RevocationWatch, Service};

use crate::audit::{Counters, OutboxRelay, SignInDrain, sign_in_buffer};
use crate::grpc::{AuthApi, PlayerApi};
use crate::hashing::PasswordHasher;
use crate::known_devices::KnownDevices;
use crate::limits::SignInLimits;
pub use crate::limits::SignInQuotas;
use crate::moderation::Moderation;
use crate::ownership::Ownership;
use crate::profile::Profiles;
use crate::server_credential::ServerCredentials;
use crate::sessions::Sessions;
use crate::sign_in::SignIn;
pub use crate::store::{DeviceSessionStore, RedisDeviceSessions, SqlAccounts, SqlDeviceSessions};
pub use crate::tokens::Lifetimes;
use crate::tokens::TokenMint;

/// What the service works with.
pub struct Deps {
    /// Users, credentials, identities and profiles.
    pub accounts: SqlAccounts,
    /// Device sessions and refresh families.
    pub device_sessions: Arc<dyn DeviceSessionStore>,
    /// Where what happens to accounts is recorded. No call waits for it, so it is not among what the service needs.
    pub log: Arc<dyn Log>,
    /// Revocations, which every service reads.
    pub revocations: RevocationWatch,
    /// Signs access tokens.
    pub issuer: Issuer,
    /// Checks access tokens for `ValidateToken`.
    pub verifier: Arc<Verifier>,
    /// Make refresh tokens.
    pub refresh_secrets: RefreshSecrets,
    /// The stores, as health checks see them.
    pub stores: Vec<(&'static str, Arc<dyn Dependency>)>,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long tokens and sessions live.
    pub lifetimes: Lifetimes,
    /// How much one address and one account may do.
    pub quotas: SignInQuotas,
    /// How many passwords are hashed at once: as many as there are cores.
    pub hashing_threads: usize,
    /// How passwords are hashed.
    pub hashing: Argon2id,
}

/// The service, to be mounted on a server.
pub fn build(mut deps: Deps, settings: &Settings) -> Service {
    let stores = std::mem::take(&mut deps.stores);
    let Parts { auth, player, changes, sign_ins } = Parts::of(deps, settings);
    let service = Service::new("auth")
        .add(AuthServiceServer::new(auth), access::AUTH)
        .add(PlayerServiceServer::new(player), access::PLAYER)
        .task("audit of changes", |shutdown| changes.run(shutdown))
        .task("audit of sign-ins", |shutdown| sign_ins.run(shutdown));
    stores.into_iter().fold(service, |service, (name, store)| service.needs(name, store))
}

/// The service put together: what is served, and what runs beside it.
struct Parts {
    auth: AuthApi,
    player: PlayerApi,
    changes: OutboxRelay,
    sign_ins: SignInDrain,
}

impl Parts {
    fn of(deps: Deps, settings: &Settings) -> Self {
        let Deps { accounts, device_sessions, log, revocations, issuer, verifier, refresh_secrets, ambient, .. } = deps;
        let accounts = Arc::new(accounts);
        let counters = Counters::new();
        let (audit, sign_ins) = sign_in_buffer(log.clone(), ambient.clone(), counters.clone());
        let mint = Arc::new(TokenMint {
            issuer,
            refresh: refresh_secrets,
            lifetimes: settings.lifetimes,
            ambient: ambient.clone(),
        });
        let limits = Arc::new(SignInLimits::new(settings.quotas));
        let passwords = PasswordHasher::start(settings.hashing_threads, &settings.hashing, ambient.random());
        let sessions = Sessions {
            store: device_sessions,
            accounts: accounts.clone(),
            revocations: revocations.clone(),
            mint: mint.clone(),
            limits: limits.clone(),
            audit: audit.clone(),
            ambient: ambient.clone(),
        };
        let auth = AuthApi {
            sign_in: SignIn {
                accounts: accounts.clone(),
                sessions: sessions.clone(),
                passwords: passwords.clone(),
                limits: limits.clone(),
                devices: Arc::new(KnownDevices::new()),
                audit: audit.clone(),
                ambient: ambient.clone(),
            },
            ownership: Ownership {
                accounts: accounts.clone(),
                sessions: sessions.clone(),
                passwords,
                limits: limits.clone(),
                ambient: ambient.clone(),
            },
            moderation: Moderation { accounts: accounts.clone(), sessions: sessions.clone(), ambient: ambient.clone() },
            servers: ServerCredentials {
                store: accounts.clone(),
                mint,
                revocations: revocations.clone(),
                limits,
                audit,
                ambient: ambient.clone(),
            },
            sessions,
            verifier,
            revocations,
            ambient,
        };
        let changes = OutboxRelay { outbox: accounts.clone(), log, counters };
        Self { auth, player: PlayerApi { profiles: Profiles::new(accounts) }, changes, sign_ins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_has_its_access() {
        for (service, table) in
            [("muster.auth.v1.AuthService", access::AUTH), ("muster.player.v1.PlayerService", access::PLAYER)]
        {
            let described = pkg_api::descriptors().get_service_by_name(service).expect("the API has the service");
            let mut rpcs: Vec<String> = described.methods().map(|method| method.name().to_owned()).collect();
            let mut named: Vec<String> = table.iter().map(|(rpc, _)| (*rpc).to_owned()).collect();
            rpcs.sort();
            named.sort();
            assert_eq!(rpcs, named);
        }
    }
}

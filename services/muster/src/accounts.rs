//! The auth service with the stores of a role.

use std::sync::Arc;

use auth_service::{Deps, DeviceSessionStore, Settings, SqlAccounts};
use pkg_ambient::Ambient;
use pkg_auth::Revocations;
use pkg_db::Database;
use pkg_log::Log;
use pkg_middleware::{Dependency, Guard, RevocationWatch, Service};

use crate::keys::TokenTools;

/// Where accounts, device sessions, revocations and records of them are kept.
pub struct Stores {
    pub database: Database,
    pub device_sessions: Arc<dyn DeviceSessionStore>,
    pub revocations: Arc<dyn Revocations>,
    pub log: Arc<dyn Log>,
    /// As health checks see them.
    pub readiness: Vec<(&'static str, Arc<dyn Dependency>)>,
}

/// The service, and what every call to its server is checked against.
pub fn build(stores: Stores, tokens: TokenTools, settings: &Settings, ambient: &Ambient) -> (Guard, Service) {
    let revocations = RevocationWatch::new(stores.revocations, ambient.clone());
    let guard =
        Guard { verifier: tokens.verifier.clone(), revocations: revocations.clone(), jwks: tokens.published.to_json() };
    let deps = Deps {
        accounts: SqlAccounts::new(stores.database),
        device_sessions: stores.device_sessions,
        revocations,
        log: stores.log,
        issuer: tokens.issuer,
        verifier: tokens.verifier,
        refresh_secrets: tokens.refresh,
        stores: stores.readiness,
        ambient: ambient.clone(),
    };
    (guard, auth_service::build(deps, settings))
}

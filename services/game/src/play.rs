//! Puts the parts of sessions together: their services, and what runs beside the calls.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::game::v1::entity_service_server::EntityServiceServer;
use pkg_api::game::v1::session_internal_service_server::SessionInternalServiceServer;
use pkg_api::game::v1::session_service_server::SessionServiceServer;
use pkg_log::{Log, Positions};
use pkg_middleware::Service;

use crate::access;
use crate::accounts_gone::AccountsGone;
use crate::entities::Entities;
use crate::grpc::{EntityApi, SessionApi, SessionInternalApi};
use crate::sessions::Sessions;

/// What the services of sessions work with.
pub(crate) struct Play {
    pub(crate) sessions: Sessions,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) positions: Arc<dyn Positions>,
    pub(crate) ambient: Ambient,
}

impl Play {
    /// Adds them to a service.
    pub(crate) fn mount(self, service: Service) -> Service {
        let Self { sessions, log, positions, ambient } = self;
        let entities = Arc::new(Entities::new(sessions.clone()));
        let accounts_gone = AccountsGone { log, positions, sessions: sessions.clone() };
        let internal = SessionInternalApi { sessions: sessions.clone() };
        service
            .add(SessionServiceServer::new(SessionApi { sessions: sessions.clone() }), access::SESSION)
            .add(SessionInternalServiceServer::new(internal), access::SESSION_INTERNAL)
            .add(EntityServiceServer::new(EntityApi { entities, ambient }), access::ENTITY)
            .task("session sweeper", |shutdown| sessions.sweep(shutdown))
            .task("seats of accounts that are gone", |shutdown| accounts_gone.run(shutdown))
    }
}

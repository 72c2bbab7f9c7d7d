//! Puts the live parts together: events, announcements, presence, the clock.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::game::v1::clock_service_server::ClockServiceServer;
use pkg_api::presence::v1::presence_internal_service_server::PresenceInternalServiceServer;
use pkg_api::presence::v1::presence_service_server::PresenceServiceServer;
use pkg_bus::Bus;
use pkg_middleware::Service;

use crate::access;
use crate::announcement::Announcements;
use crate::grpc::{ClockApi, EventApi, EventParts, PresenceApi};
use crate::presence::Presences;
use crate::presence_signs::Signs;
use crate::publishing::Publisher;
use crate::rules::Games;
use crate::sessions::Sessions;
use crate::store::{AnnouncementStore, PresenceStore};
use crate::subscription::{Leases, Subscriptions};

/// What the live parts work with.
pub(crate) struct Live {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) sessions: Sessions,
    pub(crate) games: Arc<dyn Games>,
    pub(crate) presence: Arc<dyn PresenceStore>,
    pub(crate) announcements: Arc<dyn AnnouncementStore>,
    pub(crate) ambient: Ambient,
}

impl Live {
    /// Adds them to a service, with what runs beside the calls.
    pub(crate) fn mount(self, service: Service) -> Service {
        let Self { bus, sessions, games, presence, announcements, ambient } = self;
        let leases = Leases::new(sessions.clone());
        let signs = Signs::new(presence.clone(), ambient.clone());
        let subscriptions = Subscriptions {
            bus: bus.clone(),
            sessions: sessions.clone(),
            games: games.clone(),
            leases: leases.clone(),
            signs: signs.clone(),
            ambient: ambient.clone(),
        };
        let events = EventApi::new(EventParts {
            subscriptions: Arc::new(subscriptions),
            publisher: Publisher::new(bus.clone(), sessions.clone(), ambient.clone()),
            announcements: Announcements { store: announcements, games, bus, ambient: ambient.clone() },
            ambient: ambient.clone(),
        });
        let presence = PresenceApi { presences: Presences { store: presence, sessions, ambient: ambient.clone() } };
        service
            .add(events, access::EVENTS)
            .add(PresenceServiceServer::new(presence.clone()), access::PRESENCE)
            .add(PresenceInternalServiceServer::new(presence), access::PRESENCE_INTERNAL)
            .add(ClockServiceServer::new(ClockApi { ambient }), access::CLOCK)
            .task("seats of open streams", move |shutdown| leases.keep(shutdown))
            .task("presence of open streams", move |shutdown| signs.keep(shutdown))
    }
}

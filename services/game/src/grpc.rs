//! The edge of the service: requests are parsed, the domain is called, its results are mapped.

mod catalog;
mod clock;
mod entity;
mod event_problems;
mod events;
#[cfg(test)]
mod harness;
mod parse;
mod parse_entity;
mod parse_events;
mod parse_session;
mod presence;
mod problems;
mod session;
mod session_internal;
mod session_problems;
mod tell_events;

use pkg_bus::Cursor;

pub use catalog::CatalogApi;
pub use clock::ClockApi;
pub use entity::EntityApi;
pub use events::{EventApi, EventParts};
pub use presence::PresenceApi;
pub use session::SessionApi;
pub use session_internal::SessionInternalApi;

/// A cursor as clients keep it; empty without.
fn cursor(cursor: Option<Cursor>) -> String {
    cursor.map(|cursor| cursor.to_string()).unwrap_or_default()
}

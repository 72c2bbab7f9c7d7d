//! What a session may do, as its game's definition said when it was created.

use std::num::NonZeroU32;
use std::time::Duration;

use pkg_bus::Retention;
use pkg_definition::SessionRules;
use serde::{Deserialize, Serialize};

/// The rules of a session. A copy of those of the revision that it follows, so that it goes on by them alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Whether the owner may finish it with results.
    pub owner_may_finish: bool,
    /// Whether every player in it may change attributes and data.
    pub members_may_update: bool,
    /// Whether a free seat may be taken after the start.
    pub join_after_start: bool,
    /// How long a seat is kept for a player who is not there.
    pub reconnect_grace: Duration,
    /// After how long without anybody connected it ends.
    pub abandon_after: Duration,
    /// How long it may last.
    pub max_duration: Duration,
    /// How long it can be read after its end.
    pub keep_after_end: Duration,
    /// How many entities it may have.
    pub max_entities: usize,
    /// The limits of what is published in it.
    pub events: EventLimits,
}

/// Limits of what is published in a session. Game servers may publish ten times as many events as a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLimits {
    /// Events a second by one player.
    pub player_events_per_second: NonZeroU32,
    /// Events a second in the session.
    pub session_events_per_second: NonZeroU32,
    /// The most bytes of one event's attributes and data together.
    pub max_event_bytes: NonZeroU32,
    /// How many retained events are kept.
    pub retained_events: NonZeroU32,
    /// For how long they are kept.
    pub retention: Duration,
}

impl From<&SessionRules> for Rules {
    fn from(rules: &SessionRules) -> Self {
        Self {
            owner_may_finish: rules.owner_may_finish,
            members_may_update: rules.members_may_update,
            join_after_start: rules.join_after_start,
            reconnect_grace: rules.reconnect_grace,
            abandon_after: rules.abandon_after,
            max_duration: rules.max_duration,
            keep_after_end: rules.keep_after_end,
            max_entities: usize::try_from(rules.max_entities).unwrap_or(usize::MAX),
            events: EventLimits::from(&rules.event_limits),
        }
    }
}

impl EventLimits {
    /// How long the session's events are kept.
    #[must_use]
    pub fn kept(&self) -> Retention {
        let max_length = usize::try_from(self.retained_events.get()).unwrap_or(usize::MAX);
        Retention { max_length, lifetime: self.retention, ..Retention::default() }
    }
}

impl From<&pkg_definition::EventLimits> for EventLimits {
    fn from(limits: &pkg_definition::EventLimits) -> Self {
        Self {
            player_events_per_second: limits.player_events_per_second,
            session_events_per_second: limits.session_events_per_second,
            max_event_bytes: limits.max_event_bytes,
            retained_events: limits.retained_events,
            retention: limits.retention,
        }
    }
}

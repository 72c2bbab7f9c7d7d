//! How sessions run.

use std::num::NonZeroU32;
use std::time::Duration;

use pkg_api::game::v1 as api;

use crate::reading::Reading;

const MAX_SESSIONS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");
const MAX_PLAYERS: NonZeroU32 = NonZeroU32::new(16).expect("not zero");
const RECONNECT_GRACE: Duration = Duration::from_secs(30);
const ABANDON_AFTER: Duration = Duration::from_mins(2);
const MAX_DURATION: Duration = Duration::from_hours(24);
const MAX_ENTITIES: u32 = 1_000;
const MOST_ENTITIES: u32 = 10_000;
const KEEP_AFTER_END: Duration = Duration::from_hours(1);
const WEEK: Duration = Duration::from_hours(7 * 24);

const PLAYER_EVENTS: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
const SESSION_EVENTS: NonZeroU32 = NonZeroU32::new(5_000).expect("not zero");
const EVENT_BYTES: NonZeroU32 = NonZeroU32::new(4_096).expect("not zero");
const RETAINED_EVENTS: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
const RETENTION: Duration = Duration::from_mins(10);

/// How the sessions of a game run, and what they may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRules {
    /// How many may be open at once.
    pub max_sessions: NonZeroU32,
    /// How many players one may have: at most 1,000.
    pub max_players: NonZeroU32,
    /// Who may create them, beside matchmaking.
    pub creators: SessionCreators,
    /// Whether the owner may finish one with results, beside game servers.
    pub owner_may_finish: bool,
    /// Whether every seated player may change attributes and data, beside the owner and game servers.
    pub members_may_update: bool,
    /// Whether a free seat may be taken after the start.
    pub join_after_start: bool,
    /// How long a seat is kept for a player without streams.
    pub reconnect_grace: Duration,
    /// After how long without anybody connected a session ends.
    pub abandon_after: Duration,
    /// How long a session may last.
    pub max_duration: Duration,
    /// How many entities it may have.
    pub max_entities: u32,
    /// What may be published in it.
    pub event_limits: EventLimits,
    /// How long it can be read after its end.
    pub keep_after_end: Duration,
}

/// Who may create a game's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCreators {
    /// Players and game servers.
    Players,
    /// Game servers only.
    Servers,
}

/// Limits of what is published in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLimits {
    /// Events a second by one player; game servers may publish ten times as many.
    pub player_events_per_second: NonZeroU32,
    /// Events a second in one session.
    pub session_events_per_second: NonZeroU32,
    /// The bytes of one event's attributes and data together.
    pub max_event_bytes: NonZeroU32,
    /// How many retained events are kept.
    pub retained_events: NonZeroU32,
    /// How long they are kept.
    pub retention: Duration,
}

impl SessionRules {
    pub(crate) fn read(given: &api::SessionRules, at: &mut Reading) -> Self {
        let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
        let most_sessions = i32::MAX.unsigned_abs();
        Self {
            max_sessions: at.count("max_sessions", given.max_sessions, 1..=most_sessions, MAX_SESSIONS),
            max_players: at.count("max_players", given.max_players, 1..=1_000, MAX_PLAYERS),
            creators: at.choice::<api::SessionCreators>("creators", given.creators).into(),
            owner_may_finish: given.owner_may_finish,
            members_may_update: given.members_may_update,
            join_after_start: given.join_after_start,
            reconnect_grace: at.span(
                "reconnect_grace",
                given.reconnect_grace,
                Duration::ZERO..=Duration::from_mins(10),
                RECONNECT_GRACE,
            ),
            abandon_after: at.span("abandon_after", given.abandon_after, 10 * second..=day, ABANDON_AFTER),
            max_duration: at.span("max_duration", given.max_duration, 10 * second..=WEEK, MAX_DURATION),
            max_entities: max_entities(given.max_entities, at),
            event_limits: at
                .within("event_limits", |at| EventLimits::read(&given.event_limits.unwrap_or_default(), at)),
            keep_after_end: at.span(
                "keep_after_end",
                given.keep_after_end,
                Duration::from_mins(1)..=WEEK,
                KEEP_AFTER_END,
            ),
        }
    }
}

/// 0 is a number here: a game without entities.
fn max_entities(given: Option<i32>, at: &mut Reading) -> u32 {
    let Some(given) = given else { return MAX_ENTITIES };
    u32::try_from(given).ok().filter(|count| *count <= MOST_ENTITIES).unwrap_or_else(|| {
        at.refuse("max_entities", format!("is 0 to {MOST_ENTITIES}; leave it out for {MAX_ENTITIES}"));
        MAX_ENTITIES
    })
}

impl EventLimits {
    fn read(given: &api::EventLimits, at: &mut Reading) -> Self {
        let retention = Duration::from_secs(10)..=Duration::from_hours(24);
        let player = given.player_events_per_second;
        let session = given.session_events_per_second;
        Self {
            player_events_per_second: at.count("player_events_per_second", player, 1..=1_000, PLAYER_EVENTS),
            session_events_per_second: at.count("session_events_per_second", session, 1..=100_000, SESSION_EVENTS),
            max_event_bytes: at.count("max_event_bytes", given.max_event_bytes, 1..=65_536, EVENT_BYTES),
            retained_events: at.count("retained_events", given.retained_events, 16..=10_000, RETAINED_EVENTS),
            retention: at.span("retention", given.retention, retention, RETENTION),
        }
    }
}

impl From<api::SessionCreators> for SessionCreators {
    fn from(given: api::SessionCreators) -> Self {
        match given {
            api::SessionCreators::Unspecified | api::SessionCreators::Players => Self::Players,
            api::SessionCreators::Servers => Self::Servers,
        }
    }
}

//! Who may publish in a session: asked for every publication, so what is known is kept for a moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pkg_definition::TeamName;
use pkg_middleware::Actor;
use quick_cache::sync::Cache;
use tokio::time::Instant;
use uuid::Uuid;

use super::connections::Standing;
use super::{SessionError, Sessions};
use crate::session::{Attempt, EventLimits, Refused, Session, State, Visibility};

/// How many sessions are kept.
const SESSIONS: usize = 20_000;
/// For how long: a seat that was taken on another node may be as late.
const FRESH: Duration = Duration::from_secs(1);

/// Somebody may publish, and how much.
#[derive(Debug, Clone)]
pub struct Publishing {
    pub standing: Standing,
    pub limits: EventLimits,
    /// The teams of the session.
    pub teams: Arc<[TeamName]>,
}

/// What is known of sessions.
pub(super) struct Permissions(Cache<Uuid, Known>);

#[derive(Clone)]
struct Known {
    since: Instant,
    state: State,
    is_over: bool,
    visibility: Visibility,
    limits: EventLimits,
    teams: Arc<[TeamName]>,
    seated: Arc<HashMap<Uuid, Option<TeamName>>>,
}

impl Permissions {
    pub(super) fn new() -> Self {
        Self(Cache::new(SESSIONS))
    }

    pub(super) fn forget(&self, session: Uuid) {
        self.0.remove(&session);
    }
}

impl Known {
    fn of(session: &Session) -> Self {
        Self {
            since: Instant::now(),
            state: session.state,
            is_over: session.is_over(),
            visibility: session.visibility,
            limits: session.rules.events,
            teams: session.teams.iter().map(|team| team.name.clone()).collect(),
            seated: Arc::new(session.seats.iter().map(|seat| (seat.player, seat.team.clone())).collect()),
        }
    }

    fn publishing(&self, who: Actor) -> Result<Publishing, SessionError> {
        let seat = who.person().and_then(|person| self.seated.get(&person));
        let standing = match (who, seat) {
            (Actor::Server(_), _) => Standing::Server,
            (_, Some(team)) => Standing::Seated { team: team.clone() },
            (Actor::Player(_) | Actor::Admin(_), None) if self.visibility == Visibility::Public => {
                return Err(Refused::NotInSession.into());
            }
            (Actor::Admin(_), None) => return Err(Refused::NotInSession.into()),
            (Actor::Player(_), None) => return Err(SessionError::NotFound),
        };
        if self.is_over {
            return Err(Refused::State { state: self.state, attempt: Attempt::Publish }.into());
        }
        Ok(Publishing { standing, limits: self.limits, teams: Arc::clone(&self.teams) })
    }
}

impl Sessions {
    /// Whether somebody may publish on the session's topic: players in it and game servers.
    pub async fn may_publish(&self, who: Actor, session: Uuid) -> Result<Publishing, SessionError> {
        if let Some(known) = self.permissions.0.get(&session).filter(|known| known.since.elapsed() < FRESH) {
            return known.publishing(who);
        }
        let loaded = self.store.load(session).await?.ok_or(SessionError::NotFound)?;
        let known = Known::of(&loaded.session);
        self.permissions.0.insert(session, known.clone());
        known.publishing(who)
    }

    /// Something of Muster's own happened in a session: what is known is old.
    pub fn session_changed(&self, session: Uuid) {
        self.permissions.forget(session);
    }
}

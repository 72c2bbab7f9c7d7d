//! Who follows a session, and keeps a seat by it.

use std::time::Duration;

use futures::StreamExt;
use pkg_api::events::v1::SessionSnapshot;
use pkg_definition::TeamName;
use pkg_middleware::Actor;
use prost::Message;
use uuid::Uuid;

use super::{SessionError, Sessions};
use crate::entity::Entity;
use crate::session::{Refused, Session, Visibility};
use crate::session_message;
use crate::store::{EntityPage, Lease};

/// For how long a stream counts as open without a sign.
pub const LEASE: Duration = Duration::from_secs(45);
/// How often a node says that its streams are open.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);
/// How many leases are renewed in one step, and opened again at once if they were lost.
const RENEWED_AT_ONCE: usize = 2_048;
const OPENED_AT_ONCE: usize = 32;
/// How many entities are read in one step for a snapshot…
const SNAPSHOT_STEP: usize = 500;
/// …and how many bytes of them are in it.
const SNAPSHOT_BYTES: usize = 1 << 20;

/// As what somebody is in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A player with a seat.
    Seated {
        team: Option<TeamName>,
    },
    Server,
    Admin,
}

/// Somebody may follow a session's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub standing: Standing,
    /// Whether nothing more happens in it.
    pub over: bool,
}

impl Admission {
    /// Whether an open stream counts as a connection: of players in it and of game servers, not of admins who look on.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.over && self.standing != Standing::Admin
    }
}

impl Sessions {
    /// Whether somebody may follow the session's topic.
    pub async fn admit(&self, who: Actor, session: Uuid) -> Result<Admission, SessionError> {
        let loaded = self.store.load(session).await?.ok_or(SessionError::NotFound)?;
        let standing = standing(&loaded.session, who)?;
        Ok(Admission { standing, over: loaded.session.is_over() })
    }

    /// A stream on the session's topic was opened.
    pub async fn stream_opened(&self, lease: &Lease) -> Result<(), SessionError> {
        let until = self.now() + LEASE;
        if self.store.connect(lease, until).await? {
            self.observe(lease.session).await?;
        }
        Ok(())
    }

    /// A stream on the session's topic was closed.
    pub async fn stream_closed(&self, lease: &Lease) -> Result<(), SessionError> {
        self.store.disconnect(lease).await?;
        self.observe(lease.session).await
    }

    /// The streams of this node are open. One whose lease was lost is opened again.
    pub async fn renew(&self, leases: &[Lease]) -> Result<(), SessionError> {
        for leases in leases.chunks(RENEWED_AT_ONCE) {
            let held = self.store.renew(leases, self.now() + LEASE).await?;
            let lost = leases.iter().zip(held).filter(|(_, is_held)| !is_held);
            let lost: Vec<Lease> = lost.map(|(lease, _)| *lease).collect();
            let opened = futures::stream::iter(lost).map(|lease| self.clone().open_again(lease));
            let outcomes: Vec<_> = opened.buffer_unordered(OPENED_AT_ONCE).collect().await;
            outcomes.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// The session and its entities, as many as fit; `None` if nobody knows it.
    pub async fn snapshot(&self, session: Uuid) -> Result<Option<SessionSnapshot>, SessionError> {
        let Some(loaded) = self.store.load(session).await? else { return Ok(None) };
        let (mut entities, mut bytes, mut after) = (Vec::new(), 0, None);
        loop {
            let EntityPage { entities: page, more, .. } =
                self.entities.entity_page(session, after, SNAPSHOT_STEP).await?;
            after = page.last().map(|entity: &Entity| entity.id);
            for entity in page {
                let message = session_message::entity(&entity);
                bytes += message.encoded_len();
                if bytes > SNAPSHOT_BYTES {
                    return Ok(Some(snapshot(&loaded.session, entities, false)));
                }
                entities.push(message);
            }
            if !more {
                return Ok(Some(snapshot(&loaded.session, entities, true)));
            }
        }
    }

    async fn open_again(self, lease: Lease) -> Result<(), SessionError> {
        self.stream_opened(&lease).await
    }

    async fn observe(&self, session: Uuid) -> Result<(), SessionError> {
        let observed = self.change_connected(session, Session::observe).await?;
        // So that a lease that nobody renews is noticed when it ends.
        if let Some((session, Some(next_end))) = observed {
            let place = crate::store::SessionPlace::of(&session);
            self.index.schedule(session.game, place, next_end).await?;
        }
        Ok(())
    }
}

fn snapshot(session: &Session, entities: Vec<pkg_api::game::v1::Entity>, complete: bool) -> SessionSnapshot {
    // Only those in it, game servers and admins follow its topic, and they all see the code.
    SessionSnapshot { session: Some(session_message::session(session, true)), entities, entities_complete: complete }
}

/// As what somebody is in a session; not at all if they have no business there.
pub(crate) fn standing(session: &Session, who: Actor) -> Result<Standing, SessionError> {
    match (who, who.person().and_then(|person| session.seat(person))) {
        (Actor::Server(_), _) => Ok(Standing::Server),
        (_, Some(seat)) => Ok(Standing::Seated { team: seat.team.clone() }),
        (Actor::Admin(_), None) => Ok(Standing::Admin),
        (Actor::Player(_), None) if session.visibility == Visibility::Public => Err(Refused::NotInSession.into()),
        (Actor::Player(_), None) => Err(SessionError::NotFound),
    }
}

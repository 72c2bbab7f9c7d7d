//! Publishing the game's own events to a session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pkg_ambient::Ambient;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{Event, GameEvent};
use pkg_bus::{Bus, Cursor, NewEvent, PublishError, Published, Retention, Topic};
use pkg_envelope::Audience;
use pkg_middleware::Actor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sessions::{self, Publishing, SessionError, Sessions};

/// Events to be published on a session's topic: all of them, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    pub session: Uuid,
    /// 1–100 of them.
    pub events: Vec<Draft>,
}

/// An event of the game's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Retained ones have one.
    pub id: Option<Uuid>,
    pub retained: bool,
    pub audience: Audience,
    /// The bytes of attributes and data.
    pub size: usize,
    pub event: GameEvent,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub id: Option<Uuid>,
    pub cursor: Option<Cursor>,
    pub time: OffsetDateTime,
    pub repeated: bool,
}

/// A publication was refused: nothing of it happened, unless it failed half-way. Ids make it safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum PublicationError {
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An event of this place has more bytes than the game allows.
    #[error("an event is larger than {limit} bytes")]
    TooLarge { place: usize, limit: u32 },
    /// All events together have more bytes than can be published at once.
    #[error("the events are too large together")]
    TogetherTooLarge,
    #[error("the session has no such team")]
    TeamNotFound,
    #[error("too many events")]
    Limited { retry_after: Duration },
    /// The session ended meanwhile.
    #[error("the session has ended")]
    Ended,
    #[error("the bus failed")]
    Bus(#[source] PublishError),
}

/// Publishes for clients on this node.
pub struct Publisher {
    bus: Arc<dyn Bus>,
    sessions: Sessions,
    ambient: Ambient,
}

impl Publisher {
    pub fn new(bus: Arc<dyn Bus>, sessions: Sessions, ambient: Ambient) -> Self {
        Self { bus, sessions, ambient }
    }

    /// Publishes. Retained events become one step of the topic, and unretained ones go to readers in their order. Between
    /// the two kinds there is no order: unretained ones do not wait for the store, neither here nor on their way.
    pub async fn publish(&self, who: Actor, publication: Publication) -> Result<Vec<Outcome>, PublicationError> {
        let Publication { session, events } = publication;
        let publishing = self.sessions.may_publish(who, session).await?;
        check(&events, &publishing)?;
        let Publishing { standing, limits, .. } = &publishing;
        let counted = self.sessions.spend(who, session, standing, limits, events.len());
        counted.map_err(|retry_after| PublicationError::Limited { retry_after })?;

        // A game server is nobody who plays.
        let player_id = if who.is_server() { String::new() } else { who.id().to_string() };
        let ready: Vec<Ready> = events.into_iter().map(|draft| Ready::of(draft, &player_id)).collect();
        self.send(&sessions::topic(session), &ready, limits.kept()).await
    }

    async fn send(&self, topic: &Topic, ready: &[Ready], kept: Retention) -> Result<Vec<Outcome>, PublicationError> {
        let retained = ready.iter().filter(|event| event.retained);
        let retained: Vec<_> =
            retained.map(|event| NewEvent { id: event.id, payload: event.payload.clone() }).collect();
        let published =
            if retained.is_empty() { Vec::new() } else { self.bus.publish(topic, &retained, Some(kept)).await? };
        let mut published = published.into_iter();
        let mut outcomes = Vec::with_capacity(ready.len());
        for Ready { id, retained, payload } in ready {
            let outcome = if *retained {
                published.next().map(|Published { cursor, repeated, time }| Outcome { id: *id, cursor, time, repeated })
            } else {
                self.bus.publish_unretained(topic, payload.clone())?;
                Some(Outcome { id: *id, cursor: None, time: self.ambient.now(), repeated: false })
            };
            outcomes.extend(outcome);
        }
        Ok(outcomes)
    }
}

impl From<PublishError> for PublicationError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Ended => Self::Ended,
            PublishError::TooLarge => Self::TogetherTooLarge,
            PublishError::Unavailable(_) | PublishError::Broken(_) => Self::Bus(error),
        }
    }
}

fn check(events: &[Draft], publishing: &Publishing) -> Result<(), PublicationError> {
    let limit = publishing.limits.max_event_bytes.get();
    for (place, draft) in events.iter().enumerate() {
        if draft.size > limit as usize {
            return Err(PublicationError::TooLarge { place, limit });
        }
        if let Audience::Team(team) = &draft.audience
            && !publishing.teams.iter().any(|known| known.as_str() == team)
        {
            return Err(PublicationError::TeamNotFound);
        }
    }
    Ok(())
}

/// An event, encoded.
struct Ready {
    id: Option<Uuid>,
    retained: bool,
    payload: Bytes,
}

impl Ready {
    fn of(draft: Draft, player_id: &str) -> Self {
        let Draft { id, retained, audience, event, .. } = draft;
        let event = Event {
            event_id: id.map(|id| id.to_string()).unwrap_or_default(),
            player_id: player_id.to_owned(),
            payload: Some(Payload::GameEvent(event)),
            ..Event::default()
        };
        Self { id, retained, payload: pkg_envelope::encode(&audience, &event) }
    }
}

//! What admins say to everyone, or to the players of a game.

use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{self as api, AnnouncementKind, Event};
use pkg_api::game::v1 as game_api;
use pkg_bus::{Bus, NewEvent, PublishError};
use pkg_definition::{Attributes, Region};
use pkg_envelope::Audience;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::rules::Games;
use crate::store::{AnnouncementStore, StoreError};
use crate::timestamps::timestamp;
use crate::topics::TopicKind;

/// How long after its creation a repeated call still publishes an announcement, in case the first could not: the bus knows
/// so long that it did.
const PUBLISHED_AGAIN: Duration = Duration::from_mins(50);

/// Something that an admin says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    pub id: Uuid,
    /// The game that it is about; none if it is for everyone.
    pub game: Option<Uuid>,
    pub content: Content,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub kind: AnnouncementKind,
    pub title: String,
    pub text: String,
    pub attributes: Attributes,
    /// None means all.
    pub region: Option<Region>,
}

/// An announcement to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnnouncement {
    /// The client's, to know a repetition by.
    pub id: Option<Uuid>,
    pub game: Option<Uuid>,
    pub content: Content,
    pub lifetime: Duration,
}

/// A place in the list of announcements: after this one, which was created then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub created_at: OffsetDateTime,
    pub id: Uuid,
}

/// An announcement cannot be made or told.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    #[error("there is no such game")]
    GameNotFound,
    #[error("another announcement has this id")]
    IdTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is kept, and listed; the same call publishes it.
    #[error("the announcement was not published")]
    Publish(#[source] PublishError),
}

/// The announcements.
#[derive(Clone)]
pub struct Announcements {
    pub(crate) store: Arc<dyn AnnouncementStore>,
    pub(crate) games: Arc<dyn Games>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) ambient: Ambient,
}

impl Announcements {
    /// Keeps an announcement and tells it to those who follow; a repeated call does what is missing of both.
    pub async fn create(&self, new: NewAnnouncement) -> Result<Announcement, AnnouncementError> {
        if let Some(game) = new.game
            && self.games.newest(game).await?.is_none()
        {
            return Err(AnnouncementError::GameNotFound);
        }
        // As exact as it is kept.
        let now = self.ambient.now().truncate_to_millisecond();
        let announcement = Announcement {
            id: new.id.unwrap_or_else(|| self.ambient.id()),
            game: new.game,
            content: new.content,
            created_at: now,
            expires_at: now + new.lifetime,
        };
        let announcement = match self.store.add(&announcement).await? {
            None => announcement,
            Some(known) if known.repeats(&announcement) => known,
            Some(_) => return Err(AnnouncementError::IdTaken),
        };
        if now - announcement.created_at < PUBLISHED_AGAIN {
            self.publish(&announcement).await.map_err(AnnouncementError::Publish)?;
        }
        Ok(announcement)
    }

    /// Those for everyone and those about a game that have not expired, the newest first.
    pub async fn list(
        &self,
        game: Option<Uuid>,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Announcement>, AnnouncementError> {
        Ok(self.store.page(game, self.ambient.now(), after, limit).await?)
    }

    async fn publish(&self, announcement: &Announcement) -> Result<(), PublishError> {
        let event = Event {
            event_id: announcement.id.to_string(),
            payload: Some(Payload::Announcement(announcement.to_api())),
            ..Event::default()
        };
        let event = NewEvent { id: Some(announcement.id), payload: pkg_envelope::encode(&Audience::Everyone, &event) };
        let topic = TopicKind::Announcements(announcement.game).topic();
        let topic = topic.map_err(|error| PublishError::Broken(error.into()))?;
        self.bus.publish(&topic, &[event], None).await?;
        Ok(())
    }
}

impl Announcement {
    /// Whether the other one is this one, made again later.
    fn repeats(&self, other: &Self) -> bool {
        let lifetime = |it: &Self| it.expires_at - it.created_at;
        let same = (self.id, self.game) == (other.id, other.game) && self.content == other.content;
        same && (lifetime(self) - lifetime(other)).abs() < time::Duration::milliseconds(2)
    }

    pub fn place(&self) -> Place {
        Place { created_at: self.created_at, id: self.id }
    }

    pub fn to_api(&self) -> api::Announcement {
        let Content { kind, title, text, attributes, region } = &self.content;
        api::Announcement {
            announcement_id: self.id.to_string(),
            game_id: self.game.map(|game| game.to_string()).unwrap_or_default(),
            kind: (*kind).into(),
            title: title.clone(),
            text: text.clone(),
            attributes: attributes.to_api(),
            region: region.map_or(game_api::Region::Unspecified, Into::into).into(),
            create_time: Some(timestamp(self.created_at)),
            expire_time: Some(timestamp(self.expires_at)),
        }
    }
}

impl Content {
    /// The content of an announcement that was kept; none if it is damaged.
    pub fn from_api(message: &api::Announcement) -> Option<Self> {
        Some(Self {
            kind: message.kind(),
            title: message.title.clone(),
            text: message.text.clone(),
            attributes: Attributes::parse("attributes", &message.attributes).ok()?,
            region: Region::from_api(message.region()),
        })
    }
}

//! What events, announcements and presence say, as messages of the API.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pkg_api::events::v1::{ListAnnouncementsResponse, PublishRefused, PublishResponse, PublishedEvent};
use pkg_api::presence::v1 as presence;
use tonic::Status;
use tonic_types::StatusExt;

use crate::announcement::{Announcement, Place};
use crate::presence::{Presence, Status as PresenceStatus};
use crate::publishing::Outcome;
use crate::timestamps::timestamp;

pub(super) fn outcomes(outcomes: &[Outcome]) -> PublishResponse {
    let event = |outcome: &Outcome| PublishedEvent {
        event_id: outcome.id.map(|id| id.to_string()).unwrap_or_default(),
        cursor: outcome.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
        time: Some(timestamp(outcome.time)),
        repeated_id: outcome.repeated,
    };
    PublishResponse { events: outcomes.iter().map(event).collect() }
}

/// The status of a call as a message: what `Publish` would have ended with.
pub(super) fn refused(number: i64, status: &Status) -> PublishRefused {
    let details = status.get_error_details();
    let retry_delay = details.retry_info().and_then(|retry| retry.retry_delay);
    PublishRefused {
        number,
        code: status.code().into(),
        reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
        message: status.message().to_owned(),
        retry_delay: retry_delay.and_then(|delay| delay.try_into().ok()),
    }
}

pub(super) fn announcements(page: &[Announcement], more: bool) -> ListAnnouncementsResponse {
    let last = page.last().filter(|_| more).map(|last| page_token(last.place()));
    ListAnnouncementsResponse {
        announcements: page.iter().map(Announcement::to_api).collect(),
        next_page_token: last.unwrap_or_default(),
    }
}

/// The token that asks for what comes after a place; see [`super::parse_events::place`].
pub(super) fn page_token(place: Place) -> String {
    let millis = i64::try_from(place.created_at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode([&millis.to_be_bytes()[..], place.id.as_bytes()].concat())
}

impl From<Presence> for presence::Presence {
    fn from(found: Presence) -> Self {
        let status = match found.status {
            PresenceStatus::Online => presence::PresenceStatus::Online,
            PresenceStatus::Away => presence::PresenceStatus::Away,
            PresenceStatus::InQueue => presence::PresenceStatus::InQueue,
            PresenceStatus::InSession => presence::PresenceStatus::InSession,
            PresenceStatus::Offline => presence::PresenceStatus::Offline,
        };
        Self {
            player_id: found.player.to_string(),
            status: status.into(),
            game_id: found.game.map(|game| game.to_string()).unwrap_or_default(),
            session_id: found.session.map(|session| session.to_string()).unwrap_or_default(),
            device_count: i32::try_from(found.devices).unwrap_or(i32::MAX),
            last_seen_time: found.last_seen.map(timestamp),
        }
    }
}

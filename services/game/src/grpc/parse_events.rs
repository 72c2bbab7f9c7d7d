//! Requests of events, announcements and presence, made into what they mean. Past this, nothing can be invalid.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pkg_api::events::v1::{self as events, AnnouncementKind, GameEvent, game_event};
use pkg_api::game::v1 as game_api;
use pkg_api::presence::v1 as presence_api;
use pkg_bus::{MAX_FOLLOWED, MAX_PUBLICATION_EVENTS, MAX_TOPIC_BYTES};
use pkg_definition::{Attributes, Region};
use pkg_envelope::Audience;
use pkg_middleware::{Caller, Problem};
use time::OffsetDateTime;
use uuid::Uuid;

use super::parse_session::{attributes, id, new_id, optional_id};
use crate::announcement::{Content, NewAnnouncement, Place};
use crate::presence::{DeviceState, QueuedReport};
use crate::publishing::{Draft, Publication};
use crate::subscription::{Follower, Wanted};
use crate::topics::TopicKind;

const EVENT_NAME_CHARS: usize = 64;
const TITLE_CHARS: usize = 200;
const TEXT_CHARS: usize = 4_000;
const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 100;
const PRESENCES_MAX: usize = 100;
const REPORTS_MAX: usize = 1_000;
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn follower(caller: &Caller) -> Result<Follower, Problem> {
    Ok(Follower { actor: caller.actor()?, device: caller.session_id })
}

/// The topics to follow, which differ.
pub(super) fn wanted(request: &events::SubscribeRequest) -> Result<Vec<Wanted>, Problem> {
    let given = &request.subscriptions;
    if !(1..=MAX_FOLLOWED).contains(&given.len()) {
        return Err(Problem::invalid_field("subscriptions", format!("has 1 to {MAX_FOLLOWED} topics")));
    }
    let mut seen = HashSet::new();
    let mut wanted = Vec::with_capacity(given.len());
    for (place, events::Subscription { topic: name, cursor }) in given.iter().enumerate() {
        let kind = topic(&format!("subscriptions[{place}].topic"), name)?;
        if !seen.insert(name) {
            let problem = Problem::invalid_field(format!("subscriptions[{place}].topic"), "stands there twice");
            return Err(problem.metadata("topic", name));
        }
        let invalid = |_| {
            let path = format!("subscriptions[{place}].cursor");
            Problem::invalid_field(path, "is not a cursor of this topic").metadata("topic", name)
        };
        let cursor = if cursor.is_empty() { None } else { Some(cursor.parse().map_err(invalid)?) };
        wanted.push(Wanted { kind, cursor });
    }
    Ok(wanted)
}

pub(super) fn topic(path: &str, name: &str) -> Result<TopicKind, Problem> {
    if name.len() > MAX_TOPIC_BYTES {
        return Err(Problem::invalid_field(path, format!("has {MAX_TOPIC_BYTES} bytes at most")));
    }
    TopicKind::parse(name).map_err(|error| Problem::invalid_field(path, error.to_string()).metadata("topic", name))
}

/// A message of a client without anything in it.
pub(super) fn nothing_said() -> Problem {
    Problem::invalid_field("message", "one of its kinds is set")
}

pub(super) fn publication(request: events::PublishRequest) -> Result<Publication, Problem> {
    let session = id("session_id", &request.session_id)?;
    if !(1..=MAX_PUBLICATION_EVENTS).contains(&request.events.len()) {
        return Err(Problem::invalid_field("events", format!("has 1 to {MAX_PUBLICATION_EVENTS} events")));
    }
    let events = request.events.into_iter().enumerate().map(|(place, event)| draft(place, event));
    Ok(Publication { session, events: events.collect::<Result<_, _>>()? })
}

fn draft(place: usize, new: events::NewEvent) -> Result<Draft, Problem> {
    let path = |field: &str| format!("events[{place}].{field}");
    let id = if new.event_id.is_empty() && new.unretained {
        None
    } else {
        Some(Uuid::try_parse(&new.event_id).map_err(|_| {
            Problem::invalid_field(path("event_id"), "is a UUID; only unretained events may go without")
        })?)
    };
    let Some(event) = new.event else { return Err(Problem::invalid_field(path("event"), "is missing")) };
    if event.name.is_empty() || event.name.chars().nth(EVENT_NAME_CHARS).is_some() {
        let reason = format!("has 1 to {EVENT_NAME_CHARS} characters");
        return Err(Problem::invalid_field(path("event.name"), reason));
    }
    let attributes = if event.attributes.is_empty() {
        Attributes::default()
    } else {
        attributes(&path("event.attributes"), &event.attributes)?
    };
    let audience = audience(&event, &path)?;
    let size = attributes.size() + event.data.len();
    Ok(Draft { id, retained: !new.unretained, audience, size, event })
}

fn audience(event: &GameEvent, path: &impl Fn(&str) -> String) -> Result<Audience, Problem> {
    match &event.audience {
        None => Ok(Audience::Everyone),
        Some(game_event::Audience::Team(name)) => Ok(Audience::Team(name.clone())),
        Some(game_event::Audience::ToPlayerId(player)) => {
            let player = Uuid::try_parse(player);
            player
                .map(Audience::Player)
                .map_err(|_| Problem::invalid_field(path("event.to_player_id"), "is not a UUID"))
        }
    }
}

pub(super) fn new_announcement(request: &events::CreateAnnouncementRequest) -> Result<NewAnnouncement, Problem> {
    let id = new_id("announcement_id", &request.announcement_id)?;
    let kind = AnnouncementKind::try_from(request.kind)
        .map_err(|_| Problem::invalid_field("kind", "is not an AnnouncementKind"))?;
    let kind = if kind == AnnouncementKind::Unspecified { AnnouncementKind::News } else { kind };
    if request.title.trim().is_empty() || request.title.chars().nth(TITLE_CHARS).is_some() {
        return Err(Problem::invalid_field("title", format!("has 1 to {TITLE_CHARS} characters")));
    }
    if request.text.chars().nth(TEXT_CHARS).is_some() {
        return Err(Problem::invalid_field("text", format!("has {TEXT_CHARS} characters at most")));
    }
    let attributes = attributes("attributes", &request.attributes)?;
    let region =
        game_api::Region::try_from(request.region).map_err(|_| Problem::invalid_field("region", "is not a Region"))?;
    let content = Content {
        kind,
        title: request.title.clone(),
        text: request.text.clone(),
        attributes,
        region: Region::from_api(region),
    };
    let lifetime = span("lifetime", request.lifetime, MINUTE, 90 * DAY)?.unwrap_or(DAY);
    Ok(NewAnnouncement { id, game: optional_id("game_id", &request.game_id)?, content, lifetime })
}

fn span(
    path: &str,
    given: Option<prost_types::Duration>,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let span = Duration::try_from(given).ok().filter(|span| (least..=most).contains(span));
    let seconds = (least.as_secs(), most.as_secs());
    span.map(Some).ok_or_else(|| Problem::invalid_field(path, format!("is {} s to {} s", seconds.0, seconds.1)))
}

/// Which announcements are asked for.
pub(super) struct AnnouncementPage {
    pub(super) game: Option<Uuid>,
    pub(super) after: Option<Place>,
    pub(super) size: usize,
}

pub(super) fn announcement_page(request: &events::ListAnnouncementsRequest) -> Result<AnnouncementPage, Problem> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size @ 1..=PAGE_SIZE_MAX) => size,
        _ => return Err(Problem::invalid_field("page_size", format!("is 1 to {PAGE_SIZE_MAX}, or 0 for the default"))),
    };
    let after = if request.page_token.is_empty() { None } else { Some(place(&request.page_token)?) };
    Ok(AnnouncementPage { game: optional_id("game_id", &request.game_id)?, after, size })
}

/// What [`super::tell_events::page_token`] wrote.
fn place(token: &str) -> Result<Place, Problem> {
    let read = |token: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (millis, id) = bytes.split_first_chunk::<8>()?;
        let nanos = i128::from(i64::from_be_bytes(*millis)) * 1_000_000;
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        Some(Place { created_at, id: Uuid::from_slice(id).ok()? })
    };
    read(token).ok_or_else(|| Problem::invalid_field("page_token", "is not the next_page_token of an answer"))
}

pub(super) fn device_state(request: presence_api::SetPresenceRequest) -> Result<DeviceState, Problem> {
    use presence_api::PresenceStatus::{Away, Offline, Online};
    match presence_api::PresenceStatus::try_from(request.status) {
        Ok(Online) => Ok(DeviceState::Online),
        Ok(Away) => Ok(DeviceState::Away),
        Ok(Offline) => Ok(DeviceState::Hidden),
        _ => {
            let reason = "is PRESENCE_STATUS_ONLINE, PRESENCE_STATUS_AWAY or PRESENCE_STATUS_OFFLINE";
            Err(Problem::invalid_field("status", reason))
        }
    }
}

pub(super) fn player_id(text: &str) -> Result<Uuid, Problem> {
    id("player_id", text)
}

pub(super) fn player_ids(texts: &[String]) -> Result<Vec<Uuid>, Problem> {
    if !(1..=PRESENCES_MAX).contains(&texts.len()) {
        return Err(Problem::invalid_field("player_ids", format!("has 1 to {PRESENCES_MAX} ids")));
    }
    texts.iter().enumerate().map(|(place, text)| id(&format!("player_ids[{place}]"), text)).collect()
}

pub(super) fn reports(request: &presence_api::ReportQueuedRequest) -> Result<(Vec<QueuedReport>, Duration), Problem> {
    if !(1..=REPORTS_MAX).contains(&request.reports.len()) {
        return Err(Problem::invalid_field("reports", format!("has 1 to {REPORTS_MAX} reports")));
    }
    let report = |(place, report): (usize, &presence_api::QueuedReport)| {
        Ok(QueuedReport {
            player: id(&format!("reports[{place}].player_id"), &report.player_id)?,
            game: id(&format!("reports[{place}].game_id"), &report.game_id)?,
            queued: report.queued,
        })
    };
    let reports = request.reports.iter().enumerate().map(report).collect::<Result<_, Problem>>()?;
    let lifetime = span("time_to_live", request.time_to_live, Duration::from_secs(1), 10 * MINUTE)?;
    Ok((reports, lifetime.ok_or_else(|| Problem::invalid_field("time_to_live", "is missing"))?))
}

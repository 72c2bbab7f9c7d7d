//! What the domain says of sessions and entities, as messages: those of the API, of the live events and of the log.

use pkg_api::events::v1 as events;
use pkg_api::events::v1::event::Payload;
use pkg_api::game::v1 as api;
use pkg_api::log::v1 as log;
use pkg_api::log::v1::record;
use pkg_definition::TeamName;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::entity::{Controller, Entity, EntityChange, NewOwner};
use crate::session::{
    End, EndReason, Errand, LeaveReason, PlayerResult, Results, Seat, Session, SessionEvent, State, Visibility,
};
use crate::store::SessionPlace;
use crate::timestamps::timestamp;

/// The session, with its join code for those who may see it.
pub fn session(session: &Session, shows_code: bool) -> api::Session {
    let code = session.join_code.as_ref().filter(|_| shows_code);
    api::Session {
        session_id: session.id.to_string(),
        game_id: session.game.to_string(),
        name: session.name.clone(),
        state: state(session.state).into(),
        region: api::Region::from(session.region).into(),
        visibility: visibility(session.visibility).into(),
        join_code: code.map(|code| code.as_str().to_owned()).unwrap_or_default(),
        owner_player_id: id(session.owner),
        max_players: count(session.max_players),
        teams: session.teams.iter().map(|team| self::team(&team.name, team.max_players)).collect(),
        seats: session.seats.iter().map(seat).collect(),
        attributes: session.attributes.to_api(),
        data: session.data.to_vec(),
        attributes_version: session.attributes_version,
        version: session.version,
        definition_revision: session.definition_revision,
        queue_key: session.origin.as_ref().map(|origin| origin.queue_key.clone()).unwrap_or_default(),
        match_id: id(session.origin.as_ref().map(|origin| origin.match_id)),
        create_time: Some(timestamp(session.created_at)),
        start_time: session.started_at.map(timestamp),
        end_time: session.end.as_ref().map(|end| timestamp(end.at)),
        end_reason: end_reason(session.end.as_ref()).into(),
        results: session.end.as_ref().and_then(|end| end.results.as_ref()).map(results),
        paused_duration: Some(milliseconds(session.paused_ms)),
    }
}

/// The session in a list.
pub fn summary(session: &Session) -> api::SessionSummary {
    let team = |team: &crate::session::Team| api::TeamSummary {
        name: team.name.as_str().to_owned(),
        player_count: count(session.team_size(&team.name)),
        max_players: count(team.max_players),
    };
    api::SessionSummary {
        session_id: session.id.to_string(),
        game_id: session.game.to_string(),
        name: session.name.clone(),
        state: state(session.state).into(),
        region: api::Region::from(session.region).into(),
        owner_player_id: id(session.owner),
        player_count: count(session.seats.len()),
        max_players: count(session.max_players),
        teams: session.teams.iter().map(team).collect(),
        attributes: session.attributes.to_api(),
        create_time: Some(timestamp(session.created_at)),
        visibility: visibility(session.visibility).into(),
    }
}

/// What has become of a session that nobody may know any more.
pub fn status(session_id: Uuid, session: Option<&Session>) -> api::SessionStatus {
    let players = session.into_iter().flat_map(|session| &session.seats).map(|seat| seat.player.to_string());
    let state = session.map_or(api::SessionState::Unspecified, |session| state(session.state));
    api::SessionStatus { session_id: session_id.to_string(), state: state.into(), player_ids: players.collect() }
}

/// The state's name in the API.
pub fn state(state: State) -> api::SessionState {
    match state {
        State::Created => api::SessionState::Created,
        State::Waiting => api::SessionState::Waiting,
        State::Started => api::SessionState::Started,
        State::Paused => api::SessionState::Paused,
        State::Finishing => api::SessionState::Finishing,
        State::Finished => api::SessionState::Finished,
        State::Deleted => api::SessionState::Deleted,
    }
}

/// An entity.
pub fn entity(entity: &Entity) -> api::Entity {
    let (controller, player) = controller(entity.controller);
    api::Entity {
        entity_id: entity.id.to_string(),
        session_id: entity.session.to_string(),
        game_id: entity.game.to_string(),
        name: entity.name.clone(),
        r#type: entity.kind.clone(),
        controller: controller.into(),
        controller_player_id: id(player),
        owner_player_id: id(entity.owner),
        attributes: entity.attributes.to_api(),
        data: entity.data.to_vec(),
        version: entity.version,
        create_time: Some(timestamp(entity.created_at)),
        update_time: Some(timestamp(entity.updated_at)),
    }
}

/// Something that happened in a session, by this player if one did it.
pub fn event(event: &SessionEvent, event_id: Uuid, player: Option<Uuid>) -> events::Event {
    let payload = match event {
        SessionEvent::Joined { seat, version } => {
            Payload::PlayerJoined(events::PlayerJoined { seat: Some(self::seat(seat)), session_version: *version })
        }
        SessionEvent::Left { player, reason, kick_reason, version } => Payload::PlayerLeft(events::PlayerLeft {
            player_id: player.to_string(),
            reason: leave_reason(*reason).into(),
            kick_reason: kick_reason.clone(),
            session_version: *version,
        }),
        SessionEvent::ConnectionChanged { seat, version } => {
            Payload::PlayerConnectionChanged(events::PlayerConnectionChanged {
                seat: Some(self::seat(seat)),
                session_version: *version,
            })
        }
        SessionEvent::StateChanged { old, new, version } => Payload::SessionStateChanged(events::SessionStateChanged {
            old_state: old.map_or(api::SessionState::Unspecified, state).into(),
            new_state: state(*new).into(),
            session_version: *version,
        }),
        SessionEvent::OwnerChanged { old, new, version } => Payload::SessionOwnerChanged(events::SessionOwnerChanged {
            old_owner_player_id: id(*old),
            new_owner_player_id: id(*new),
            session_version: *version,
        }),
        SessionEvent::AttributesChanged { attributes, data, name, visibility, attributes_version, version } => {
            Payload::SessionAttributesChanged(events::SessionAttributesChanged {
                set_attributes: attributes.set.to_api(),
                removed_attributes: attributes.removed.iter().map(|key| key.as_str().to_owned()).collect(),
                data: data.as_ref().map(|data| data.to_vec()),
                name: name.clone(),
                visibility: visibility.map(|visibility| self::visibility(visibility).into()),
                attributes_version: *attributes_version,
                session_version: *version,
            })
        }
        SessionEvent::Ended { reason, results, version } => Payload::SessionFinished(events::SessionFinished {
            reason: ended(*reason).into(),
            results: results.as_ref().map(self::results),
            session_version: *version,
        }),
    };
    told(event_id, player, payload)
}

/// Changes of entities, all at once.
pub fn entities_changed(changes: &[EntityChange], event_id: Uuid, player: Option<Uuid>) -> events::Event {
    let mut message = events::EntitiesChanged::default();
    for change in changes {
        match change {
            EntityChange::Created(entity) => message.created.push(self::entity(entity)),
            EntityChange::Updated { id, version, attributes, name, data, controller, owner } => {
                let controller = controller.map(self::controller);
                message.updated.push(api::EntityUpdate {
                    entity_id: id.to_string(),
                    version: *version,
                    set_attributes: attributes.set.to_api(),
                    remove_attributes: attributes.removed.iter().map(|key| key.as_str().to_owned()).collect(),
                    name: name.clone(),
                    data: data.as_ref().map(|data| data.to_vec()),
                    controller: controller.map(|(controller, _)| controller.into()),
                    controller_player_id: controller.map(|(_, player)| self::id(player)),
                    owner_player_id: owner.map(|NewOwner(owner)| self::id(owner)),
                });
            }
            EntityChange::Deleted { id, version } => {
                message.deleted.push(api::EntityDeletion { entity_id: id.to_string(), version: *version });
            }
        }
    }
    told(event_id, player, Payload::EntitiesChanged(message))
}

/// News for a player who was given a seat, or lost one.
pub fn seat_changed(session: &Session, event_id: Uuid, lost: Option<LeaveReason>) -> events::Event {
    let reason = lost.map_or(api::LeaveReason::Unspecified, leave_reason);
    let payload = Payload::SeatChanged(events::SeatChanged {
        session_id: session.id.to_string(),
        game_id: session.game.to_string(),
        seated: lost.is_none(),
        reason: reason.into(),
    });
    told(event_id, None, payload)
}

/// What an errand of a session records.
pub fn record(session: &Session, errand: &Errand, now: OffsetDateTime) -> log::Record {
    let queue_key = session.origin.as_ref().map(|origin| origin.queue_key.clone()).unwrap_or_default();
    let match_id = id(session.origin.as_ref().map(|origin| origin.match_id));
    let (session_id, game_id) = (session.id.to_string(), session.game.to_string());
    let key = format!("{game_id}/{queue_key}");
    let (record_id, event) = match errand {
        Errand::RecordLeft { id, player, reason, at } => {
            let left = log::SeatLeft {
                session_id,
                game_id,
                queue_key,
                match_id,
                player_id: player.to_string(),
                reason: leave_reason(*reason).into(),
                time: Some(timestamp(*at)),
            };
            (*id, record::Event::SeatLeft(left))
        }
        Errand::RecordEnd | Errand::TellPlayer { .. } => {
            let end = session.end.as_ref();
            let ended = log::SessionEnded {
                session_id,
                game_id,
                queue_key,
                match_id,
                region: api::Region::from(session.region).into(),
                create_time: Some(timestamp(session.created_at)),
                start_time: session.started_at.map(timestamp),
                end_time: end.map(|end| timestamp(end.at)),
                reason: end_reason(end).into(),
                results: end.and_then(|end| end.results.as_ref()).map(results),
                player_ids: session.seats.iter().map(|seat| seat.player.to_string()).collect(),
                paused_duration: Some(milliseconds(session.paused_ms)),
                definition_revision: session.definition_revision,
                actor_id: id(end.and_then(|end| end.actor)),
            };
            (session.id, record::Event::SessionEnded(ended))
        }
    };
    recorded(record_id, key, event, now)
}

/// That a session is gone with the store that held it: nothing more is known of it, its queue neither.
pub fn lost(game: Uuid, place: SessionPlace, now: OffsetDateTime) -> log::Record {
    let ended = log::SessionEnded {
        session_id: place.session.to_string(),
        game_id: game.to_string(),
        create_time: Some(timestamp(pkg_db::from_millis(place.created_ms))),
        end_time: Some(timestamp(now)),
        reason: api::SessionEndReason::Lost.into(),
        ..log::SessionEnded::default()
    };
    recorded(place.session, format!("{game}/"), record::Event::SessionEnded(ended), now)
}

fn recorded(record_id: Uuid, key: String, event: record::Event, now: OffsetDateTime) -> log::Record {
    log::Record {
        record_id: record_id.to_string(),
        time: Some(timestamp(now)),
        key,
        request_id: String::new(),
        event: Some(event),
    }
}

fn told(event_id: Uuid, player: Option<Uuid>, payload: Payload) -> events::Event {
    events::Event {
        event_id: event_id.to_string(),
        player_id: id(player),
        payload: Some(payload),
        ..events::Event::default()
    }
}

fn seat(seat: &Seat) -> api::Seat {
    api::Seat {
        player_id: seat.player.to_string(),
        team: team_name(seat.team.as_ref()),
        join_time: Some(timestamp(seat.joined_at)),
        connected: seat.connected,
        expire_time: seat.expires_at.map(timestamp),
    }
}

fn team(name: &TeamName, max_players: usize) -> api::Team {
    api::Team { name: name.as_str().to_owned(), max_players: count(max_players) }
}

fn team_name(name: Option<&TeamName>) -> String {
    name.map(|name| name.as_str().to_owned()).unwrap_or_default()
}

fn results(results: &Results) -> api::SessionResults {
    let player = |result: &PlayerResult| api::PlayerResult {
        player_id: result.player.to_string(),
        team: team_name(result.team.as_ref()),
        placement: i32::try_from(result.placement).unwrap_or(i32::MAX),
        score: result.score,
        attributes: result.attributes.to_api(),
        left_early: result.left_early,
    };
    api::SessionResults {
        players: results.players.iter().map(player).collect(),
        attributes: results.attributes.to_api(),
    }
}

fn visibility(visibility: Visibility) -> api::SessionVisibility {
    match visibility {
        Visibility::Public => api::SessionVisibility::Public,
        Visibility::Private => api::SessionVisibility::Private,
    }
}

fn end_reason(end: Option<&End>) -> api::SessionEndReason {
    end.map_or(api::SessionEndReason::Unspecified, |end| ended(end.reason))
}

fn ended(reason: EndReason) -> api::SessionEndReason {
    match reason {
        EndReason::Completed => api::SessionEndReason::Completed,
        EndReason::Abandoned => api::SessionEndReason::Abandoned,
        EndReason::TooLong => api::SessionEndReason::TooLong,
        EndReason::Deleted => api::SessionEndReason::Deleted,
    }
}

fn leave_reason(reason: LeaveReason) -> api::LeaveReason {
    match reason {
        LeaveReason::Left => api::LeaveReason::Left,
        LeaveReason::Kicked => api::LeaveReason::Kicked,
        LeaveReason::ConnectionLost => api::LeaveReason::ConnectionLost,
        LeaveReason::NeverCame => api::LeaveReason::NeverCame,
        LeaveReason::AccountGone => api::LeaveReason::AccountGone,
    }
}

fn controller(controller: Controller) -> (api::EntityController, Option<Uuid>) {
    match controller {
        Controller::Server => (api::EntityController::Server, None),
        Controller::Player(player) => (api::EntityController::Player, Some(player)),
    }
}

fn id(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn milliseconds(milliseconds: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(milliseconds / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(milliseconds % 1_000 * 1_000_000).unwrap_or_default(),
    }
}

//! Requests of sessions, made into what they mean. Past this, nothing can be invalid.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use pkg_api::game::v1 as api;
use pkg_definition::{AttributeFilter, AttributeKey, Attributes, Key, Region, TeamName, Violation};
use pkg_middleware::{Actor, Problem};
use uuid::{Uuid, Version};

use crate::attributes::AttributeChange;
use crate::session::{Change, JoinCode, MAX_TEAMS, PlayerResult, Results, Team, Visibility};
use crate::sessions::{Creation, MatchCreation, MatchTeam, OpenFilter, SeatQuery};
use crate::store::SessionPlace;

const NAME_CHARS: usize = 100;
const REASON_CHARS: usize = 200;
const DATA_BYTES: usize = 64 * 1024;
/// Attributes of one player's result.
const RESULT_ATTRIBUTES: usize = 16;
/// The most players of a session, and those who were in it before.
const RESULTS_MAX: usize = 2_000;
const FILTERS_MAX: usize = 8;
const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 100;
const BATCH_MAX: usize = 1_000;
const MATCH_PLAYERS_MAX: usize = 1_000;

pub(super) fn id(path: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::invalid_field(path, "is not a UUID"))
}

pub(super) fn optional_id(path: &str, text: &str) -> Result<Option<Uuid>, Problem> {
    if text.is_empty() { Ok(None) } else { id(path, text).map(Some) }
}

/// An id that a client made.
pub(super) fn new_id(path: &str, text: &str) -> Result<Option<Uuid>, Problem> {
    let given = optional_id(path, text)?;
    if given.is_some_and(|given| given.get_version() != Some(Version::SortRand)) {
        return Err(Problem::invalid_field(path, "is not a UUIDv7"));
    }
    Ok(given)
}

pub(super) fn text(path: &str, text: &str, most: usize) -> Result<String, Problem> {
    let fits = text.chars().nth(most).is_none() && !text.chars().any(char::is_control);
    if fits {
        return Ok(text.to_owned());
    }
    Err(Problem::invalid_field(path, format!("has {most} characters at most, none of them a control character")))
}

pub(super) fn data(path: &str, data: Vec<u8>, most: usize) -> Result<Bytes, Problem> {
    if data.len() <= most {
        Ok(data.into())
    } else {
        Err(Problem::invalid_field(path, format!("has {most} bytes at most")))
    }
}

pub(super) fn attributes(path: &str, given: &HashMap<String, api::AttributeValue>) -> Result<Attributes, Problem> {
    Attributes::parse(path, given).map_err(|violations| invalid("", violations))
}

/// What is set and removed.
pub(super) fn attribute_change(
    under: &str,
    set: &HashMap<String, api::AttributeValue>,
    remove: &[String],
) -> Result<AttributeChange, Problem> {
    let path = |field: &str| format!("{under}{field}");
    let key = |(place, text): (usize, &String)| {
        let invalid = || Problem::invalid_field(path(&format!("remove_attributes[{place}]")), "is not a key");
        AttributeKey::parse(text).ok_or_else(invalid)
    };
    Ok(AttributeChange {
        set: attributes(&path("set_attributes"), set)?,
        remove: remove.iter().enumerate().map(key).collect::<Result<BTreeSet<_>, _>>()?,
    })
}

/// Everything that is wrong below a field.
fn invalid(field: &str, violations: Vec<Violation>) -> Problem {
    let problem = Problem::new(tonic::Code::InvalidArgument, "INVALID_FIELD", "a field of the request is not valid");
    let below = |violation: Violation| if field.is_empty() { violation } else { violation.under(field) };
    violations.into_iter().map(below).fold(problem, |problem, it| problem.field(it.path, it.problem))
}

pub(super) fn team_name(path: &str, text: &str) -> Result<Option<TeamName>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || Problem::invalid_field(path, "has 1 to 32 letters, digits, \"_\" or \"-\"");
    TeamName::parse(text).map(Some).ok_or_else(invalid)
}

/// A region that a session is in; everywhere without.
fn region(path: &str, given: i32) -> Result<Option<Region>, Problem> {
    let given = api::Region::try_from(given).map_err(|_| Problem::invalid_field(path, "is not a Region"))?;
    Ok(Region::from_api(given))
}

fn visibility(given: i32) -> Result<Visibility, Problem> {
    match api::SessionVisibility::try_from(given) {
        Ok(api::SessionVisibility::Unspecified | api::SessionVisibility::Public) => Ok(Visibility::Public),
        Ok(api::SessionVisibility::Private) => Ok(Visibility::Private),
        Err(_) => Err(Problem::invalid_field("visibility", "is not a SessionVisibility")),
    }
}

pub(super) fn creation(request: api::CreateSessionRequest) -> Result<Creation, Problem> {
    let max_players = match usize::try_from(request.max_players) {
        Ok(0) => None,
        Ok(players) => Some(players),
        Err(_) => return Err(Problem::invalid_field("max_players", "is 0 or more")),
    };
    Ok(Creation {
        id: new_id("session_id", &request.session_id)?,
        game: id("game_id", &request.game_id)?,
        name: text("name", &request.name, NAME_CHARS)?,
        region: region("region", request.region)?.unwrap_or(Region::Global),
        visibility: visibility(request.visibility)?,
        max_players,
        teams: teams(&request.teams)?,
        attributes: attributes("attributes", &request.attributes)?,
        data: data("data", request.data, DATA_BYTES)?,
        team: team_name("team", &request.team)?,
    })
}

fn teams(given: &[api::Team]) -> Result<Vec<Team>, Problem> {
    if given.len() > MAX_TEAMS {
        return Err(Problem::invalid_field("teams", format!("has {MAX_TEAMS} teams at most")));
    }
    let mut teams: Vec<Team> = Vec::with_capacity(given.len());
    for (place, team) in given.iter().enumerate() {
        let path = |field: &str| format!("teams[{place}].{field}");
        let missing = || Problem::invalid_field(path("name"), "is missing");
        let name = team_name(&path("name"), &team.name)?.ok_or_else(missing)?;
        if teams.iter().any(|other| other.name == name) {
            return Err(Problem::invalid_field(path("name"), "is there already"));
        }
        let max_players = usize::try_from(team.max_players).ok().filter(|players| *players > 0);
        let max_players = max_players.ok_or_else(|| Problem::invalid_field(path("max_players"), "is 1 or more"))?;
        teams.push(Team { name, max_players });
    }
    Ok(teams)
}

/// A join code that was typed; none if it is empty.
pub(super) fn join_code(text: &str) -> Result<Option<JoinCode>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    JoinCode::parse(text).map(Some).map_err(|error| Problem::invalid_field("join_code", error.to_string()))
}

pub(super) fn required_join_code(text: &str) -> Result<JoinCode, Problem> {
    join_code(text)?.ok_or_else(|| Problem::invalid_field("join_code", "is missing"))
}

/// Whom to seat: the caller, or whom a game server names.
pub(super) fn joiner(text: &str, by: Actor) -> Result<Uuid, Problem> {
    match (optional_id("player_id", text)?, by.person()) {
        (Some(player), None) => Ok(player),
        (None, Some(person)) => Ok(person),
        (Some(player), Some(person)) if player == person => Ok(person),
        (Some(_), Some(_)) => Err(Problem::invalid_field("player_id", "only game servers name somebody else")),
        (None, None) => Err(Problem::invalid_field("player_id", "a game server says whom to seat")),
    }
}

pub(super) fn kick_reason(given: &str) -> Result<String, Problem> {
    text("reason", given, REASON_CHARS)
}

pub(super) fn change(request: api::UpdateSessionRequest) -> Result<Change, Problem> {
    if request.attributes_version < 1 {
        return Err(Problem::invalid_field("attributes_version", "is the one that the change rests on: 1 or more"));
    }
    let name = request.name.as_deref().map(|name| text("name", name, NAME_CHARS)).transpose()?;
    let visibility = request.visibility.map(|given| match api::SessionVisibility::try_from(given) {
        Ok(api::SessionVisibility::Unspecified) => Err(Problem::invalid_field("visibility", "is public or private")),
        _ => visibility(given),
    });
    Ok(Change {
        attributes_version: request.attributes_version,
        attributes: attribute_change("", &request.set_attributes, &request.remove_attributes)?,
        data: request.data.map(|given| data("data", given, DATA_BYTES)).transpose()?,
        name,
        visibility: visibility.transpose()?,
    })
}

pub(super) fn results(given: Option<api::SessionResults>) -> Result<Results, Problem> {
    let given = given.ok_or_else(|| Problem::invalid_field("results", "is missing"))?;
    if given.players.len() > RESULTS_MAX {
        return Err(Problem::invalid_field("results.players", format!("has {RESULTS_MAX} players at most")));
    }
    let players = given.players.iter().enumerate().map(|(place, result)| {
        let path = |field: &str| format!("results.players[{place}].{field}");
        let placement = u32::try_from(result.placement).ok().filter(|placement| *placement > 0);
        let attributes = attributes(&path("attributes"), &result.attributes)?;
        if attributes.len() > RESULT_ATTRIBUTES {
            return Err(Problem::invalid_field(path("attributes"), format!("has {RESULT_ATTRIBUTES} keys at most")));
        }
        Ok(PlayerResult {
            player: id(&path("player_id"), &result.player_id)?,
            team: team_name(&path("team"), &result.team)?,
            placement: placement.ok_or_else(|| Problem::invalid_field(path("placement"), "is 1 or more"))?,
            score: result.score,
            attributes,
            left_early: result.left_early,
        })
    });
    Ok(Results {
        players: players.collect::<Result<_, _>>()?,
        attributes: attributes("results.attributes", &given.attributes)?,
    })
}

/// Which part of a list is asked for.
pub(super) struct Page {
    pub(super) after: Option<SessionPlace>,
    pub(super) size: usize,
}

pub(super) fn page(size: i32, token: &str) -> Result<Page, Problem> {
    let size = page_size(size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?;
    let after = if token.is_empty() { None } else { Some(place(token)?) };
    Ok(Page { after, size })
}

pub(super) fn page_size(given: i32, default: usize, most: usize) -> Result<usize, Problem> {
    match usize::try_from(given) {
        Ok(0) => Ok(default),
        Ok(size) if size <= most => Ok(size),
        _ => Err(Problem::invalid_field("page_size", format!("is 1 to {most}, or 0 for {default}"))),
    }
}

pub(super) fn invalid_page_token() -> Problem {
    Problem::invalid_field("page_token", "is not the next_page_token of an answer")
}

/// The token that asks for what comes after a place.
pub(super) fn page_token(place: SessionPlace) -> String {
    let bytes = [place.created_ms.to_be_bytes().as_slice(), place.session.as_bytes()].concat();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn place(token: &str) -> Result<SessionPlace, Problem> {
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (created, session) = bytes.split_first_chunk::<8>()?;
        let created_ms = i64::from_be_bytes(*created);
        Some(SessionPlace { created_ms, session: Uuid::from_slice(session).ok()? }).filter(|_| created_ms >= 0)
    };
    read().ok_or_else(invalid_page_token)
}

pub(super) fn open_filter(request: &api::ListOpenSessionsRequest) -> Result<OpenFilter, Problem> {
    if request.attributes.len() > FILTERS_MAX {
        return Err(Problem::invalid_field("attributes", format!("has {FILTERS_MAX} filters at most")));
    }
    let filters = request.attributes.iter().enumerate().map(|(place, filter)| {
        AttributeFilter::parse(filter).map_err(|violations| invalid(&format!("attributes[{place}]"), violations))
    });
    Ok(OpenFilter { region: region("region", request.region)?, attributes: filters.collect::<Result<_, _>>()? })
}

pub(super) fn match_creation(request: &api::CreateMatchSessionRequest) -> Result<MatchCreation, Problem> {
    let key = Key::parse(&request.queue_key).ok_or_else(|| Problem::invalid_field("queue_key", "is not a key"))?;
    Ok(MatchCreation {
        match_id: id("match_id", &request.match_id)?,
        session: id("session_id", &request.session_id)?,
        game: id("game_id", &request.game_id)?,
        queue_key: key.as_str().to_owned(),
        revision: request.definition_revision,
        region: region("region", request.region)?.unwrap_or(Region::Global),
        teams: match_teams(&request.teams)?,
    })
}

fn match_teams(given: &[api::MatchSessionTeam]) -> Result<Vec<MatchTeam>, Problem> {
    let players: usize = given.iter().map(|team| team.player_ids.len()).sum();
    if given.len() > MAX_TEAMS || !(1..=MATCH_PLAYERS_MAX).contains(&players) {
        let reason = format!("has {MAX_TEAMS} teams at most, and 1 to {MATCH_PLAYERS_MAX} players");
        return Err(Problem::invalid_field("teams", reason));
    }
    let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut teams = Vec::with_capacity(given.len());
    for (place, team) in given.iter().enumerate() {
        let path = |field: &str| format!("teams[{place}].{field}");
        let name = team_name(&path("name"), &team.name)?;
        if !names.insert(name.clone()) || (name.is_none() && given.len() > 1) {
            return Err(Problem::invalid_field(path("name"), "names differ; a single team may have none"));
        }
        let mut players = Vec::with_capacity(team.player_ids.len());
        for (number, player) in team.player_ids.iter().enumerate() {
            let path = path(&format!("player_ids[{number}]"));
            let player = id(&path, player)?;
            if !seen.insert(player) {
                return Err(Problem::invalid_field(path, "is there already"));
            }
            players.push(player);
        }
        if players.is_empty() {
            return Err(Problem::invalid_field(path("player_ids"), "has somebody in it"));
        }
        teams.push(MatchTeam { name, players });
    }
    Ok(teams)
}

pub(super) fn seat_queries(given: &[api::SeatQuery]) -> Result<Vec<SeatQuery>, Problem> {
    check_batch("queries", given.len())?;
    let query = |(place, query): (usize, &api::SeatQuery)| {
        let path = |field: &str| format!("queries[{place}].{field}");
        Ok(SeatQuery {
            game: id(&path("game_id"), &query.game_id)?,
            session: id(&path("session_id"), &query.session_id)?,
            player: id(&path("player_id"), &query.player_id)?,
        })
    };
    given.iter().enumerate().map(query).collect()
}

pub(super) fn session_ids(given: &[String]) -> Result<Vec<Uuid>, Problem> {
    check_batch("session_ids", given.len())?;
    given.iter().enumerate().map(|(place, text)| id(&format!("session_ids[{place}]"), text)).collect()
}

fn check_batch(path: &'static str, count: usize) -> Result<(), Problem> {
    if (1..=BATCH_MAX).contains(&count) {
        return Ok(());
    }
    Err(Problem::invalid_field(path, format!("has 1 to {BATCH_MAX} elements")))
}

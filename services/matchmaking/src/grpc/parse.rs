//! Requests, made into what they mean. Past this, nothing can be invalid.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pkg_api::game::v1 as game_api;
use pkg_api::matchmaking::v1 as api;
use pkg_definition::{Attributes, Key, Region, Violation};
use pkg_middleware::Problem;
use tonic::Code;
use uuid::{Uuid, Version};

use crate::rating::POINTS_MAX;
use crate::store::{QueueId, RatingPlace};
use crate::ticket::{Latencies, Regions};
use crate::tickets::{Seed, Wish, WishedPlayer};

/// The most players of a team that a queue may have.
const PLAYERS_MAX: usize = 100;
const PROPERTIES_MAX: usize = 16;
const LATENCY_MAX: Duration = Duration::from_secs(10);
const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 100;

pub(super) fn id(path: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::invalid_field(path, "is not a UUID"))
}

pub(super) fn optional_id(path: &str, text: &str) -> Result<Option<Uuid>, Problem> {
    if text.is_empty() { Ok(None) } else { id(path, text).map(Some) }
}

pub(super) fn queue_key(text: &str) -> Result<Key, Problem> {
    let invalid = || Problem::invalid_field("queue_key", "has 1 to 64 lower-case letters, digits, \"-\" or \"_\"");
    Key::parse(text).ok_or_else(invalid)
}

/// What somebody wants to wait for.
pub(super) fn wish(request: &api::CreateTicketRequest) -> Result<Wish, Problem> {
    let id = optional_id("ticket_id", &request.ticket_id)?;
    if id.is_some_and(|id| id.get_version() != Some(Version::SortRand)) {
        return Err(Problem::invalid_field("ticket_id", "is not a UUIDv7"));
    }
    at_most("players", request.players.len(), PLAYERS_MAX)?;
    let players = request.players.iter().enumerate().map(|(place, given)| player(&format!("players[{place}]"), given));
    Ok(Wish {
        id,
        game: self::id("game_id", &request.game_id)?,
        queue: queue_key(&request.queue_key)?,
        players: players.collect::<Result<_, _>>()?,
        regions: regions(&request.regions)?,
    })
}

fn player(path: &str, given: &api::TicketPlayer) -> Result<WishedPlayer, Problem> {
    let properties = format!("{path}.properties");
    at_most(&properties, given.properties.len(), PROPERTIES_MAX)?;
    Ok(WishedPlayer {
        player: optional_id(&format!("{path}.player_id"), &given.player_id)?,
        latencies: latencies(&format!("{path}.latencies"), &given.latencies)?,
        properties: Attributes::parse(&properties, &given.properties).map_err(invalid)?,
    })
}

fn latencies(path: &str, given: &[api::RegionLatency]) -> Result<Latencies, Problem> {
    at_most(path, given.len(), Region::ALL.len())?;
    let mut seen = BTreeSet::new();
    let latencies = given.iter().enumerate().map(|(place, given)| {
        let region = once(&format!("{path}[{place}].region"), given.region, &mut seen)?;
        let latency = given.latency.and_then(|latency| Duration::try_from(latency).ok());
        let latency = latency.filter(|latency| *latency <= LATENCY_MAX);
        let invalid = || Problem::invalid_field(format!("{path}[{place}].latency"), "is 0 s to 10 s");
        Ok((region, latency.ok_or_else(invalid)?))
    });
    latencies.collect()
}

fn regions(given: &[i32]) -> Result<Regions, Problem> {
    at_most("regions", given.len(), Region::ALL.len())?;
    let mut seen = BTreeSet::new();
    let regions = given.iter().enumerate().map(|(place, given)| once(&format!("regions[{place}]"), *given, &mut seen));
    regions.collect()
}

/// A region that was not there before.
fn once(path: &str, given: i32, seen: &mut BTreeSet<Region>) -> Result<Region, Problem> {
    let region = game_api::Region::try_from(given).ok().and_then(Region::from_api);
    let region = region.ok_or_else(|| Problem::invalid_field(path, "is a region, such as REGION_EU_WEST"))?;
    if seen.insert(region) {
        Ok(region)
    } else {
        Err(Problem::invalid_field(path, "is there already: each region once"))
    }
}

fn at_most(path: &str, given: usize, most: usize) -> Result<(), Problem> {
    if given <= most { Ok(()) } else { Err(Problem::invalid_field(path, format!("has {most} elements at most"))) }
}

/// Everything that is wrong, place by place.
fn invalid(violations: Vec<Violation>) -> Problem {
    let problem = Problem::new(Code::InvalidArgument, "INVALID_FIELD", "a field of the request is not valid");
    violations.into_iter().fold(problem, |problem, it| problem.field(it.path, it.problem))
}

/// A rating to begin with.
pub(super) fn seed(request: &api::SeedRatingRequest) -> Result<Seed, Problem> {
    let within = |number: f64| number.abs() <= POINTS_MAX;
    if !within(request.skill) {
        let problem = format!("is a finite number, {POINTS_MAX} at most and -{POINTS_MAX} at least");
        return Err(Problem::invalid_field("skill", problem));
    }
    if request.uncertainty.is_some_and(|uncertainty| uncertainty <= 0.0 || !within(uncertainty)) {
        return Err(Problem::invalid_field("uncertainty", format!("is above 0, and {POINTS_MAX} at most")));
    }
    Ok(Seed { skill: request.skill, uncertainty: request.uncertainty })
}

pub(super) fn page_size(size: i32) -> Result<usize, Problem> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size @ 1..=PAGE_SIZE_MAX) => Ok(size),
        _ => Err(Problem::invalid_field("page_size", format!("is 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}"))),
    }
}

/// Where a page begins; `None` for the first one.
pub(super) fn page_token(token: &str) -> Result<Option<RatingPlace>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let content = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let place = content.and_then(|content| place(&content));
    place.map(Some).ok_or_else(|| Problem::invalid_field("page_token", "is not the next_page_token of an answer"))
}

fn place(content: &[u8]) -> Option<RatingPlace> {
    let (updated, rest) = content.split_at_checked(size_of::<i64>())?;
    let (game, key) = rest.split_at_checked(size_of::<Uuid>())?;
    let queue = QueueId { game: Uuid::from_slice(game).ok()?, key: Key::parse(std::str::from_utf8(key).ok()?)? };
    Some(RatingPlace { updated_ms: i64::from_be_bytes(updated.try_into().ok()?), queue })
}

/// The token that asks for what comes after a place.
pub(super) fn to_page_token(place: &RatingPlace) -> String {
    let RatingPlace { updated_ms, queue } = place;
    let content = [&updated_ms.to_be_bytes()[..], queue.game.as_bytes(), queue.key.as_str().as_bytes()].concat();
    BASE64_URL_SAFE_NO_PAD.encode(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_page_token_is_read_as_it_was_written(updated_ms: i64, game: u128, key in "[a-z0-9_-]{1,64}") {
            let queue = QueueId { game: Uuid::from_u128(game), key: Key::parse(&key).unwrap() };
            let place = RatingPlace { updated_ms, queue };
            prop_assert_eq!(page_token(&to_page_token(&place)).unwrap(), Some(place));
        }

        #[test]
        fn no_token_makes_it_panic(token: String) {
            let _ = page_token(&token);
        }
    }
}

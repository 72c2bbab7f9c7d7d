//! Requests, made into what they mean. Past this, nothing can be invalid.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pkg_api::leaderboard::v1::{ListPlayerMatchesRequest, ListSessionResultsRequest};
use pkg_definition::Key;
use pkg_middleware::Problem;
use uuid::Uuid;

use crate::grpc::page_token;
use crate::grpc::parse::{PAGE, id, optional_id};
use crate::match_reading::Wished;
use crate::store::{PlayerMatchPlace, ResultPlace};

pub(super) fn player_matches(
    request: &ListPlayerMatchesRequest,
) -> Result<(Wished, Option<PlayerMatchPlace>, usize), Problem> {
    let wished = Wished {
        player: id("player_id", &request.player_id)?,
        game: optional_id("game_id", &request.game_id)?,
        queue: optional_queue(&request.queue_key)?,
    };
    if wished.queue.is_some() && wished.game.is_none() {
        return Err(Problem::invalid_field("game_id", "is missing: queue_key names a queue of a game"));
    }
    Ok((wished, place(&request.page_token, player_match_place)?, PAGE.of(request.page_size)?))
}

pub(super) fn session_results(
    request: &ListSessionResultsRequest,
) -> Result<(Uuid, Option<ResultPlace>, usize), Problem> {
    let after = place(&request.page_token, result_place)?;
    Ok((id("session_id", &request.session_id)?, after, PAGE.of(request.page_size)?))
}

fn optional_queue(text: &str) -> Result<Option<Key>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || Problem::invalid_field("queue_key", "has 1 to 64 lower-case letters, digits, \"-\" or \"_\"");
    Key::parse(text).map(Some).ok_or_else(invalid)
}

/// What a page token says; `None` for the first page.
fn place<T>(token: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let content = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let found = content.and_then(|content| read(&content));
    found.map(Some).ok_or_else(page_token::invalid)
}

fn player_match_place(content: &[u8]) -> Option<PlayerMatchPlace> {
    let (ended, session) = content.split_first_chunk()?;
    Some(PlayerMatchPlace { ended_ms: i64::from_be_bytes(*ended), session: Uuid::from_slice(session).ok()? })
}

fn result_place(content: &[u8]) -> Option<ResultPlace> {
    let (placement, number) = content.split_first_chunk()?;
    let number = u32::from_be_bytes(number.try_into().ok()?);
    Some(ResultPlace { placement: i32::from_be_bytes(*placement), number })
}

/// The token that asks for the matches after a place.
pub(super) fn player_match_token(place: PlayerMatchPlace) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&place.ended_ms.to_be_bytes()[..], place.session.as_bytes()].concat())
}

/// The token that asks for the results after a place.
pub(super) fn result_token(place: ResultPlace) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([place.placement.to_be_bytes(), place.number.to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_page_token_is_read_as_it_was_written(ended_ms: i64, session: u128, placement: i32, number: u32) {
            let match_place = PlayerMatchPlace { ended_ms, session: Uuid::from_u128(session) };
            prop_assert_eq!(place(&player_match_token(match_place), player_match_place).unwrap(), Some(match_place));
            let at = ResultPlace { placement, number };
            prop_assert_eq!(place(&result_token(at), result_place).unwrap(), Some(at));
        }

        #[test]
        fn no_token_makes_it_panic(token: String) {
            let _ = place(&token, player_match_place);
            let _ = place(&token, result_place);
        }
    }
}

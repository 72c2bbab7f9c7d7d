//! Requests, parsed: past here, values cannot be invalid.

use std::collections::BTreeSet;

use pkg_api::game::v1 as api;
use pkg_definition::Violation;
use pkg_middleware::Problem;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Apply, BATCH_MAX, Draft, GameKey, GameState, Rules, Shown, ShownChange, ShownField, TrendPlace};
use crate::grpc::parse::{expected_version, id, ids, new_id, number, page_size, page_token, to_page_token};
use crate::grpc::problems::invalid;

fn under(field: &str, violations: Vec<Violation>) -> Vec<Violation> {
    violations.into_iter().map(|violation| violation.under(field)).collect()
}

pub(super) fn key(text: &str) -> Result<GameKey, Problem> {
    GameKey::parse(text).map_err(|violation| invalid(vec![violation]))
}

pub(super) fn game_ids(texts: &[String]) -> Result<Vec<Uuid>, Problem> {
    if texts.is_empty() {
        return Err(Problem::invalid_field("game_ids", format!("has 1 to {BATCH_MAX} ids")));
    }
    ids("game_ids", texts, BATCH_MAX)
}

pub(super) fn creation(request: api::CreateGameRequest) -> Result<(Option<Uuid>, Draft), Problem> {
    let id = new_id("game_id", &request.game_id)?;
    Ok((id, draft(&request.game.unwrap_or_default(), request.definition.unwrap_or_default())?))
}

pub(super) fn apply(request: api::ApplyGameRequest) -> Result<Apply, Problem> {
    Ok(Apply {
        expected_version: expected_version("expected_version", request.expected_version)?,
        validate_only: request.validate_only,
        draft: draft(&request.game.unwrap_or_default(), request.definition.unwrap_or_default())?,
    })
}

/// A whole game; everything that is wrong with it is told at once.
fn draft(game: &api::Game, definition: api::GameDefinition) -> Result<Draft, Problem> {
    let key = GameKey::parse(&game.key).map_err(|violation| vec![violation]);
    match (key, Shown::parse(game), Rules::parse(definition)) {
        (Ok(key), Ok(shown), Ok(rules)) => Ok(Draft { key, shown, rules }),
        (key, shown, rules) => {
            let mut violations = under("game", key.err().unwrap_or_default());
            violations.extend(under("game", shown.err().unwrap_or_default()));
            violations.extend(under("definition", rules.err().unwrap_or_default()));
            Err(invalid(violations))
        }
    }
}

pub(super) fn change(request: api::UpdateGameRequest) -> Result<(Uuid, ShownChange), Problem> {
    let game = request.game.unwrap_or_default();
    let (id, version) = (id("game.game_id", &game.game_id)?, expected_version("game.version", game.version)?);
    let mask = request.update_mask.unwrap_or_default();
    if mask.paths.is_empty() {
        return Err(Problem::invalid_field("update_mask", "names at least one field"));
    }
    let fields = mask.paths.iter().map(|path| shown_field(path)).collect::<Result<BTreeSet<_>, _>>()?;
    let change = ShownChange::parse(fields, &game, version).map_err(|found| invalid(under("game", found)))?;
    Ok((id, change))
}

fn shown_field(path: &str) -> Result<ShownField, Problem> {
    ShownField::ALL.into_iter().find(|field| field.path() == path).ok_or_else(|| {
        let known = ShownField::ALL.map(ShownField::path).join(", ");
        Problem::invalid_field("update_mask", format!("may name {known}"))
    })
}

/// Which page of games is asked for.
pub(super) struct GamePage {
    pub(super) state: Option<GameState>,
    pub(super) after: Option<GameKey>,
    pub(super) size: usize,
}

pub(super) fn game_page(request: &api::ListGamesRequest) -> Result<GamePage, Problem> {
    let state = match api::GameState::try_from(request.state) {
        Ok(api::GameState::Unspecified) => None,
        Ok(api::GameState::Active) => Some(GameState::Active),
        Ok(api::GameState::Archived) => Some(GameState::Archived),
        Err(_) => return Err(Problem::invalid_field("state", "is a state of a game, or unspecified for any")),
    };
    let key = |content: &[u8]| GameKey::parse(std::str::from_utf8(content).ok()?).ok();
    Ok(GamePage { state, after: page_token(&request.page_token, key)?, size: page_size(request.page_size)? })
}

pub(super) fn game_token(last: &GameKey) -> String {
    to_page_token(last.as_str())
}

pub(super) fn trend_page(request: &api::ListTrendingGamesRequest) -> Result<(Option<TrendPlace>, usize), Problem> {
    let place = |content: &[u8]| {
        let (moment, place) = content.split_at_checked(size_of::<i64>())?;
        let moment = OffsetDateTime::from_unix_timestamp(number(moment)?).ok()?;
        Some(TrendPlace { moment, place: number(place)? })
    };
    Ok((page_token(&request.page_token, place)?, page_size(request.page_size)?))
}

pub(super) fn trend_token(last: TrendPlace) -> String {
    to_page_token([last.moment.unix_timestamp().to_be_bytes(), last.place.to_be_bytes()].concat())
}

pub(super) fn revision(request: &api::GetDefinitionRequest) -> Result<(Uuid, Option<i64>), Problem> {
    Ok((id("game_id", &request.game_id)?, expected_version("revision", request.revision)?))
}

pub(super) fn revision_page(
    request: &api::ListDefinitionRevisionsRequest,
) -> Result<(Uuid, Option<i64>, usize), Problem> {
    let before = page_token(&request.page_token, number)?;
    Ok((id("game_id", &request.game_id)?, before, page_size(request.page_size)?))
}

pub(super) fn revision_token(last: i64) -> String {
    to_page_token(last.to_be_bytes())
}

//! What the catalogue says, as messages of the API.

use pkg_api::game::v1 as api;
use prost::Message;

use super::parse;
use crate::catalog::{Applied, Game, GameState, TrendPage, TrendPlace};
use crate::store::{DefinitionState, Place, Revision, RevisionSummary};
use crate::timestamps::timestamp;

/// A page of games ends early before it becomes larger: a message may have 1 MiB.
const PAGE_BYTES: usize = 512 * 1024;

impl From<GameState> for api::GameState {
    fn from(state: GameState) -> Self {
        match state {
            GameState::Active => Self::Active,
            GameState::Archived => Self::Archived,
        }
    }
}

impl From<Game> for api::Game {
    fn from(game: Game) -> Self {
        Self {
            game_id: game.id.to_string(),
            key: game.key.as_str().to_owned(),
            state: api::GameState::from(game.state).into(),
            definition_revision: game.definition_revision,
            version: game.version,
            create_time: Some(timestamp(game.created_at)),
            update_time: Some(timestamp(game.updated_at)),
            ..game.shown.to_api()
        }
    }
}

impl From<Revision> for api::DefinitionRevision {
    fn from(revision: Revision) -> Self {
        Self {
            game_id: revision.game.to_string(),
            revision: revision.number,
            definition: Some(revision.rules.document().clone()),
            create_time: Some(timestamp(revision.created_at)),
            author_id: revision.author.to_string(),
        }
    }
}

impl From<RevisionSummary> for api::DefinitionRevision {
    fn from(revision: RevisionSummary) -> Self {
        Self {
            game_id: revision.game.to_string(),
            revision: revision.number,
            definition: None,
            create_time: Some(timestamp(revision.created_at)),
            author_id: revision.author.to_string(),
        }
    }
}

impl From<DefinitionState> for api::DefinitionState {
    fn from(state: DefinitionState) -> Self {
        Self {
            game_key: state.key.as_str().to_owned(),
            state: api::GameState::from(state.state).into(),
            revision: Some(state.revision.into()),
        }
    }
}

/// A page of games out of one more than were asked for.
pub(super) fn games(mut found: Vec<Game>, size: usize) -> api::ListGamesResponse {
    let more = found.len() > size;
    found.truncate(size);
    let given = found.len();
    let keyed = found.into_iter().map(|game| (game.key.clone(), api::Game::from(game)));
    let page: Vec<_> = fitting(keyed, |(_, game)| game).collect();
    let last = page.last().filter(|_| more || page.len() < given).map(|(key, _)| parse::game_token(key));
    api::ListGamesResponse {
        games: page.into_iter().map(|(_, game)| game).collect(),
        next_page_token: last.unwrap_or_default(),
    }
}

pub(super) fn trending(found: TrendPage) -> api::ListTrendingGamesResponse {
    let given = found.games.len();
    let placed = found.games.into_iter().map(|(game, place)| (place, api::Game::from(game)));
    let page: Vec<_> = fitting(placed, |(_, game)| game).collect();
    let last = page.last().filter(|_| found.more || page.len() < given);
    let next = last.map(|(last, _)| TrendPlace { moment: found.moment, place: last.number });
    let game =
        |(place, game): (Place, api::Game)| api::TrendingGame { game: Some(game), session_count: place.sessions };
    api::ListTrendingGamesResponse {
        games: page.into_iter().map(game).collect(),
        next_page_token: next.map(parse::trend_token).unwrap_or_default(),
    }
}

/// The first of them that a page has room for; one at least.
fn fitting<T>(found: impl Iterator<Item = T>, game: impl Fn(&T) -> &api::Game) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    found.take_while(move |item| {
        let first = bytes == 0;
        bytes += game(item).encoded_len();
        first || bytes <= PAGE_BYTES
    })
}

/// A page of revisions out of one more than were asked for.
pub(super) fn revisions(mut found: Vec<RevisionSummary>, size: usize) -> api::ListDefinitionRevisionsResponse {
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more).map(|revision| parse::revision_token(revision.number));
    api::ListDefinitionRevisionsResponse {
        revisions: found.into_iter().map(Into::into).collect(),
        next_page_token: last.unwrap_or_default(),
    }
}

pub(super) fn applied(applied: Applied, validate_only: bool) -> api::ApplyGameResponse {
    let mut game = api::Game::from(applied.game);
    if applied.created && validate_only {
        // It was not made, and would get another.
        game.game_id.clear();
    }
    api::ApplyGameResponse { game: Some(game), created: applied.created, changes: applied.changes }
}

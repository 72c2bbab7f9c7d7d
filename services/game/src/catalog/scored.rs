//! What leaderboards cannot change any more: order, operator and time zone say what scores mean, also those from before.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use pkg_api::game::v1::GameDefinition;
use pkg_api::leaderboard::v1::board_internal_service_client::BoardInternalServiceClient;
use pkg_api::leaderboard::v1::{BatchCheckScoresRequest, BoardQuery};
use pkg_definition::{Definition, Key, Leaderboard, Violation};
use pkg_middleware::CallRefused;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Catalog, CatalogError, Rules};
use crate::store::{Revision, StoreError};

/// How long the leaderboard service may take to say which boards have scores.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How many former revisions are read at once.
const REVISIONS_AT_ONCE: usize = 20;

/// Why it is not known which boards have scores.
#[derive(Debug, thiserror::Error)]
pub enum ScoresUnknown {
    #[error(transparent)]
    Refused(#[from] CallRefused),
    #[error("the leaderboard service does not answer within {ASK_TIMEOUT:?}")]
    Silent,
    #[error("the leaderboard service answered something unexpected")]
    Unexpected,
}

/// A board whose scores would mean something else.
struct Turned {
    key: Key,
    /// What is wrong with it, if it has scores.
    violations: Vec<Violation>,
}

impl Catalog {
    /// Checks that new rules leave the meaning of scores as it is. The leaderboard service is asked only if there would be
    /// another one.
    pub(super) async fn check_scores(&self, newest: &Revision, rules: &Rules) -> Result<(), CatalogError> {
        let boards = boards(rules)?;
        let before = self.boards_before(newest, &boards).await?;
        let turned: Vec<Turned> = boards
            .iter()
            .enumerate()
            .filter_map(|(place, board)| turned(place, before.get(&board.key)?, board))
            .collect();
        if turned.is_empty() {
            return Ok(());
        }
        let scored = self.with_scores(newest.game, &turned).await?;
        let scored = turned.into_iter().zip(scored).filter(|(_, has_scores)| *has_scores);
        let violations: Vec<Violation> = scored.flat_map(|(turned, _)| turned.violations).collect();
        if violations.is_empty() { Ok(()) } else { Err(CatalogError::LeaderboardHasScores(violations)) }
    }

    /// These boards as they were defined last: a board that was removed keeps its scores, and may come back.
    async fn boards_before(
        &self,
        newest: &Revision,
        boards: &[Leaderboard],
    ) -> Result<HashMap<Key, Leaderboard>, CatalogError> {
        let mut before: HashMap<Key, Leaderboard> = HashMap::new();
        let mut wanted: HashSet<&Key> = boards.iter().map(|board| &board.key).collect();
        let (mut page, mut number) = (vec![newest.clone()], newest.number);
        while !page.is_empty() && !wanted.is_empty() {
            for revision in &page {
                number = revision.number;
                let found = self::boards(&revision.rules)?.into_iter().filter(|board| wanted.remove(&board.key));
                before.extend(found.map(|board| (board.key.clone(), board)));
            }
            if wanted.is_empty() {
                break;
            }
            page = self.store.former(newest.game, number, REVISIONS_AT_ONCE).await?;
        }
        Ok(before)
    }

    async fn with_scores(&self, game: Uuid, turned: &[Turned]) -> Result<Vec<bool>, ScoresUnknown> {
        let query = |turned: &Turned| BoardQuery { game_id: game.to_string(), board_key: turned.key.to_string() };
        let request = BatchCheckScoresRequest { boards: turned.iter().map(query).collect() };
        let mut client = BoardInternalServiceClient::new(self.leaderboards.clone());
        let answer = timeout(ASK_TIMEOUT, client.batch_check_scores(request)).await;
        let answer = answer.map_err(|_| ScoresUnknown::Silent)?.map_err(CallRefused::from)?.into_inner();
        if answer.has_scores.len() == turned.len() { Ok(answer.has_scores) } else { Err(ScoresUnknown::Unexpected) }
    }
}

fn boards(rules: &Rules) -> Result<Vec<Leaderboard>, StoreError> {
    // Without the rest: what was valid in a former revision may not be so any more.
    let leaderboards = rules.document().leaderboards.clone();
    let definition = Definition::parse(&GameDefinition { leaderboards, ..GameDefinition::default() });
    Ok(definition.map_err(|_| StoreError::broken("a stored leaderboard is not valid"))?.leaderboards)
}

/// `None` if its scores mean what they meant before.
fn turned(place: usize, before: &Leaderboard, board: &Leaderboard) -> Option<Turned> {
    let fields = [
        ("order", before.order != board.order),
        ("operator", before.operator != board.operator),
        ("time_zone", before.time_zone != board.time_zone),
    ];
    let violation = |field: &str| Violation {
        path: format!("definition.leaderboards[{place}].{field}"),
        problem: "cannot change: the leaderboard has scores".to_owned(),
    };
    let changed = fields.into_iter().filter(|(_, changed)| *changed);
    let violations: Vec<Violation> = changed.map(|(field, _)| violation(field)).collect();
    (!violations.is_empty()).then(|| Turned { key: board.key.clone(), violations })
}

#[cfg(test)]
mod tests;

//! The history of matches, as it is asked for.

use std::sync::Arc;

use pkg_definition::Key;
use uuid::Uuid;

use crate::store::{
    MatchStore, PlayerMatch, PlayerMatchPlace, QueueStats, ResultPlace, SessionResult, StoreError, StoredMatch,
};

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    #[error("the session has not ended, or is not recorded yet")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which of a player's matches are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wished {
    /// Of whom.
    pub player: Uuid,
    /// All games, or one.
    pub game: Option<Uuid>,
    /// All its queues, or one; without a game it says nothing.
    pub queue: Option<Key>,
}

/// What a player has played in a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerStats {
    /// Over all; `None` if the player has not played.
    pub total: Option<QueueStats>,
    /// By queue, those made by hand first.
    pub queues: Vec<QueueStats>,
}

/// Who answers. Cloning shares it.
#[derive(Clone)]
pub struct MatchReadings {
    matches: Arc<dyn MatchStore>,
}

impl MatchReadings {
    /// Answers from this history.
    pub(crate) fn new(matches: Arc<dyn MatchStore>) -> Self {
        Self { matches }
    }

    /// The matches of a player after a place, the newest first.
    pub async fn of_player(
        &self,
        wished: &Wished,
        after: Option<PlayerMatchPlace>,
        max: usize,
    ) -> Result<Vec<PlayerMatch>, MatchError> {
        let Wished { player, game, queue } = wished;
        Ok(self.matches.of_player(*player, *game, queue.as_ref(), after, max).await?)
    }

    /// The end of a session.
    pub async fn of_session(&self, session: Uuid) -> Result<StoredMatch, MatchError> {
        self.matches.found(session).await?.ok_or(MatchError::NotFound)
    }

    /// The results of a session after a place, the best first.
    pub async fn results(
        &self,
        session: Uuid,
        after: Option<ResultPlace>,
        max: usize,
    ) -> Result<Vec<SessionResult>, MatchError> {
        let results = self.matches.results(session, after, max).await?;
        if results.is_empty() {
            self.of_session(session).await?;
        }
        Ok(results)
    }

    /// What a player has played in a game.
    pub async fn stats(&self, player: Uuid, game: Uuid) -> Result<PlayerStats, MatchError> {
        let queues = self.matches.stats(player, game).await?;
        let total = queues.iter().cloned().reduce(|one, other| QueueStats {
            queue: None,
            games: one.games + other.games,
            wins: one.wins + other.wins,
            losses: one.losses + other.losses,
            draws: one.draws + other.draws,
            left_early: one.left_early + other.left_early,
            play_time: one.play_time.saturating_add(other.play_time),
            last_ended: one.last_ended.max(other.last_ended),
        });
        Ok(PlayerStats { total, queues })
    }
}

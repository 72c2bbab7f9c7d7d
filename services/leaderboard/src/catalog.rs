//! The boards of all games with the rules that they have now.

use std::collections::HashMap;
use std::sync::Arc;

use pkg_catalog::{CatalogError, CatalogFollower, Defined, Learned};
use pkg_definition::{Key, Leaderboard};
use pkg_middleware::AnyChannel;
use uuid::Uuid;

use crate::board::{BoardId, BoardRules};

/// A board as it is defined now.
#[derive(Debug)]
pub struct DefinedBoard {
    /// Which one.
    pub id: BoardId,
    /// The revision of the definition.
    pub revision: i64,
    /// Whether its game is archived: it takes no scores.
    pub archived: bool,
    /// What scores mean.
    pub rules: BoardRules,
    /// The rest: who may write, bounds, rate, seats.
    pub definition: Leaderboard,
}

/// Why there is no board.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BoardError {
    /// No game has this id.
    #[error("there is no such game")]
    GameNotFound,
    /// No board of the game has this key.
    #[error("the game has no such leaderboard")]
    BoardNotFound,
    /// The game service does not answer: the same may succeed later.
    #[error(transparent)]
    Unavailable(CatalogError),
    /// It says what it must not: a defect.
    #[error(transparent)]
    Broken(CatalogError),
}

/// The boards of all games. Cloning shares them.
#[derive(Clone)]
pub struct Catalog {
    games: pkg_catalog::Catalog<GameBoards>,
}

/// The boards of a game.
#[derive(Debug)]
pub struct GameBoards {
    revision: i64,
    archived: bool,
    boards: HashMap<Key, Arc<DefinedBoard>>,
}

/// What is known of a board, for scores that were checked under some revision of its definition.
#[derive(Debug, Clone)]
pub enum Rules {
    /// These, of that revision or a later one.
    Defined(Arc<DefinedBoard>),
    /// By then the board was removed.
    Removed,
}

impl Catalog {
    /// No boards yet, and what learns of them over a channel to the game service.
    #[must_use]
    pub fn new(channel: AnyChannel) -> (Self, CatalogFollower<GameBoards>) {
        let (games, follower) = pkg_catalog::Catalog::new(channel);
        (Self { games }, follower)
    }

    /// What tells whether every board was told of once.
    #[must_use]
    pub fn readiness(&self) -> pkg_catalog::Catalog<GameBoards> {
        self.games.clone()
    }

    /// Ends when every board was told of once.
    pub async fn caught_up(&self) {
        self.games.caught_up().await;
    }

    /// A board as it is known here, without asking anybody.
    #[must_use]
    pub fn known(&self, board: &BoardId) -> Option<Arc<DefinedBoard>> {
        self.games.known(board.game)?.boards.get(&board.key).cloned()
    }

    /// A board. One that is not known here is asked for: it may just have been made.
    pub async fn find(&self, board: &BoardId) -> Result<Arc<DefinedBoard>, BoardError> {
        if let Some(board) = self.known(board) {
            return Ok(board);
        }
        // Boxed, as it is seldom needed and large.
        let game = Box::pin(self.games.ask(board.game)).await?;
        game.boards.get(&board.key).cloned().ok_or(BoardError::BoardNotFound)
    }

    /// What a board is, seen from a revision or a later one. While only older ones can be had it is not available.
    pub async fn since(&self, board: &BoardId, revision: i64) -> Result<Rules, BoardError> {
        let known = self.games.known(board.game).filter(|game| game.revision >= revision);
        let game = match known {
            Some(game) => game,
            None => self.games.ask(board.game).await?,
        };
        if game.revision < revision {
            let why = format!("revision {revision} of {board} was not heard of yet");
            return Err(BoardError::Unavailable(CatalogError::Unavailable(Arc::from(Box::from(why)))));
        }
        Ok(game.boards.get(&board.key).cloned().map_or(Rules::Removed, Rules::Defined))
    }

    /// Checks that there is such a game.
    pub async fn check_game(&self, game: Uuid) -> Result<(), BoardError> {
        self.games.find(game).await?;
        Ok(())
    }
}

impl Learned for GameBoards {
    fn learn(game: Defined, before: Option<&Self>) -> Self {
        let Defined { id: game, revision, archived, definition } = game;
        let board = |definition: Leaderboard| {
            let id = BoardId { game, key: definition.key.clone() };
            let rules = BoardRules::new(&definition);
            let board = DefinedBoard { id, revision, archived, rules, definition };
            let same = before.and_then(|before| before.boards.get(&board.id.key)).filter(|before| ***before == board);
            (board.id.key.clone(), same.cloned().unwrap_or_else(|| Arc::new(board)))
        };
        Self { revision, archived, boards: definition.leaderboards.into_iter().map(board).collect() }
    }
}

impl PartialEq for GameBoards {
    fn eq(&self, other: &Self) -> bool {
        (self.revision, self.archived, &self.boards) == (other.revision, other.archived, &other.boards)
    }
}

/// The rules follow from the definition.
impl PartialEq for DefinedBoard {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.revision, self.archived, &self.definition)
            == (&other.id, other.revision, other.archived, &other.definition)
    }
}

impl From<CatalogError> for BoardError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound => Self::GameNotFound,
            CatalogError::Unavailable(_) => Self::Unavailable(error),
            CatalogError::Broken(_) => Self::Broken(error),
        }
    }
}

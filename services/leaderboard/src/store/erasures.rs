//! Accounts that were deleted: their scores go, and their matches lose the name.

use async_trait::async_trait;
use pkg_db::{Database, on, to_millis};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::history_sql::stored_board;
use crate::board::BoardId;

/// How many rows one statement erases at most, so that none takes long.
const ERASED_AT_ONCE: i64 = 5_000;

/// A player who was erased from a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The board, from which the player is to be taken off ([`super::BoardStore::remove`]).
    pub board: BoardId,
    /// The number of the erasure on this board, from 1.
    pub number: i64,
}

/// Erases players: in the database of the history.
#[async_trait]
pub trait ErasureStore: Send + Sync {
    /// Erases a player for good: scores that come later are refused, and results have no name. Answers with the boards that
    /// had scores of the player, in any order.
    ///
    /// May be repeated, and answers the same then: until it has succeeded, and until every board was told.
    async fn erase(&self, player: Uuid, now: OffsetDateTime) -> Result<Vec<Erasure>, StoreError>;
}

/// In SQL.
#[derive(Debug, Clone)]
pub struct SqlErasures {
    database: Database,
}

impl SqlErasures {
    /// Erases in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// From when this returns, whatever is written knows that the player is gone.
    async fn mark(&self, player: Uuid, now: OffsetDateTime) -> Result<(), StoreError> {
        const MARK: &str = "INSERT INTO gone_players (player, gone_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        match &self.database {
            Database::Postgres(pool) => {
                let mut transaction = pkg_db::begin(pool).await?;
                // Whoever writes scores or results reads this table in the same transaction. So those who have not seen the
                // mark are waited for here, and those who come later wait for the mark.
                sqlx::query("LOCK TABLE gone_players IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await?;
                sqlx::query(MARK).bind(player).bind(to_millis(now)).execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
            Database::Sqlite(pool) => {
                sqlx::query(MARK).bind(player).bind(to_millis(now)).execute(pool).await?;
            }
        }
        Ok(())
    }

    /// Numbers the erasure on each board that has scores of the player.
    async fn number(&self, player: Uuid) -> Result<(), StoreError> {
        const BOARDS: &str = "SELECT board FROM score_boards AS b
             WHERE EXISTS (SELECT 1 FROM scores WHERE player = $1 AND scores.board = b.board)
             AND NOT EXISTS (SELECT 1 FROM score_erasures AS e WHERE e.player = $1 AND e.board = b.board)
             ORDER BY board";
        const COUNT: &str = "UPDATE score_boards SET erasures = erasures + 1 WHERE board = $1 RETURNING erasures";
        const NUMBER: &str = "INSERT INTO score_erasures (board, number, player) VALUES ($1, $2, $3)";
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let boards: Vec<i64> = sqlx::query_scalar(BOARDS).bind(player).fetch_all(&mut *transaction).await?;
            for board in boards {
                let number: i64 = sqlx::query_scalar(COUNT).bind(board).fetch_one(&mut *transaction).await?;
                let query = sqlx::query(NUMBER).bind(board).bind(number).bind(player);
                query.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// Repeats a statement whose last argument is how many rows it may touch, until it finds none.
    async fn exhaust(&self, statement: &'static str, player: Uuid, board: Option<i64>) -> Result<(), StoreError> {
        loop {
            let touched = on!(self.database, pool => {
                let query = sqlx::query(statement).bind(player).bind(ERASED_AT_ONCE);
                let query = if let Some(board) = board { query.bind(board) } else { query };
                query.execute(pool).await?.rows_affected()
            });
            if touched == 0 {
                return Ok(());
            }
        }
    }
}

#[derive(FromRow)]
struct ErasureRow {
    board: i64,
    game_id: Uuid,
    board_key: String,
    number: i64,
}

#[async_trait]
impl ErasureStore for SqlErasures {
    async fn erase(&self, player: Uuid, now: OffsetDateTime) -> Result<Vec<Erasure>, StoreError> {
        const ERASURES: &str = "SELECT e.board, b.game_id, b.board_key, e.number FROM score_erasures AS e
             JOIN score_boards AS b ON b.board = e.board WHERE e.player = $1";
        const SCORES: &str = "DELETE FROM scores WHERE board = $3 AND log_offset IN
             (SELECT log_offset FROM scores WHERE player = $1 AND board = $3 ORDER BY log_offset LIMIT $2)";
        const RESULTS: &str = "UPDATE match_results SET player = NULL WHERE player = $1 AND session_id IN
             (SELECT session_id FROM match_results WHERE player = $1 LIMIT $2)";
        const STATS: &str = "DELETE FROM player_stats WHERE player = $1";
        self.mark(player, now).await?;
        self.number(player).await?;
        let erasures: Vec<ErasureRow> =
            on!(self.database, pool => sqlx::query_as(ERASURES).bind(player).fetch_all(pool).await?);
        for erasure in &erasures {
            self.exhaust(SCORES, player, Some(erasure.board)).await?;
        }
        self.exhaust(RESULTS, player, None).await?;
        on!(self.database, pool => sqlx::query(STATS).bind(player).execute(pool).await.map(drop))?;
        let board =
            |row: ErasureRow| Ok(Erasure { board: stored_board(row.game_id, &row.board_key)?, number: row.number });
        erasures.into_iter().map(board).collect()
    }
}

//! The history of scores, in Postgres or SQLite.

mod appending;
mod rows;

use async_trait::async_trait;
use pkg_db::{Database, from_millis, on};
use pkg_definition::{Key, Period};
use quick_cache::sync::Cache;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{
    Appended, Head, HistoryStep, HistoryStore, Known, Mark, RecordedPeriod, Replayed, ScoreRow, StoreError, Wanted,
};
use crate::board::{BoardId, PeriodId, PeriodSpan};
use rows::{COLUMNS, LookedUp, PeriodRow, ReplayedRow, ScoreColumns, kind_text};

/// How many boards are known by their numbers without asking.
const KNOWN_BOARDS: usize = 16_384;
/// How often a new board tries to get a number, when others get theirs at the same time.
const NUMBERING_ATTEMPTS: usize = 16;
/// How many submissions one statement looks up in SQLite, which takes so many arguments at most.
const LOOKED_UP_AT_ONCE: usize = 1_000;

/// The history of a migrated database.
#[derive(Debug)]
pub struct SqlHistory {
    database: Database,
    /// The numbers of boards never change.
    numbers: Cache<BoardId, i64>,
}

#[derive(FromRow)]
struct BoardRow {
    board: i64,
    game_id: Uuid,
    board_key: String,
    head_offset: i64,
    head_ms: i64,
    erasures: i64,
}

impl BoardRow {
    /// `None` before the first record.
    fn head(&self) -> Option<Head> {
        let mark = Mark { offset: self.head_offset, erasures: self.erasures };
        (self.head_offset >= 0).then(|| Head { mark, time: from_millis(self.head_ms) })
    }
}

impl SqlHistory {
    /// The history in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, numbers: Cache::new(KNOWN_BOARDS) }
    }

    /// The number of a board, if it has one.
    async fn number(&self, board: &BoardId) -> Result<Option<i64>, StoreError> {
        const FIND: &str = "SELECT board FROM score_boards WHERE game_id = $1 AND board_key = $2";
        if let Some(number) = self.numbers.get(board) {
            return Ok(Some(number));
        }
        let number: Option<i64> = on!(self.database, pool => {
            sqlx::query_scalar(FIND).bind(board.game).bind(board.key.as_str()).fetch_optional(pool).await?
        });
        if let Some(number) = number {
            self.numbers.insert(board.clone(), number);
        }
        Ok(number)
    }

    /// The number of a board, which gets one if it has none.
    async fn number_or_new(&self, board: &BoardId) -> Result<i64, StoreError> {
        // Two that are numbered at the same time find the same number free: one of them tries again.
        const NUMBER: &str = "INSERT INTO score_boards (board, game_id, board_key, head_offset, head_ms, erasures)
             SELECT COALESCE(MAX(board), 0) + 1, $1, $2, -1, 0, 0 FROM score_boards WHERE TRUE
             ON CONFLICT DO NOTHING";
        for _ in 0..NUMBERING_ATTEMPTS {
            if let Some(number) = self.number(board).await? {
                return Ok(number);
            }
            on!(self.database, pool => {
                sqlx::query(NUMBER).bind(board.game).bind(board.key.as_str()).execute(pool).await?;
            });
        }
        Err(StoreError::unavailable("too many boards are new at the same time"))
    }

    async fn look_up_in_sqlite(
        &self,
        pool: &sqlx::SqlitePool,
        wanted: &[Numbered<'_>],
    ) -> Result<Vec<LookedUp>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(LOOKED_UP_AT_ONCE) {
            let mut query = QueryBuilder::new("WITH w (number, board, player, submission) AS (");
            query.push_values(part.iter().zip(0_i64..), |mut row, (wanted, number)| {
                row.push_bind(number).push_bind(wanted.board);
                row.push_bind(wanted.wanted.player).push_bind(wanted.wanted.submission);
            });
            query.push(
                ") SELECT r.*, (SELECT standings FROM scores AS s WHERE s.player = w.player AND s.board = w.board
                     ORDER BY s.log_offset DESC LIMIT 1) AS last_standings,
                     EXISTS (SELECT 1 FROM gone_players AS g WHERE g.player = w.player) AS gone
                 FROM w LEFT JOIN scores AS r
                     ON r.player = w.player AND r.board = w.board AND r.submission = w.submission
                 ORDER BY w.number",
            );
            found.extend(query.build_query_as::<LookedUp>().persistent(false).fetch_all(pool).await?);
        }
        Ok(found)
    }
}

/// A submission on a board with a number.
struct Numbered<'a> {
    board: i64,
    wanted: &'a Wanted,
}

async fn look_up_in_postgres(pool: &sqlx::PgPool, wanted: &[Numbered<'_>]) -> Result<Vec<LookedUp>, StoreError> {
    // Subqueries that end with the first row are always asked by index, also when they were planned while the table was new.
    const LOOK_UP: &str = "SELECT r.*, l.standings AS last_standings,
             EXISTS (SELECT 1 FROM gone_players AS g WHERE g.player = w.player) AS gone
         FROM unnest($1::BIGINT[], $2::UUID[], $3::UUID[]) WITH ORDINALITY AS w (board, player, submission, number)
         LEFT JOIN LATERAL (SELECT * FROM scores AS r
             WHERE r.player = w.player AND r.board = w.board AND r.submission = w.submission LIMIT 1) AS r ON TRUE
         LEFT JOIN LATERAL (SELECT standings FROM scores AS s
             WHERE s.player = w.player AND s.board = w.board ORDER BY s.log_offset DESC LIMIT 1) AS l ON TRUE
         ORDER BY w.number";
    let boards: Vec<i64> = wanted.iter().map(|wanted| wanted.board).collect();
    let players: Vec<Uuid> = wanted.iter().map(|wanted| wanted.wanted.player).collect();
    let submissions: Vec<Uuid> = wanted.iter().map(|wanted| wanted.wanted.submission).collect();
    let query = sqlx::query_as(LOOK_UP).bind(boards).bind(players).bind(submissions);
    Ok(query.fetch_all(pool).await?)
}

#[async_trait]
impl HistoryStore for SqlHistory {
    async fn heads(&self, boards: &[BoardId]) -> Result<Vec<Option<Head>>, StoreError> {
        const HEAD: &str = "SELECT board, game_id, board_key, head_offset, head_ms, erasures FROM score_boards
             WHERE game_id = $1 AND board_key = $2";
        let mut heads = Vec::with_capacity(boards.len());
        for board in boards {
            let row: Option<BoardRow> = on!(self.database, pool => {
                sqlx::query_as(HEAD).bind(board.game).bind(board.key.as_str()).fetch_optional(pool).await?
            });
            heads.push(row.and_then(|row| row.head()));
        }
        Ok(heads)
    }

    async fn boards(&self, after: Option<&BoardId>, max: usize) -> Result<Vec<(BoardId, Head)>, StoreError> {
        const PAGE: &str = "SELECT board, game_id, board_key, head_offset, head_ms, erasures FROM score_boards
             WHERE board > $1 AND head_offset >= 0 ORDER BY board LIMIT $2";
        let after = match after {
            Some(board) => self.number(board).await?.unwrap_or(i64::MAX),
            None => 0,
        };
        let found: Vec<BoardRow> = on!(self.database, pool => {
            sqlx::query_as(PAGE).bind(after).bind(super::rows(max)).fetch_all(pool).await?
        });
        let mut boards = Vec::with_capacity(found.len());
        for row in found {
            let board = stored_board(row.game_id, &row.board_key)?;
            self.numbers.insert(board.clone(), row.board);
            boards.extend(row.head().map(|head| (board, head)));
        }
        Ok(boards)
    }

    async fn look_up(&self, wanted: &[Wanted]) -> Result<Vec<Known>, StoreError> {
        /// No board has it.
        const NO_BOARD: i64 = -1;
        let mut numbered = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let board = self.number(&wanted.board).await?.unwrap_or(NO_BOARD);
            numbered.push(Numbered { board, wanted });
        }
        let found = match &self.database {
            Database::Postgres(pool) => look_up_in_postgres(pool, &numbered).await?,
            Database::Sqlite(pool) => self.look_up_in_sqlite(pool, &numbered).await?,
        };
        found.into_iter().map(Known::try_from).collect()
    }

    async fn append(&self, steps: &[HistoryStep]) -> Result<Vec<Appended>, StoreError> {
        let mut numbers = Vec::with_capacity(steps.len());
        for step in steps {
            numbers.push(self.number_or_new(&step.board).await?);
        }
        match &self.database {
            Database::Postgres(pool) => appending::in_postgres(pool, steps, &numbers).await,
            Database::Sqlite(pool) => appending::in_sqlite(pool, steps, &numbers).await,
        }
    }

    async fn submission(&self, wanted: &Wanted) -> Result<Option<ScoreRow>, StoreError> {
        let Some(board) = self.number(&wanted.board).await? else { return Ok(None) };
        let query = format!("SELECT {COLUMNS} FROM scores WHERE player = $1 AND board = $2 AND submission = $3");
        let row: Option<ScoreColumns> = on!(self.database, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(wanted.player).bind(board);
            query.bind(wanted.submission).fetch_optional(pool).await?
        });
        row.map(ScoreRow::try_from).transpose()
    }

    async fn player_scores(
        &self,
        board: &BoardId,
        player: Uuid,
        refused: bool,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<ScoreRow>, StoreError> {
        let Some(board) = self.number(board).await? else { return Ok(Vec::new()) };
        let query = format!(
            "SELECT {COLUMNS} FROM scores WHERE player = $1 AND board = $2 AND log_offset < $3
             AND ($4 OR refusal IS NULL) ORDER BY log_offset DESC LIMIT $5"
        );
        let found: Vec<ScoreColumns> = on!(self.database, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(player).bind(board);
            query.bind(before.unwrap_or(i64::MAX)).bind(refused).bind(super::rows(max)).fetch_all(pool).await?
        });
        found.into_iter().map(ScoreRow::try_from).collect()
    }

    async fn replay(&self, board: &BoardId, from: i64, to: i64, max: usize) -> Result<Vec<Replayed>, StoreError> {
        const REPLAY: &str = "SELECT log_offset, player, time_ms, attributes, standings FROM scores
             WHERE board = $1 AND log_offset >= $2 AND log_offset <= $3 AND refusal IS NULL ORDER BY log_offset LIMIT $4";
        let Some(board) = self.number(board).await? else { return Ok(Vec::new()) };
        let found: Vec<ReplayedRow> = on!(self.database, pool => {
            sqlx::query_as(REPLAY).bind(board).bind(from).bind(to).bind(super::rows(max)).fetch_all(pool).await?
        });
        found.into_iter().map(Replayed::try_from).collect()
    }

    async fn periods(
        &self,
        board: &BoardId,
        kind: Period,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<Vec<PeriodSpan>, StoreError> {
        const PERIODS: &str = "SELECT kind, start_ms, end_ms, first_offset, NULL AS end_offset FROM score_periods
             WHERE board = $1 AND kind = $2 AND start_ms < $3 ORDER BY start_ms DESC LIMIT $4";
        let Some(board) = self.number(board).await? else { return Ok(Vec::new()) };
        let found: Vec<PeriodRow> = on!(self.database, pool => {
            let query = sqlx::query_as(PERIODS).bind(board).bind(kind_text(kind)).bind(before_ms.unwrap_or(i64::MAX));
            query.bind(super::rows(max)).fetch_all(pool).await?
        });
        found.into_iter().map(|row| RecordedPeriod::try_from(row).map(|period| period.span)).collect()
    }

    async fn period(&self, board: &BoardId, id: PeriodId) -> Result<Option<RecordedPeriod>, StoreError> {
        const PERIOD: &str = "SELECT kind, start_ms, end_ms, first_offset,
                 (SELECT n.first_offset FROM score_periods AS n WHERE n.board = p.board AND n.kind = p.kind
                  AND n.start_ms > p.start_ms ORDER BY n.start_ms LIMIT 1) AS end_offset
             FROM score_periods AS p WHERE board = $1 AND kind = $2 AND start_ms = $3";
        let Some(board) = self.number(board).await? else { return Ok(None) };
        let row: Option<PeriodRow> = on!(self.database, pool => {
            let query = sqlx::query_as(PERIOD).bind(board).bind(kind_text(id.kind)).bind(id.start_ms);
            query.fetch_optional(pool).await?
        });
        row.map(RecordedPeriod::try_from).transpose()
    }

    async fn erasures(&self, board: &BoardId, after: i64) -> Result<Vec<Uuid>, StoreError> {
        const ERASURES: &str = "SELECT player FROM score_erasures WHERE board = $1 AND number > $2 ORDER BY number";
        let Some(board) = self.number(board).await? else { return Ok(Vec::new()) };
        Ok(on!(self.database, pool => {
            sqlx::query_scalar(ERASURES).bind(board).bind(after).fetch_all(pool).await?
        }))
    }
}

/// A board as its columns name it.
pub(super) fn stored_board(game: Uuid, key: &str) -> Result<BoardId, StoreError> {
    let key = Key::parse(key).ok_or_else(|| StoreError::broken(format!("the board key {key:?}")))?;
    Ok(BoardId { game, key })
}

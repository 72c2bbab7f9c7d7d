//! Matches and stats, in Postgres or SQLite.

use std::time::Duration;

use async_trait::async_trait;
use pkg_db::{Database, from_millis, on, to_millis};
use pkg_definition::Key;
use pkg_log::Topic;
use sqlx::FromRow;
use uuid::Uuid;

use super::{
    FinishedMatch, MatchOutcome, MatchResult, MatchStore, MatchesApplied, MatchesStep, PlayerMatch, PlayerMatchPlace,
    Positions, QueueStats, ResultPlace, SessionResult, SqlPositions, StoreError, StoredMatch, rows,
};

/// The queue of sessions made by hand.
const NO_QUEUE: &str = "";

/// The matches of a migrated database.
#[derive(Debug, Clone)]
pub struct SqlMatches {
    database: Database,
    positions: SqlPositions,
}

impl SqlMatches {
    /// The matches in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { positions: SqlPositions::new(database.clone()), database }
    }
}

const FIRST: &str = "INSERT INTO leaderboard_positions (topic, part, next_offset) VALUES ($1, $2, $3)
     ON CONFLICT DO NOTHING";
const MOVE: &str = "UPDATE leaderboard_positions SET next_offset = $3
     WHERE topic = $1 AND part = $2 AND next_offset = $4";
const INSERT_MATCH: &str = "INSERT INTO finished_matches (session_id, game_id, queue_key, ended_ms, body, player_count)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
/// Gone players are looked for in the transaction that writes: see [`super::SqlErasures`].
const INSERT_RESULT: &str =
    "INSERT INTO match_results (session_id, number, player, placement, outcome, left_early, body,
         game_id, queue_key, ended_ms)
     SELECT $1, $2, CASE WHEN EXISTS (SELECT 1 FROM gone_players WHERE gone_players.player = $3) THEN NULL ELSE $3 END,
         $4, $5, $6, $7, $8, $9, $10";
const COUNT: &str =
    "INSERT INTO player_stats (player, game_id, queue_key, games, wins, losses, draws, left_early, play_ms,
         last_ended_ms)
     SELECT $1, $2, $3, 1, $4, $5, $6, $7, $8, $9
     WHERE NOT EXISTS (SELECT 1 FROM gone_players WHERE gone_players.player = $1)
     ON CONFLICT (player, game_id, queue_key) DO UPDATE SET games = player_stats.games + 1,
         wins = player_stats.wins + excluded.wins, losses = player_stats.losses + excluded.losses,
         draws = player_stats.draws + excluded.draws, left_early = player_stats.left_early + excluded.left_early,
         play_ms = player_stats.play_ms + excluded.play_ms,
         last_ended_ms = CASE WHEN player_stats.last_ended_ms > excluded.last_ended_ms
             THEN player_stats.last_ended_ms ELSE excluded.last_ended_ms END";

fn queue_text(queue: Option<&Key>) -> &str {
    queue.map_or(NO_QUEUE, Key::as_str)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Binds the arguments of [`INSERT_RESULT`] and of [`COUNT`], of either database.
macro_rules! count_result {
    ($connection:expr, $found:expr, $number:expr, $result:expr) => {{
        let (found, result): (&FinishedMatch, &MatchResult) = ($found, $result);
        let queue = queue_text(found.queue.as_ref());
        sqlx::query(INSERT_RESULT)
            .bind(found.session)
            .bind($number)
            .bind(result.player)
            .bind(i64::from(result.placement))
            .bind(outcome_text(result.outcome))
            .bind(result.left_early)
            .bind(result.body.as_ref())
            .bind(found.game)
            .bind(queue)
            .bind(to_millis(found.ended))
            .execute(&mut *$connection)
            .await?;
        sqlx::query(COUNT)
            .bind(result.player)
            .bind(found.game)
            .bind(queue)
            .bind(i64::from(result.outcome == MatchOutcome::Won))
            .bind(i64::from(result.outcome == MatchOutcome::Lost))
            .bind(i64::from(result.outcome == MatchOutcome::Drawn))
            .bind(i64::from(result.left_early))
            .bind(millis(found.play_time))
            .bind(to_millis(found.ended))
            .execute(&mut *$connection)
            .await?;
    }};
}

#[async_trait]
impl MatchStore for SqlMatches {
    async fn position(&self, partition: i32) -> Result<Option<i64>, StoreError> {
        self.positions.next_offset(Topic::Matches, partition).await
    }

    async fn apply(&self, step: &MatchesStep) -> Result<MatchesApplied, StoreError> {
        on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let query = sqlx::query(if step.expected.is_some() { MOVE } else { FIRST });
            let query = query.bind(Topic::Matches.name()).bind(i64::from(step.partition)).bind(step.next_offset);
            let query = if let Some(expected) = step.expected { query.bind(expected) } else { query };
            if query.execute(&mut *transaction).await?.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(MatchesApplied::Elsewhere);
            }
            for found in &step.matches {
                let query = sqlx::query(INSERT_MATCH)
                    .bind(found.session)
                    .bind(found.game)
                    .bind(queue_text(found.queue.as_ref()))
                    .bind(to_millis(found.ended))
                    .bind(found.body.as_ref())
                    .bind(rows(found.results.len()));
                if query.execute(&mut *transaction).await?.rows_affected() == 0 {
                    continue;
                }
                for (result, number) in found.results.iter().zip(0_i64..) {
                    count_result!(transaction, found, number, result);
                }
            }
            transaction.commit().await?;
        });
        Ok(MatchesApplied::Done)
    }

    async fn found(&self, session: Uuid) -> Result<Option<StoredMatch>, StoreError> {
        const FIND: &str = "SELECT session_id, game_id, queue_key, ended_ms, body AS match_body, player_count
             FROM finished_matches WHERE session_id = $1";
        let row: Option<MatchRow> =
            on!(self.database, pool => sqlx::query_as(FIND).bind(session).fetch_optional(pool).await?);
        row.map(StoredMatch::try_from).transpose()
    }

    async fn results(
        &self,
        session: Uuid,
        after: Option<ResultPlace>,
        max: usize,
    ) -> Result<Vec<SessionResult>, StoreError> {
        const PAGE: &str = "SELECT number, player, placement, outcome, left_early, body FROM match_results
             WHERE session_id = $1 AND (placement > $2 OR (placement = $2 AND number > $3))
             ORDER BY placement, number LIMIT $4";
        let (placement, number) =
            after.map_or((i64::MIN, -1), |place| (i64::from(place.placement), i64::from(place.number)));
        let found: Vec<ResultRow> = on!(self.database, pool => {
            let query = sqlx::query_as(PAGE).bind(session).bind(placement).bind(number).bind(rows(max));
            query.fetch_all(pool).await?
        });
        found.into_iter().map(SessionResult::try_from).collect()
    }

    async fn of_player(
        &self,
        player: Uuid,
        game: Option<Uuid>,
        queue: Option<&Key>,
        after: Option<PlayerMatchPlace>,
        max: usize,
    ) -> Result<Vec<PlayerMatch>, StoreError> {
        /// Of all games, or of one: each has an index.
        macro_rules! page {
            ($of:literal) => {
                concat!(
                    "SELECT m.session_id, m.game_id, m.queue_key, m.ended_ms, m.body AS match_body, m.player_count,
                         r.number, r.player, r.placement, r.outcome, r.left_early, r.body
                     FROM match_results AS r JOIN finished_matches AS m ON m.session_id = r.session_id
                     WHERE r.player = $1 AND (r.ended_ms < $2 OR (r.ended_ms = $2 AND r.session_id < $3)) ",
                    $of,
                    " ORDER BY r.ended_ms DESC, r.session_id DESC LIMIT $4"
                )
            };
        }
        let after = after.unwrap_or(PlayerMatchPlace { ended_ms: i64::MAX, session: Uuid::max() });
        let found: Vec<PlayerMatchRow> = on!(self.database, pool => {
            let query = sqlx::query_as(match (game, queue) {
                (None, _) => page!(""),
                (Some(_), None) => page!("AND r.game_id = $5"),
                (Some(_), Some(_)) => page!("AND r.game_id = $5 AND r.queue_key = $6"),
            });
            let query = query.bind(player).bind(after.ended_ms).bind(after.session).bind(rows(max));
            let query = if let Some(game) = game { query.bind(game) } else { query };
            let queue = queue.filter(|_| game.is_some());
            let query = if let Some(queue) = queue { query.bind(queue.as_str()) } else { query };
            query.fetch_all(pool).await?
        });
        let player_match = |row: PlayerMatchRow| -> Result<_, StoreError> {
            Ok(PlayerMatch { found: row.found.try_into()?, result: row.result.try_into()? })
        };
        found.into_iter().map(player_match).collect()
    }

    async fn stats(&self, player: Uuid, game: Uuid) -> Result<Vec<QueueStats>, StoreError> {
        const STATS: &str = "SELECT queue_key, games, wins, losses, draws, left_early, play_ms, last_ended_ms
             FROM player_stats WHERE player = $1 AND game_id = $2";
        let mut found: Vec<StatsRow> =
            on!(self.database, pool => sqlx::query_as(STATS).bind(player).bind(game).fetch_all(pool).await?);
        // The database of some servers has another order than that of bytes.
        found.sort_by(|one, other| one.queue_key.cmp(&other.queue_key));
        found.into_iter().map(QueueStats::try_from).collect()
    }
}

#[derive(FromRow)]
struct MatchRow {
    session_id: Uuid,
    game_id: Uuid,
    queue_key: String,
    ended_ms: i64,
    match_body: Vec<u8>,
    player_count: i64,
}

impl TryFrom<MatchRow> for StoredMatch {
    type Error = StoreError;

    fn try_from(row: MatchRow) -> Result<Self, StoreError> {
        Ok(Self {
            session: row.session_id,
            game: row.game_id,
            queue: stored_queue(&row.queue_key)?,
            ended: from_millis(row.ended_ms),
            body: row.match_body.into(),
            player_count: narrow(row.player_count)?,
        })
    }
}

#[derive(FromRow)]
struct ResultRow {
    number: i64,
    player: Option<Uuid>,
    placement: i64,
    outcome: String,
    left_early: bool,
    body: Vec<u8>,
}

impl TryFrom<ResultRow> for SessionResult {
    type Error = StoreError;

    fn try_from(row: ResultRow) -> Result<Self, StoreError> {
        Ok(Self {
            number: narrow(row.number)?,
            player: row.player,
            placement: narrow(row.placement)?,
            outcome: stored_outcome(&row.outcome)?,
            left_early: row.left_early,
            body: row.body.into(),
        })
    }
}

#[derive(FromRow)]
struct PlayerMatchRow {
    #[sqlx(flatten)]
    found: MatchRow,
    #[sqlx(flatten)]
    result: ResultRow,
}

#[derive(FromRow)]
struct StatsRow {
    queue_key: String,
    games: i64,
    wins: i64,
    losses: i64,
    draws: i64,
    left_early: i64,
    play_ms: i64,
    last_ended_ms: i64,
}

impl TryFrom<StatsRow> for QueueStats {
    type Error = StoreError;

    fn try_from(row: StatsRow) -> Result<Self, StoreError> {
        Ok(Self {
            queue: stored_queue(&row.queue_key)?,
            games: row.games,
            wins: row.wins,
            losses: row.losses,
            draws: row.draws,
            left_early: row.left_early,
            play_time: Duration::from_millis(narrow(row.play_ms)?),
            last_ended: from_millis(row.last_ended_ms),
        })
    }
}

/// A number that was not this large when it was stored.
fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| StoreError::broken(format!("the number {number}")))
}

fn stored_queue(text: &str) -> Result<Option<Key>, StoreError> {
    if text == NO_QUEUE {
        return Ok(None);
    }
    let key = Key::parse(text).ok_or_else(|| StoreError::broken(format!("the queue {text:?}")))?;
    Ok(Some(key))
}

fn outcome_text(outcome: MatchOutcome) -> &'static str {
    match outcome {
        MatchOutcome::Won => "won",
        MatchOutcome::Lost => "lost",
        MatchOutcome::Drawn => "drawn",
    }
}

fn stored_outcome(text: &str) -> Result<MatchOutcome, StoreError> {
    let known = [MatchOutcome::Won, MatchOutcome::Lost, MatchOutcome::Drawn];
    let known = known.into_iter().find(|outcome| outcome_text(*outcome) == text);
    known.ok_or_else(|| StoreError::broken(format!("the outcome {text:?}")))
}

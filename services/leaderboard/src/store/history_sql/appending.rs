//! Writing steps: the head and the rows at once.

use std::collections::HashSet;

use pkg_db::to_millis;
use sqlx::{PgPool, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::super::{Appended, BeginningPeriod, Head, HistoryStep, ScoreRow, StoreError};
use super::rows::{kind_text, refusal_text, standings_bytes};
use crate::board::Refusal;

/// How many rows one statement writes in SQLite, which takes so many arguments at most. A power of two each, since every
/// number of rows is a statement of its own to keep.
const WRITTEN_AT_ONCE: [usize; 4] = [512, 64, 8, 1];

/// A board whose head is before its first record.
const NO_OFFSET: i64 = -1;

/// One statement, for the whole batch.
///
/// A head that is not where its step says does not move, and the rows of that step join nothing. A submission that is there
/// already fails the whole statement. Gone players are looked for here, in the statement that writes, so that no score can
/// slip through while an erasure is under way ([`super::super::SqlErasures`]).
const APPEND: &str = "WITH step AS (
         SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[])
             AS s (board, from_offset, erasures, to_offset, to_ms)
     ), score AS (
         SELECT * FROM unnest($6::BIGINT[], $7::BIGINT[], $8::UUID[], $9::UUID[], $10::BIGINT[], $11::UUID[],
             $12::BYTEA[], $13::BYTEA[], $14::BIGINT[], $15::TEXT[], $16::BYTEA[])
             AS r (board, log_offset, player, submission, value, session_id, attributes, content_hash, time_ms, refusal,
             standings)
     ), gone AS (
         SELECT score.board FROM score JOIN gone_players USING (player) WHERE refusal IS DISTINCT FROM 'account_gone'
     ), moved AS (
         UPDATE score_boards AS b SET head_offset = step.to_offset, head_ms = step.to_ms
         FROM step WHERE b.board = step.board AND b.head_offset = step.from_offset AND b.erasures = step.erasures
             AND NOT EXISTS (SELECT 1 FROM gone WHERE gone.board = step.board)
         RETURNING b.board
     ), begun AS (
         INSERT INTO score_periods (board, kind, start_ms, end_ms, first_offset)
         SELECT p.* FROM unnest($17::BIGINT[], $18::TEXT[], $19::BIGINT[], $20::BIGINT[], $21::BIGINT[])
             AS p (board, kind, start_ms, end_ms, first_offset) JOIN moved USING (board)
         ON CONFLICT DO NOTHING
     ), written AS (
         INSERT INTO scores (board, log_offset, player, submission, value, session_id, attributes, content_hash, time_ms,
             refusal, standings)
         SELECT score.* FROM score JOIN moved USING (board)
     ) SELECT board FROM moved";

pub(super) async fn in_postgres(
    pool: &PgPool,
    steps: &[HistoryStep],
    numbers: &[i64],
) -> Result<Vec<Appended>, StoreError> {
    let heads: Vec<(i64, i64)> = steps.iter().map(|step| expected(step.from)).collect();
    let rows: Vec<(i64, &ScoreRow)> = each(steps, numbers, |step| &step.rows);
    let periods: Vec<(i64, &BeginningPeriod)> = each(steps, numbers, |step| &step.periods);
    let query = sqlx::query_scalar(APPEND)
        .bind(numbers)
        .bind(heads.iter().map(|(offset, _)| *offset).collect::<Vec<_>>())
        .bind(heads.iter().map(|(_, erasures)| *erasures).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.to).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| to_millis(step.time)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(board, _)| *board).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.offset).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.player).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.submission).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.value).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.session).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.attributes.as_ref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.content_hash.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| to_millis(row.time)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.refusal.map(refusal_text)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| standings_bytes(&row.standings)).collect::<Vec<_>>())
        .bind(periods.iter().map(|(board, _)| *board).collect::<Vec<_>>())
        .bind(periods.iter().map(|(_, period)| kind_text(period.span.id.kind)).collect::<Vec<_>>())
        .bind(periods.iter().map(|(_, period)| period.span.id.start_ms).collect::<Vec<_>>())
        .bind(periods.iter().map(|(_, period)| period.span.end_ms).collect::<Vec<_>>())
        .bind(periods.iter().map(|(_, period)| period.first_offset).collect::<Vec<_>>());
    let moved: Vec<i64> = match query.fetch_all(pool).await {
        Err(error) if is_recorded(&error) => Vec::new(),
        moved => moved?,
    };
    let done = |number: &i64| if moved.contains(number) { Appended::Done } else { Appended::Stale };
    Ok(numbers.iter().map(done).collect())
}

/// With the number of its board each.
fn each<'a, T>(
    steps: &'a [HistoryStep],
    numbers: &[i64],
    parts: impl Fn(&'a HistoryStep) -> &'a [T],
) -> Vec<(i64, &'a T)> {
    steps.iter().zip(numbers).flat_map(|(step, number)| parts(step).iter().map(|part| (*number, part))).collect()
}

/// The columns of the head that a step begins at.
fn expected(head: Option<Head>) -> (i64, i64) {
    head.map_or((NO_OFFSET, 0), |head| (head.mark.offset, head.mark.erasures))
}

/// A submission, or an offset, is in the history already.
fn is_recorded(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

pub(super) async fn in_sqlite(
    pool: &SqlitePool,
    steps: &[HistoryStep],
    numbers: &[i64],
) -> Result<Vec<Appended>, StoreError> {
    let mut transaction = pkg_db::begin(pool).await?;
    let mut outcomes = Vec::with_capacity(steps.len());
    for (step, number) in steps.iter().zip(numbers) {
        match append_in_sqlite(&mut transaction, step, *number).await {
            Err(error) if is_recorded(&error) => {
                transaction.rollback().await?;
                return Ok(vec![Appended::Stale; steps.len()]);
            }
            outcome => outcomes.push(outcome?),
        }
    }
    transaction.commit().await?;
    Ok(outcomes)
}

async fn append_in_sqlite(
    connection: &mut SqliteConnection,
    step: &HistoryStep,
    board: i64,
) -> Result<Appended, sqlx::Error> {
    const MOVE: &str = "UPDATE score_boards SET head_offset = $4, head_ms = $5
         WHERE board = $1 AND head_offset = $2 AND erasures = $3";
    const BEGIN: &str = "INSERT INTO score_periods (board, kind, start_ms, end_ms, first_offset)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let (offset, erasures) = expected(step.from);
    if has_gone_players(connection, &step.rows).await? {
        return Ok(Appended::Stale);
    }
    let query = sqlx::query(MOVE).bind(board).bind(offset).bind(erasures).bind(step.to).bind(to_millis(step.time));
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(Appended::Stale);
    }
    for BeginningPeriod { span, first_offset } in &step.periods {
        let query = sqlx::query(BEGIN).bind(board).bind(kind_text(span.id.kind)).bind(span.id.start_ms);
        query.bind(span.end_ms).bind(first_offset).execute(&mut *connection).await?;
    }
    let mut rows = step.rows.as_slice();
    while !rows.is_empty() {
        let size = WRITTEN_AT_ONCE.into_iter().find(|size| *size <= rows.len()).unwrap_or(1);
        let (part, rest) = rows.split_at(size);
        write_in_sqlite(connection, board, part).await?;
        rows = rest;
    }
    Ok(Appended::Done)
}

async fn has_gone_players(connection: &mut SqliteConnection, rows: &[ScoreRow]) -> Result<bool, sqlx::Error> {
    const ANY: &str = "SELECT EXISTS (SELECT 1 FROM gone_players)";
    const GONE: &str = "SELECT EXISTS (SELECT 1 FROM gone_players WHERE player = $1)";
    if !sqlx::query_scalar::<_, bool>(ANY).fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    let counting = rows.iter().filter(|row| row.refusal != Some(Refusal::AccountGone));
    let players: HashSet<Uuid> = counting.map(|row| row.player).collect();
    for player in players {
        if sqlx::query_scalar(GONE).bind(player).fetch_one(&mut *connection).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn write_in_sqlite(connection: &mut SqliteConnection, board: i64, rows: &[ScoreRow]) -> Result<(), sqlx::Error> {
    let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
        "INSERT INTO scores (board, log_offset, player, submission, value, session_id, attributes, content_hash, time_ms,
             refusal, standings) ",
    );
    query.push_values(rows, |mut columns, row| {
        columns.push_bind(board).push_bind(row.offset).push_bind(row.player).push_bind(row.submission);
        columns.push_bind(row.value).push_bind(row.session).push_bind(row.attributes.as_ref());
        columns.push_bind(row.content_hash.as_slice()).push_bind(to_millis(row.time));
        columns.push_bind(row.refusal.map(refusal_text)).push_bind(standings_bytes(&row.standings));
    });
    query.build().execute(connection).await?;
    Ok(())
}

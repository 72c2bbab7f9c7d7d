//! The same for `SQLite`, one by one in a transaction: there is one writer at a time and no round trip.

use pkg_db::to_millis;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::super::matches::{Dispatched, Match, Recorded, SeatHolder, SeatRelease};
use super::{MatchRow, QueueId, SeatRow, StoreError, TicketRow, columns, state};

/// How many parameters a statement has at most.
const PARAMETERS: usize = 10_000;

pub(super) async fn record(pool: &SqlitePool, batch: &[&Match], now_ms: i64) -> Result<Vec<Recorded>, StoreError> {
    let mut transaction = pkg_db::begin(pool).await?;
    let mut answers = Vec::with_capacity(batch.len());
    for made in batch {
        answers.push(record_one(&mut transaction, made, now_ms).await?);
    }
    transaction.commit().await?;
    Ok(answers)
}

async fn record_one(connection: &mut SqliteConnection, made: &Match, now_ms: i64) -> Result<Recorded, StoreError> {
    const STATE: &str = "SELECT state FROM matches WHERE match_id = $1";
    const HOLDER: &str =
        "SELECT session_id FROM match_seats WHERE game_id = $1 AND player_id = $2 AND released_ms IS NULL";
    const INSERT: &str = "INSERT INTO matches (match_id, game_id, queue_key, state, body, created_ms) \
         VALUES ($1, $2, $3, 'made', $4, $5)";
    const SEAT: &str = "INSERT INTO match_seats \
         (match_id, player_id, game_id, session_id, ticket_id, waited_ms, checked_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let known: Option<String> = sqlx::query_scalar(STATE).bind(made.id).fetch_optional(&mut *connection).await?;
    if let Some(known) = known {
        return Ok(Recorded::Known(state(&known)?));
    }
    let game = made.queue.game;
    let mut holders = Vec::new();
    for it in made.players() {
        let holder = sqlx::query_scalar(HOLDER).bind(game).bind(it.player).fetch_optional(&mut *connection).await?;
        holders.extend(holder.map(|session| SeatHolder { player: it.player, session }));
    }
    if !holders.is_empty() {
        holders.sort_unstable();
        return Ok(Recorded::Conflict(holders));
    }
    let insert = sqlx::query(INSERT).bind(made.id).bind(game).bind(made.queue.key.as_str()).bind(made.encode());
    insert.bind(to_millis(made.created)).execute(&mut *connection).await?;
    for it in made.players() {
        let waited = i64::try_from(it.wait.as_millis()).unwrap_or(i64::MAX);
        let seat = sqlx::query(SEAT).bind(made.id).bind(it.player).bind(game).bind(made.session);
        seat.bind(it.ticket).bind(waited).bind(now_ms).execute(&mut *connection).await?;
    }
    Ok(Recorded::Done)
}

pub(super) async fn matches(pool: &SqlitePool, ids: &[Uuid]) -> Result<Vec<MatchRow>, sqlx::Error> {
    const MATCHES: &str = concat!("SELECT ", columns!(), " FROM matches WHERE match_id");
    find(pool, MATCHES, ids, "").await
}

pub(super) async fn matches_of_tickets(pool: &SqlitePool, tickets: &[Uuid]) -> Result<Vec<TicketRow>, sqlx::Error> {
    const BY_TICKETS: &str = concat!(
        "SELECT DISTINCT ticket_id, ",
        columns!(),
        " FROM match_seats JOIN matches ON matches.match_id = match_seats.match_id WHERE ticket_id"
    );
    find(pool, BY_TICKETS, tickets, " AND state <> 'aborted'").await
}

pub(super) async fn open_seats(pool: &SqlitePool, game: Uuid, players: &[Uuid]) -> Result<Vec<SeatRow>, sqlx::Error> {
    const SEAT: &str = "SELECT player_id, match_id, session_id, ticket_id FROM match_seats \
         WHERE game_id = $1 AND player_id = $2 AND released_ms IS NULL";
    let mut found = Vec::new();
    for player in players {
        found.extend(sqlx::query_as(SEAT).bind(game).bind(player).fetch_optional(pool).await?);
    }
    Ok(found)
}

pub(super) async fn abort(pool: &SqlitePool, queue: &QueueId, ids: &[Uuid], now_ms: i64) -> Result<(), sqlx::Error> {
    const ABORT: &str = "INSERT INTO matches (match_id, game_id, queue_key, state, created_ms) \
         VALUES ($1, $2, $3, 'aborted', $4) ON CONFLICT (match_id) DO NOTHING";
    let mut transaction = pkg_db::begin(pool).await?;
    for id in ids {
        let insert = sqlx::query(ABORT).bind(id).bind(queue.game).bind(queue.key.as_str()).bind(now_ms);
        insert.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

pub(super) async fn dispatched(pool: &SqlitePool, matches: &[Dispatched]) -> Result<Vec<Uuid>, sqlx::Error> {
    const DISPATCHED: &str =
        "UPDATE matches SET state = 'dispatched', session_cursor = $2 WHERE match_id = $1 AND state = 'made'";
    let mut transaction = pkg_db::begin(pool).await?;
    let mut done = Vec::with_capacity(matches.len());
    for it in matches {
        let update = sqlx::query(DISPATCHED).bind(it.match_id).bind(&it.session_cursor);
        if update.execute(&mut *transaction).await?.rows_affected() == 1 {
            done.push(it.match_id);
        }
    }
    transaction.commit().await?;
    Ok(done)
}

pub(in super::super) async fn release(
    connection: &mut SqliteConnection,
    seats: &[SeatRelease],
    now_ms: i64,
) -> Result<u64, sqlx::Error> {
    const RELEASE: &str = "UPDATE match_seats SET released_ms = $3 \
         WHERE session_id = $1 AND ($2 IS NULL OR player_id = $2) AND released_ms IS NULL";
    let mut released = 0;
    for seat in seats {
        let update = sqlx::query(RELEASE).bind(seat.session).bind(seat.player).bind(now_ms);
        released += update.execute(&mut *connection).await?.rows_affected();
    }
    Ok(released)
}

pub(super) async fn checked(pool: &SqlitePool, sessions: &[Uuid], now_ms: i64) -> Result<(), sqlx::Error> {
    const CHECKED: &str = "UPDATE match_seats SET checked_ms = $2 WHERE session_id = $1 AND released_ms IS NULL";
    let mut transaction = pkg_db::begin(pool).await?;
    for session in sessions {
        sqlx::query(CHECKED).bind(session).bind(now_ms).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// What a statement finds that ends with the column which has one of these ids, and goes on with `rest`.
async fn find<R>(
    pool: &SqlitePool,
    statement: &'static str,
    ids: &[Uuid],
    rest: &'static str,
) -> Result<Vec<R>, sqlx::Error>
where
    R: for<'r> FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
{
    let mut found = Vec::new();
    for step in ids.chunks(PARAMETERS) {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(statement);
        query.push(" IN (");
        let mut list = query.separated(", ");
        for id in step {
            list.push_bind(*id);
        }
        query.push(")").push(rest);
        found.extend(query.build_query_as().fetch_all(pool).await?);
    }
    Ok(found)
}

//! What Postgres does for many matches in one statement.
//!
//! Nobody waits for anybody in a circle: matches are inserted in the order of their ids, then seats in the order of the
//! players, and whatever is updated is locked in such an order first.

use std::collections::{HashMap, HashSet};

use pkg_db::to_millis;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::super::matches::{Dispatched, Match, MatchPlayer, Recorded, SeatHolder, SeatRelease};
use super::{MatchRow, QueueId, StoreError, TicketRow, columns, state};

/// Those that are known already are left out. Waits for whoever writes the same ids.
const INSERT_MATCHES: &str = "INSERT INTO matches (match_id, game_id, queue_key, state, body, created_ms) \
     SELECT id, game, queue, 'made', body, created \
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bigint[]) AS new (id, game, queue, body, created) \
     ORDER BY id ON CONFLICT (match_id) DO NOTHING RETURNING match_id";
/// Players with an open seat are left out. Waits for whoever takes or releases the same seats.
const INSERT_SEATS: &str = "INSERT INTO match_seats \
     (match_id, player_id, game_id, session_id, ticket_id, waited_ms, checked_ms) \
     SELECT id, player, game, session, ticket, waited, $7 \
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[]) \
     AS new (id, player, game, session, ticket, waited) \
     ORDER BY game, player ON CONFLICT (game_id, player_id) WHERE released_ms IS NULL DO NOTHING RETURNING match_id";
const HOLDERS: &str = "SELECT wanted.match_id, player_id, session_id \
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS wanted (match_id, game, player) \
     CROSS JOIN LATERAL (SELECT player_id, session_id FROM match_seats WHERE game_id = wanted.game \
     AND player_id = wanted.player AND released_ms IS NULL AND match_seats.match_id <> ALL ($1) LIMIT 1) AS seats \
     ORDER BY player_id";
const DROP_SEATS: &str = "DELETE FROM match_seats WHERE match_id = ANY($1)";
const DROP_MATCHES: &str = "DELETE FROM matches WHERE match_id = ANY($1)";
const MATCHES: &str = concat!("SELECT ", columns!(), " FROM matches WHERE match_id = ANY($1)");
const ABORT: &str = "INSERT INTO matches (match_id, game_id, queue_key, state, created_ms) \
     SELECT id, $2, $3, 'aborted', $4 FROM unnest($1) AS ids (id) ORDER BY id ON CONFLICT (match_id) DO NOTHING";
const DISPATCHED: &str = "UPDATE matches SET state = 'dispatched', session_cursor = due.cursor FROM ( \
     SELECT match_id, new.cursor FROM unnest($1::uuid[], $2::text[]) AS new (id, cursor) \
     JOIN matches ON match_id = id WHERE state = 'made' ORDER BY match_id FOR UPDATE OF matches \
     ) AS due WHERE matches.match_id = due.match_id RETURNING matches.match_id";
const BY_TICKETS: &str = concat!(
    "SELECT DISTINCT ticket_id, ",
    columns!(),
    " FROM match_seats JOIN matches ON matches.match_id = match_seats.match_id",
    " WHERE ticket_id = ANY($1) AND state <> 'aborted'"
);
const RELEASE: &str = "UPDATE match_seats SET released_ms = $3 FROM ( \
     SELECT match_id, player_id FROM unnest($1::uuid[], $2::uuid[]) AS gone (session, player) \
     JOIN match_seats ON session_id = session AND (player IS NULL OR player = player_id) \
     WHERE released_ms IS NULL ORDER BY match_id, player_id FOR UPDATE OF match_seats \
     ) AS due WHERE match_seats.match_id = due.match_id AND match_seats.player_id = due.player_id";
const CHECKED: &str = "UPDATE match_seats SET checked_ms = $2 FROM ( \
     SELECT match_id, player_id FROM match_seats WHERE session_id = ANY($1) AND released_ms IS NULL \
     ORDER BY match_id, player_id FOR UPDATE \
     ) AS due WHERE match_seats.match_id = due.match_id AND match_seats.player_id = due.player_id";

/// Records matches that share no player and no id.
pub(super) async fn record(pool: &PgPool, batch: &[&Match], now_ms: i64) -> Result<Vec<Recorded>, StoreError> {
    let mut transaction = pkg_db::begin(pool).await?;
    let inserted = insert_matches(&mut transaction, batch).await?;
    let new: Vec<&Match> = batch.iter().copied().filter(|made| inserted.contains(&made.id)).collect();
    let incomplete = insert_seats(&mut transaction, &new, now_ms).await?;
    let mut holders = drop_matches(&mut transaction, &incomplete).await?;
    let known: Vec<Uuid> = batch.iter().map(|made| made.id).filter(|id| !inserted.contains(id)).collect();
    let known: HashMap<Uuid, String> = if known.is_empty() {
        HashMap::new()
    } else {
        let rows: Vec<MatchRow> = sqlx::query_as(MATCHES).bind(known).fetch_all(&mut *transaction).await?;
        rows.into_iter().map(|row| (row.match_id, row.state)).collect()
    };
    transaction.commit().await?;

    let dropped: HashSet<Uuid> = incomplete.iter().map(|made| made.id).collect();
    let answer = |made: &&Match| match known.get(&made.id) {
        Some(text) => state(text).map(Recorded::Known),
        None if dropped.contains(&made.id) => Ok(Recorded::Conflict(holders.remove(&made.id).unwrap_or_default())),
        None if inserted.contains(&made.id) => Ok(Recorded::Done),
        None => Err(StoreError::broken("a match vanished")),
    };
    batch.iter().map(answer).collect()
}

async fn insert_matches(connection: &mut PgConnection, batch: &[&Match]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let column = |of: fn(&Match) -> Uuid| batch.iter().map(|made| of(made)).collect::<Vec<_>>();
    let inserted: Vec<Uuid> = sqlx::query_scalar(INSERT_MATCHES)
        .bind(column(|made| made.id))
        .bind(column(|made| made.queue.game))
        .bind(batch.iter().map(|made| made.queue.key.as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|made| made.encode()).collect::<Vec<_>>())
        .bind(batch.iter().map(|made| to_millis(made.created)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(inserted.into_iter().collect())
}

/// Takes the seats of matches; says which ones did not get all of theirs.
async fn insert_seats<'a>(
    connection: &mut PgConnection,
    new: &[&'a Match],
    now_ms: i64,
) -> Result<Vec<&'a Match>, sqlx::Error> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let column = |of: fn(&Match, &MatchPlayer) -> Uuid| seats(new).map(|(made, it)| of(made, it)).collect::<Vec<_>>();
    let waited = seats(new).map(|(_, it)| i64::try_from(it.wait.as_millis()).unwrap_or(i64::MAX));
    let taken: Vec<Uuid> = sqlx::query_scalar(INSERT_SEATS)
        .bind(column(|made, _| made.id))
        .bind(column(|_, it| it.player))
        .bind(column(|made, _| made.queue.game))
        .bind(column(|made, _| made.session))
        .bind(column(|_, it| it.ticket))
        .bind(waited.collect::<Vec<_>>())
        .bind(now_ms)
        .fetch_all(connection)
        .await?;
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for id in taken {
        *counts.entry(id).or_default() += 1;
    }
    let is_incomplete = |made: &&Match| counts.get(&made.id).copied().unwrap_or(0) < made.players().count();
    Ok(new.iter().copied().filter(is_incomplete).collect())
}

/// Removes what there is of matches, and says for each who has an open seat elsewhere.
async fn drop_matches(
    connection: &mut PgConnection,
    incomplete: &[&Match],
) -> Result<HashMap<Uuid, Vec<SeatHolder>>, sqlx::Error> {
    let mut holders: HashMap<Uuid, Vec<SeatHolder>> = HashMap::new();
    if incomplete.is_empty() {
        return Ok(holders);
    }
    let column =
        |of: fn(&Match, &MatchPlayer) -> Uuid| seats(incomplete).map(|(made, it)| of(made, it)).collect::<Vec<_>>();
    let rows: Vec<(Uuid, Uuid, Uuid)> = sqlx::query_as(HOLDERS)
        .bind(column(|made, _| made.id))
        .bind(column(|made, _| made.queue.game))
        .bind(column(|_, it| it.player))
        .fetch_all(&mut *connection)
        .await?;
    for (id, player, session) in rows {
        holders.entry(id).or_default().push(SeatHolder { player, session });
    }
    let ids: Vec<Uuid> = incomplete.iter().map(|made| made.id).collect();
    sqlx::query(DROP_SEATS).bind(&ids).execute(&mut *connection).await?;
    sqlx::query(DROP_MATCHES).bind(&ids).execute(&mut *connection).await?;
    Ok(holders)
}

fn seats<'a>(matches: &'a [&'a Match]) -> impl Iterator<Item = (&'a Match, &'a MatchPlayer)> {
    matches.iter().flat_map(|made| made.players().map(move |it| (*made, it)))
}

pub(super) async fn matches(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<MatchRow>, sqlx::Error> {
    sqlx::query_as(MATCHES).bind(ids).fetch_all(pool).await
}

pub(super) async fn abort(pool: &PgPool, queue: &QueueId, ids: &[Uuid], now_ms: i64) -> Result<(), sqlx::Error> {
    let insert = sqlx::query(ABORT).bind(ids).bind(queue.game).bind(queue.key.as_str()).bind(now_ms);
    insert.execute(pool).await.map(drop)
}

/// Those that are dispatched by this.
pub(super) async fn dispatched(pool: &PgPool, matches: &[Dispatched]) -> Result<Vec<Uuid>, sqlx::Error> {
    let (ids, cursors): (Vec<Uuid>, Vec<&str>) =
        matches.iter().map(|it| (it.match_id, it.session_cursor.as_str())).unzip();
    sqlx::query_scalar(DISPATCHED).bind(ids).bind(cursors).fetch_all(pool).await
}

pub(super) async fn matches_of_tickets(pool: &PgPool, tickets: &[Uuid]) -> Result<Vec<TicketRow>, sqlx::Error> {
    sqlx::query_as(BY_TICKETS).bind(tickets).fetch_all(pool).await
}

pub(in super::super) async fn release(
    connection: &mut PgConnection,
    seats: &[SeatRelease],
    now_ms: i64,
) -> Result<u64, sqlx::Error> {
    let (sessions, players): (Vec<Uuid>, Vec<Option<Uuid>>) = seats.iter().map(|it| (it.session, it.player)).unzip();
    let update = sqlx::query(RELEASE).bind(sessions).bind(players).bind(now_ms);
    Ok(update.execute(connection).await?.rows_affected())
}

pub(super) async fn checked(pool: &PgPool, sessions: &[Uuid], now_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query(CHECKED).bind(sessions).bind(now_ms).execute(pool).await.map(drop)
}

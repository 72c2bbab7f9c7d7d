//! The look-ups of every ticket and every stream, many in one statement of Postgres.

use std::collections::HashMap;

use futures::future::try_join_all;
use pkg_batching::Batcher;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{MatchRow, SeatRow, StoreError, postgres};

/// The index answers each by itself; the LIMIT keeps the planner from joining whole tables.
const SEATS: &str = "SELECT game_id, player_id, match_id, session_id, ticket_id \
     FROM unnest($1, $2) AS wanted (game, player) \
     CROSS JOIN LATERAL (SELECT * FROM match_seats \
     WHERE game_id = wanted.game AND player_id = wanted.player AND released_ms IS NULL LIMIT 1) AS seats";

type Found<T> = Result<Option<T>, StoreError>;

/// Look-ups in batches.
#[derive(Clone)]
pub(super) struct Lookups {
    seats: Batcher<(Uuid, Uuid), Found<SeatRow>>,
    matches: Batcher<Uuid, Found<MatchRow>>,
}

#[derive(FromRow)]
struct SeatOfGame {
    game_id: Uuid,
    #[sqlx(flatten)]
    seat: SeatRow,
}

impl Lookups {
    pub(super) fn spawn(pool: &PgPool) -> Self {
        let (seats, matches) = (pool.clone(), pool.clone());
        Self {
            seats: Batcher::spawn(move |batch| find_seats(seats.clone(), batch)),
            matches: Batcher::spawn(move |batch| find_matches(matches.clone(), batch)),
        }
    }

    pub(super) async fn seats(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<SeatRow>, StoreError> {
        let calls = players.iter().map(async |player| self.seats.call((game, *player)).await?);
        Ok(try_join_all(calls).await?.into_iter().flatten().collect())
    }

    pub(super) async fn match_by_id(&self, id: Uuid) -> Found<MatchRow> {
        self.matches.call(id).await?
    }
}

async fn find_seats(pool: PgPool, wanted: Vec<(Uuid, Uuid)>) -> Vec<Found<SeatRow>> {
    let (games, players): (Vec<Uuid>, Vec<Uuid>) = wanted.iter().copied().unzip();
    let rows: Result<Vec<SeatOfGame>, _> = sqlx::query_as(SEATS).bind(&games).bind(&players).fetch_all(&pool).await;
    let by_player = |rows: Vec<SeatOfGame>| {
        rows.into_iter().map(|row| ((row.game_id, row.seat.player), row.seat)).collect::<HashMap<_, _>>()
    };
    answer(&wanted, rows.map(by_player).map_err(StoreError::from))
}

async fn find_matches(pool: PgPool, ids: Vec<Uuid>) -> Vec<Found<MatchRow>> {
    let rows = postgres::matches(&pool, &ids).await;
    let by_id = |rows: Vec<MatchRow>| rows.into_iter().map(|row| (row.match_id, row)).collect::<HashMap<_, _>>();
    answer(&ids, rows.map(by_id).map_err(StoreError::from))
}

/// Gives each key what was found. A key may be asked for twice.
fn answer<K: Eq + std::hash::Hash, T: Clone>(keys: &[K], found: Result<HashMap<K, T>, StoreError>) -> Vec<Found<T>> {
    match found {
        Ok(found) => keys.iter().map(|key| Ok(found.get(key).cloned())).collect(),
        Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
    }
}

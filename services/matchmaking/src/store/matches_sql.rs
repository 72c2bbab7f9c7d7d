//! Matches and seats in Postgres or `SQLite`.

mod lookups;
mod postgres;
mod sqlite;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use pkg_db::{Database, from_millis, on, to_millis};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use self::lookups::Lookups;
use super::matches::{
    Aborted, Dispatched, Match, MatchState, MatchStore, OpenSeat, RecentWaits, Recorded, RecordedMatch, SeatRelease,
    TicketMatch,
};
use super::{QueueId, StoreError, least_id, rows};

pub(super) use self::{postgres::release as release_postgres, sqlite::release as release_sqlite};

/// How many seats one transaction takes at most, unless one match has more: others wait for those who want the same
/// players.
const SEATS_AT_ONCE: usize = 2_000;

/// The matches of a database.
#[derive(Clone)]
pub struct SqlMatches {
    database: Database,
    /// On Postgres; `SQLite` has one connection and no round trips.
    lookups: Option<Lookups>,
}

#[derive(Debug, Clone, FromRow)]
struct MatchRow {
    match_id: Uuid,
    state: String,
    body: Option<Vec<u8>>,
    session_cursor: Option<String>,
}

/// The columns of a [`MatchRow`].
macro_rules! columns {
    () => {
        "matches.match_id, state, body, session_cursor"
    };
}
use columns;

#[derive(Debug, Clone, FromRow)]
struct SeatRow {
    #[sqlx(rename = "player_id")]
    player: Uuid,
    match_id: Uuid,
    #[sqlx(rename = "session_id")]
    session: Uuid,
    #[sqlx(rename = "ticket_id")]
    ticket: Uuid,
}

#[derive(FromRow)]
struct TicketRow {
    ticket_id: Uuid,
    #[sqlx(flatten)]
    found: MatchRow,
}

impl SqlMatches {
    /// The matches of this database, which has the newest migrations. To be called on a runtime.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let lookups = match &database {
            Database::Postgres(pool) => Some(Lookups::spawn(pool)),
            Database::Sqlite(_) => None,
        };
        Self { database, lookups }
    }

    async fn rows_of(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, MatchRow>, StoreError> {
        let rows = match &self.database {
            Database::Postgres(pool) => postgres::matches(pool, ids).await?,
            Database::Sqlite(pool) => sqlite::matches(pool, ids).await?,
        };
        Ok(rows.into_iter().map(|row| (row.match_id, row)).collect())
    }
}

#[async_trait]
impl MatchStore for SqlMatches {
    async fn record(&self, matches: &[Match], now: OffsetDateTime) -> Result<Vec<Recorded>, StoreError> {
        let mut answers = vec![Recorded::Conflict(Vec::new()); matches.len()];
        for round in rounds(matches) {
            let batch: Vec<&Match> = round.iter().map(|place| &matches[*place]).collect();
            let recorded = match &self.database {
                Database::Postgres(pool) => postgres::record(pool, &batch, to_millis(now)).await?,
                Database::Sqlite(pool) => sqlite::record(pool, &batch, to_millis(now)).await?,
            };
            for (place, recorded) in round.into_iter().zip(recorded) {
                answers[place] = recorded;
            }
        }
        Ok(answers)
    }

    async fn abort(&self, queue: &QueueId, ids: &[Uuid], now: OffsetDateTime) -> Result<Vec<Aborted>, StoreError> {
        match &self.database {
            Database::Postgres(pool) => postgres::abort(pool, queue, ids, to_millis(now)).await?,
            Database::Sqlite(pool) => sqlite::abort(pool, queue, ids, to_millis(now)).await?,
        }
        let known = self.rows_of(ids).await?;
        let aborted = |id: &Uuid| match known.get(id) {
            Some(row) if row.state != "aborted" => Ok(Aborted::Recorded(Box::new(row.clone().try_into()?))),
            Some(_) => Ok(Aborted::Done),
            None => Err(StoreError::broken("a match is neither recorded nor aborted")),
        };
        ids.iter().map(aborted).collect()
    }

    async fn dispatched(&self, matches: &[Dispatched]) -> Result<Vec<bool>, StoreError> {
        let done = match &self.database {
            Database::Postgres(pool) => postgres::dispatched(pool, matches).await?,
            Database::Sqlite(pool) => sqlite::dispatched(pool, matches).await?,
        };
        let mut counts: HashSet<Uuid> = done.into_iter().collect();
        // The others were dispatched before, or never will be.
        let others: Vec<Uuid> = matches.iter().map(|it| it.match_id).filter(|id| !counts.contains(id)).collect();
        if !others.is_empty() {
            let known = self.rows_of(&others).await?;
            counts.extend(known.into_values().filter(|row| row.state == "dispatched").map(|row| row.match_id));
        }
        Ok(matches.iter().map(|it| counts.contains(&it.match_id)).collect())
    }

    async fn undispatched(
        &self,
        queue: &QueueId,
        before: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<RecordedMatch>, StoreError> {
        const UNDISPATCHED: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM matches WHERE game_id = $1 AND queue_key = $2 AND state = 'made' AND created_ms < $3",
            " ORDER BY created_ms, match_id LIMIT $4"
        );
        let found: Vec<MatchRow> = on!(self.database, pool => {
            sqlx::query_as(UNDISPATCHED)
                .bind(queue.game)
                .bind(queue.key.as_str())
                .bind(to_millis(before))
                .bind(rows(max))
                .fetch_all(pool)
                .await?
        });
        found.into_iter().map(RecordedMatch::try_from).collect()
    }

    async fn cancel_match(&self, id: Uuid, now: OffsetDateTime) -> Result<bool, StoreError> {
        const CANCEL: &str = "UPDATE matches SET state = 'aborted' WHERE match_id = $1 AND state = 'made'";
        const RELEASE: &str = "UPDATE match_seats SET released_ms = $2 WHERE match_id = $1 AND released_ms IS NULL";
        const STATE: &str = "SELECT state FROM matches WHERE match_id = $1";
        let is_cancelled = on!(self.database, pool => {
            let mut transaction = pkg_db::begin(pool).await?;
            let cancelled = sqlx::query(CANCEL).bind(id).execute(&mut *transaction).await?.rows_affected() == 1;
            if cancelled {
                sqlx::query(RELEASE).bind(id).bind(to_millis(now)).execute(&mut *transaction).await?;
            }
            let state: Option<String> = sqlx::query_scalar(STATE).bind(id).fetch_optional(&mut *transaction).await?;
            transaction.commit().await?;
            state.as_deref() == Some("aborted")
        });
        Ok(is_cancelled)
    }

    async fn matches(&self, ids: &[Uuid]) -> Result<Vec<Option<RecordedMatch>>, StoreError> {
        if let (Some(lookups), [id]) = (&self.lookups, ids) {
            return Ok(vec![recorded(lookups.match_by_id(*id).await?)?]);
        }
        let found = self.rows_of(ids).await?;
        // An id may stand there twice.
        ids.iter().map(|id| recorded(found.get(id).cloned())).collect()
    }

    async fn matches_of_tickets(&self, tickets: &[Uuid]) -> Result<Vec<TicketMatch>, StoreError> {
        let found = match &self.database {
            Database::Postgres(pool) => postgres::matches_of_tickets(pool, tickets).await?,
            Database::Sqlite(pool) => sqlite::matches_of_tickets(pool, tickets).await?,
        };
        let read = |row: TicketRow| Ok(TicketMatch { ticket: row.ticket_id, found: row.found.try_into()? });
        found.into_iter().map(read).collect()
    }

    async fn open_seats(&self, game: Uuid, players: &[Uuid]) -> Result<Vec<OpenSeat>, StoreError> {
        let found = match (&self.database, &self.lookups) {
            (_, Some(lookups)) => lookups.seats(game, players).await?,
            (Database::Sqlite(pool), None) => sqlite::open_seats(pool, game, players).await?,
            (Database::Postgres(_), None) => Vec::new(),
        };
        Ok(found.into_iter().map(OpenSeat::from).collect())
    }

    async fn release(&self, seats: &[SeatRelease], now: OffsetDateTime) -> Result<u64, StoreError> {
        match &self.database {
            Database::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                Ok(postgres::release(&mut connection, seats, to_millis(now)).await?)
            }
            Database::Sqlite(pool) => {
                let mut transaction = pkg_db::begin(pool).await?;
                let released = sqlite::release(&mut transaction, seats, to_millis(now)).await?;
                transaction.commit().await?;
                Ok(released)
            }
        }
    }

    async fn stale_seats(&self, before: OffsetDateTime, max: usize) -> Result<Vec<Uuid>, StoreError> {
        const STALE: &str = "SELECT session_id FROM match_seats \
             JOIN matches ON matches.match_id = match_seats.match_id \
             WHERE released_ms IS NULL AND checked_ms < $1 AND state = 'dispatched' \
             GROUP BY session_id ORDER BY MIN(checked_ms), session_id LIMIT $2";
        Ok(on!(self.database, pool => {
            sqlx::query_scalar(STALE).bind(to_millis(before)).bind(rows(max)).fetch_all(pool).await?
        }))
    }

    async fn checked(&self, sessions: &[Uuid], now: OffsetDateTime) -> Result<(), StoreError> {
        match &self.database {
            Database::Postgres(pool) => postgres::checked(pool, sessions, to_millis(now)).await?,
            Database::Sqlite(pool) => sqlite::checked(pool, sessions, to_millis(now)).await?,
        }
        Ok(())
    }

    async fn forget(&self, before: OffsetDateTime, max: usize) -> Result<u64, StoreError> {
        // By the primary key, the oldest first. One that has no session yet is never over.
        const OVER: &str = "SELECT match_id FROM matches WHERE match_id < $1 AND state <> 'made' AND NOT EXISTS ( \
             SELECT 1 FROM match_seats WHERE match_seats.match_id = matches.match_id AND released_ms IS NULL) \
             ORDER BY match_id LIMIT $2";
        const SEATS: &str = "DELETE FROM match_seats WHERE match_id = $1";
        const MATCH: &str = "DELETE FROM matches WHERE match_id = $1";
        Ok(on!(self.database, pool => {
            let over: Vec<Uuid> = sqlx::query_scalar(OVER).bind(least_id(before)).bind(rows(max)).fetch_all(pool).await?;
            let mut transaction = pkg_db::begin(pool).await?;
            for id in &over {
                sqlx::query(SEATS).bind(id).execute(&mut *transaction).await?;
                sqlx::query(MATCH).bind(id).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            over.len() as u64
        }))
    }

    async fn recent_waits(
        &self,
        queue: &QueueId,
        since: OffsetDateTime,
        max: usize,
    ) -> Result<RecentWaits, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM matches \
             WHERE game_id = $1 AND queue_key = $2 AND created_ms >= $3 AND state <> 'aborted'";
        const WAITS: &str = "SELECT created_ms, waited_ms FROM matches \
             JOIN match_seats ON match_seats.match_id = matches.match_id \
             WHERE matches.game_id = $1 AND queue_key = $2 AND created_ms >= $3 AND state <> 'aborted' \
             ORDER BY created_ms DESC LIMIT $4";
        let (game, key, since) = (queue.game, queue.key.as_str(), to_millis(since));
        let (count, waits): (i64, Vec<(i64, i64)>) = on!(self.database, pool => {
            let count = sqlx::query_scalar(COUNT).bind(game).bind(key).bind(since).fetch_one(pool).await?;
            let waits = sqlx::query_as(WAITS).bind(game).bind(key).bind(since).bind(rows(max)).fetch_all(pool).await?;
            (count, waits)
        });
        let wait =
            |(created, waited)| (from_millis(created), Duration::from_millis(u64::try_from(waited).unwrap_or(0)));
        Ok(RecentWaits { matches: u64::try_from(count).unwrap_or(0), waits: waits.into_iter().map(wait).collect() })
    }
}

/// What can be recorded together: matches that share no player and no id, and not too many of them. Those that share one
/// are in the order given.
fn rounds(matches: &[Match]) -> Vec<Vec<usize>> {
    let mut next_round: HashMap<(Uuid, Uuid), usize> = HashMap::new();
    let mut rounds: Vec<(Vec<usize>, usize)> = Vec::new();
    for (place, made) in matches.iter().enumerate() {
        let of_players = made.players().map(|it| (made.queue.game, it.player));
        let shared: Vec<_> = of_players.chain([(Uuid::nil(), made.id)]).collect();
        let mut round = shared.iter().filter_map(|it| next_round.get(it)).copied().max().unwrap_or(0);
        while rounds.get(round).is_some_and(|(_, seats)| seats + shared.len() > SEATS_AT_ONCE && *seats > 0) {
            round += 1;
        }
        if round == rounds.len() {
            rounds.push((Vec::new(), 0));
        }
        rounds[round].0.push(place);
        rounds[round].1 += shared.len();
        next_round.extend(shared.into_iter().map(|it| (it, round + 1)));
    }
    rounds.into_iter().map(|(places, _)| places).collect()
}

/// A match, if it was ever recorded.
fn recorded(row: Option<MatchRow>) -> Result<Option<RecordedMatch>, StoreError> {
    row.filter(|row| row.body.is_some()).map(RecordedMatch::try_from).transpose()
}

fn state(text: &str) -> Result<MatchState, StoreError> {
    match text {
        "made" => Ok(MatchState::Made),
        "dispatched" => Ok(MatchState::Dispatched),
        "aborted" => Ok(MatchState::Aborted),
        _ => Err(StoreError::broken("a match has an unknown state")),
    }
}

impl TryFrom<MatchRow> for RecordedMatch {
    type Error = StoreError;

    fn try_from(row: MatchRow) -> Result<Self, StoreError> {
        let body = row.body.ok_or_else(|| StoreError::broken("a match was never recorded"))?;
        Ok(Self { made: Match::decode(&body)?, state: state(&row.state)?, session_cursor: row.session_cursor })
    }
}

impl From<SeatRow> for OpenSeat {
    fn from(row: SeatRow) -> Self {
        Self { player: row.player, match_id: row.match_id, session: row.session, ticket: row.ticket }
    }
}

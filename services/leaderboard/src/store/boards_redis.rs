//! Boards in Redis. What belongs to a board lies in one slot:
//!
//! - `state`: a hash of the mark (`offset`, `erasures`), of the periods that have entries (`p:…`) and of those that are being
//!   rebuilt (`s:…`: the attempt);
//! - of each period `ranks`, a sorted set of places ([`PlaceKey`]) in the order of their bytes, scored by their values;
//!   and `values`, a hash of players: the entry (the first 14 bytes of the place), the time (6 bytes), the attributes;
//! - of each period that is being rebuilt `new_ranks`, `new_values` and, as long as the attempt is alive, `lease`.
//!
//! Scripts compare and move bytes, and reckon with nothing but ranks and scores.

mod arounds;
mod values;

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::HashesInterface;
use fred::types::Value;
use futures::future::try_join_all;
use pkg_db::to_millis;
use pkg_redis::{Redis, RedisError, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::boards::{
    Applied, Begun, BoardStep, BoardStore, BoardView, ENTRIES_MAX, Filled, Finished, Mark, NewEntry, Place,
    REBUILD_LEASE, Read, Rebuild, Removed,
};
use super::{StoreError, boards};
use crate::board::{BoardId, PeriodId, PlaceKey};
use arounds::Arounds;
use values::{Answer, mark, outcomes, value, view};

macro_rules! with_place {
    ($library:literal, $file:literal) => {
        LazyLock::new(|| {
            let library = concat!(include_str!("boards_redis/place.lua"), include_str!($library));
            Script::with_library(library, include_str!($file))
        })
    };
}
macro_rules! changing {
    ($file:literal) => {
        with_place!("boards_redis/library.lua", $file)
    };
}
macro_rules! reading {
    ($file:literal) => {
        with_place!("boards_redis/reading.lua", $file)
    };
}
static APPLY: LazyLock<Script> = changing!("boards_redis/apply.lua");
static REMOVE: LazyLock<Script> = changing!("boards_redis/remove.lua");
static OPEN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("boards_redis/open.lua")));
static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("boards_redis/begin.lua")));
static FILL: LazyLock<Script> = changing!("boards_redis/fill.lua");
static FINISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("boards_redis/finish.lua")));
static PAGE: LazyLock<Script> = reading!("boards_redis/page.lua");
static AROUND: LazyLock<Script> = reading!("boards_redis/around.lua");
static OF_PLAYERS: LazyLock<Script> = reading!("boards_redis/of_players.lua");

/// How many entries one script puts into a rebuild: a few milliseconds, in which nobody else is served.
const FILLED_AT_ONCE: usize = 1_000;
/// How long what was filled stays if nobody goes on with it; longer than its lease.
const ABANDONED_AFTER: Duration = Duration::from_mins(10);
/// How often a player is taken off while periods come and go.
const REMOVE_ATTEMPTS: usize = 16;

/// The real store of boards.
#[derive(Debug, Clone)]
pub struct RedisBoards {
    redis: Redis,
    arounds: Arounds,
}

impl RedisBoards {
    /// The boards under the prefix of this connection. Must be made on a runtime.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { arounds: Arounds::new(&redis), redis }
    }

    fn state(&self, board: &BoardId) -> String {
        self.redis.key_in_slot(&board.to_string(), &["board", "state"])
    }

    /// The state, and the keys of periods as scripts take them.
    fn keys(&self, board: &BoardId, periods: impl IntoIterator<Item = String>) -> Vec<String> {
        let tag = board.to_string();
        let mut keys = vec![self.state(board)];
        for period in periods {
            for name in ["ranks", "values", "new_ranks", "new_values", "lease"] {
                keys.push(self.redis.key_in_slot(&tag, &["board", &period, name]));
            }
        }
        keys
    }

    async fn read(&self, script: &Script, place: &Place, more: Vec<Value>) -> Result<Read<BoardView>, StoreError> {
        let (keys, period) = keys_to_read(&self.redis, place);
        let arguments: Vec<Value> = [Value::from(period)].into_iter().chain(more).collect();
        match Answer::of(script.run(&self.redis, keys, arguments).await?)? {
            Answer::Code(_) => Ok(Read::Missing),
            Answer::List(parts) => view(place.order, parts).map(Read::Found),
        }
    }

    /// The names of the periods of which a board knows something.
    async fn periods(&self, board: &BoardId) -> Result<Vec<String>, StoreError> {
        let client = self.redis.client()?;
        let fields: Vec<String> = client.hkeys(self.state(board)).await.map_err(RedisError::from)?;
        let period = |field: &String| field.strip_prefix("p:").or(field.strip_prefix("s:")).map(str::to_owned);
        let mut periods: Vec<String> = fields.iter().filter_map(period).collect();
        periods.sort_unstable();
        periods.dedup();
        Ok(periods)
    }

    async fn fill_some(&self, rebuild: &mut Rebuild, entries: &[&NewEntry]) -> Result<Filled, StoreError> {
        let place = &rebuild.place;
        let period = place.period.to_string();
        let mut arguments = vec![
            Value::from(period.clone()),
            attempt(rebuild, rebuild.fills),
            attempt(rebuild, rebuild.fills + 1),
            millis(REBUILD_LEASE),
            millis(ABANDONED_AFTER),
            Value::from(entries.len().to_string()),
        ];
        for entry in entries {
            arguments.push(bytes(entry.player.as_bytes()));
            arguments.push(value(place.order, entry.player, entry.entry, Some(&entry.detail)));
        }
        // A repetition would not find its attempt, if the first one was answered to nobody.
        let done: i64 = FILL.run(&self.redis, self.keys(&place.board, [period]), arguments).await?;
        rebuild.fills += 1;
        Ok(if done == 1 { Filled::Done } else { Filled::Lost })
    }
}

/// The keys that scripts read a period with, and its name.
fn keys_to_read(redis: &Redis, place: &Place) -> (Vec<String>, String) {
    let (tag, period) = (place.board.to_string(), place.period.to_string());
    let key = |parts: &[&str]| redis.key_in_slot(&tag, parts);
    (vec![key(&["board", "state"]), key(&["board", &period, "ranks"]), key(&["board", &period, "values"])], period)
}

/// An attempt to rebuild that was filled so often.
fn attempt(rebuild: &Rebuild, fills: u64) -> Value {
    Value::from(format!("{} {fills}", rebuild.id))
}

fn millis(span: Duration) -> Value {
    Value::from(span.as_millis().to_string())
}

fn moment(time: Option<OffsetDateTime>) -> Value {
    Value::from(time.map(|time| to_millis(time).to_string()).unwrap_or_default())
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(bytes))
}

#[async_trait]
impl BoardStore for RedisBoards {
    async fn apply(&self, step: &BoardStep) -> Result<Applied, StoreError> {
        let keys = self.keys(&step.board, step.periods.iter().map(|period| period.period.to_string()));
        let number = |number: i64| Value::from(number.to_string());
        let mut arguments = match step.from {
            Some(mark) => vec![number(mark.offset), number(mark.erasures)],
            None => vec![Value::from(""), Value::from("")],
        };
        arguments.push(number(step.to));
        for period in &step.periods {
            arguments.push(Value::from(period.period.to_string()));
            arguments.push(moment(period.keep_until));
            arguments.push(Value::from(period.changes.len().to_string()));
            for change in &period.changes {
                arguments.push(bytes(change.player.as_bytes()));
                arguments.push(value(step.order, change.player, change.entry, change.changed.as_ref()));
            }
        }
        match Answer::of(APPLY.run(&self.redis, keys, arguments).await?)? {
            Answer::Code(_) => Ok(Applied::Missing),
            Answer::List(parts) => outcomes(parts),
        }
    }

    async fn marks(&self, boards: &[BoardId]) -> Result<Vec<Option<Mark>>, StoreError> {
        let client = self.redis.client()?;
        let asked = boards.iter().map(async |board| {
            let fields: (Option<i64>, Option<i64>) =
                client.hmget(self.state(board), vec!["offset", "erasures"]).await?;
            Ok::<_, fred::error::Error>(fields)
        });
        let found = try_join_all(asked).await.map_err(RedisError::from)?;
        let mark = |(offset, erasures): (Option<i64>, Option<i64>)| Some(Mark { offset: offset?, erasures: erasures? });
        Ok(found.into_iter().map(mark).collect())
    }

    async fn remove(&self, board: &BoardId, number: i64, player: Uuid) -> Result<Removed, StoreError> {
        const OTHER_PERIODS: i64 = -1;
        for _ in 0..REMOVE_ATTEMPTS {
            let periods = self.periods(board).await?;
            let mut arguments =
                vec![Value::from((number - 1).to_string()), Value::from(number.to_string()), bytes(player.as_bytes())];
            arguments.extend(periods.iter().map(|period| Value::from(period.as_str())));
            match Answer::of(REMOVE.run(&self.redis, self.keys(board, periods), arguments).await?)? {
                Answer::Code(OTHER_PERIODS) => {}
                Answer::Code(0) => return Ok(Removed::Missing),
                Answer::Code(_) => return Ok(Removed::Done),
                Answer::List(parts) => {
                    let mark = mark(&parts)?;
                    return Ok(if mark.erasures >= number { Removed::Done } else { Removed::Elsewhere(mark) });
                }
            }
        }
        Err(StoreError::unavailable("the periods of a board come and go"))
    }

    async fn page(&self, place: &Place, after: Option<PlaceKey>, max: usize) -> Result<Read<BoardView>, StoreError> {
        let after = after.map_or(Value::from(""), |key| bytes(key.as_bytes()));
        self.read(&PAGE, place, vec![after, Value::from(max.min(ENTRIES_MAX).to_string())]).await
    }

    async fn around(&self, place: &Place, player: Uuid, count: usize) -> Result<Read<BoardView>, StoreError> {
        self.arounds.read(place, player, count.clamp(1, ENTRIES_MAX)).await
    }

    async fn of_players(&self, place: &Place, players: &[Uuid]) -> Result<Read<BoardView>, StoreError> {
        if players.is_empty() {
            return self.page(place, None, 0).await;
        }
        self.read(&OF_PLAYERS, place, players.iter().take(ENTRIES_MAX).map(|player| bytes(player.as_bytes())).collect())
            .await
    }

    async fn open(&self, board: &BoardId, mark: Mark, periods: &[PeriodId]) -> Result<bool, StoreError> {
        let names: Vec<String> = periods.iter().map(ToString::to_string).collect();
        let mut arguments = vec![Value::from(mark.offset.to_string()), Value::from(mark.erasures.to_string())];
        arguments.extend(names.iter().map(|name| Value::from(name.as_str())));
        let made: i64 = OPEN.run(&self.redis, self.keys(board, names), arguments).await?;
        Ok(made == 1)
    }

    async fn begin_rebuild(&self, place: &Place, id: Uuid) -> Result<Begun, StoreError> {
        let period = place.period.to_string();
        let mut rebuild = Rebuild { place: place.clone(), id, fills: 0, mark: Mark { offset: 0, erasures: 0 } };
        let arguments = vec![Value::from(period.clone()), attempt(&rebuild, 0), millis(REBUILD_LEASE)];
        match Answer::of(BEGIN.run(&self.redis, self.keys(&place.board, [period]), arguments).await?)? {
            Answer::Code(0) => Ok(Begun::Missing),
            Answer::Code(_) => Ok(Begun::Busy),
            Answer::List(parts) => {
                rebuild.mark = mark(&parts)?;
                Ok(Begun::Done(rebuild))
            }
        }
    }

    async fn fill(&self, rebuild: &mut Rebuild, entries: &[NewEntry]) -> Result<Filled, StoreError> {
        let entries = boards::latest(entries);
        if entries.is_empty() {
            return self.fill_some(rebuild, &[]).await;
        }
        for part in entries.chunks(FILLED_AT_ONCE) {
            if self.fill_some(rebuild, part).await? == Filled::Lost {
                return Ok(Filled::Lost);
            }
        }
        Ok(Filled::Done)
    }

    async fn finish(&self, rebuild: &Rebuild, keep_until: Option<OffsetDateTime>) -> Result<Finished, StoreError> {
        let period = rebuild.place.period.to_string();
        let arguments = vec![
            Value::from(period.clone()),
            attempt(rebuild, rebuild.fills),
            Value::from(rebuild.mark.erasures.to_string()),
            moment(keep_until),
        ];
        let done: i64 = FINISH.run(&self.redis, self.keys(&rebuild.place.board, [period]), arguments).await?;
        Ok(if done == 1 { Finished::Done } else { Finished::Lost })
    }
}

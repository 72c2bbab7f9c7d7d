//! What leads to sessions, in Redis: each index is one key of its own.
//!
//! The members of the sorted sets begin with the time of creation and have all one score, so that they are in the order of
//! [`SessionPlace`] and a page begins exactly where the last one ended.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use fred::interfaces::{KeysInterface, SortedSetsInterface};
use futures::future::join_all;
use pkg_db::{from_millis, to_millis};
use pkg_redis::{RedisError, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::sessions::{Due, SESSIONS_OF_PLAYER, SessionIndex, SessionPlace};
use super::sessions_redis::{RedisSessions, unexpected};
use crate::session::JoinCode;

/// What is done with one index; many in one script.
pub(super) static CHANGE_INDEX: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("session_index.lua")));
static CLAIM_DUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("session_due.lua")));
static RESCHEDULE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("session_reschedule.lua")));
static NEWEST: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[1], '-', 'LIMIT', 0, ARGV[2])"));

/// Of a change that takes no more than its member.
const NOTHING: [String; 2] = [String::new(), String::new()];
/// Over how many keys the schedule is spread.
const SCHEDULES: u128 = 16;
/// For how long, after the last one was noted: longer than any session lasts.
const PLAYER_MEMORY: Duration = Duration::from_hours(15 * 24);

impl RedisSessions {
    fn running(&self, game: Uuid) -> String {
        self.redis.key(&["game", "running", &game.to_string()])
    }

    fn open(&self, game: Uuid) -> String {
        self.redis.key(&["game", "open", &game.to_string()])
    }

    fn player(&self, player: Uuid) -> String {
        self.redis.key(&["game", "player", &player.to_string()])
    }

    fn code(&self, game: Uuid, code: &JoinCode) -> String {
        self.redis.key(&["game", "code", &game.to_string(), code.as_str()])
    }

    fn schedule_key(&self, shard: u128) -> String {
        self.redis.key(&["game", "due", &shard.to_string()])
    }

    fn schedule_of(&self, session: Uuid) -> String {
        self.schedule_key(session.as_u128() % SCHEDULES)
    }

    /// Makes a change of `session_index.lua`, and says what came of it.
    async fn change(
        &self,
        what: &'static str,
        key: String,
        member: String,
        more: [String; 2],
    ) -> Result<i64, StoreError> {
        let [third, fourth] = more;
        let arguments = vec![what.into(), member.into(), third.into(), fourth.into()];
        let answer = self.index.call(vec![key], arguments).await?;
        answer.as_i64().ok_or_else(|| unexpected("an index answered no number"))
    }

    async fn newest(
        &self,
        key: String,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError> {
        let from = after.map_or_else(|| "+".to_owned(), |place| format!("({}", written(place)));
        let members: Vec<String> = NEWEST.run(&self.redis, vec![key], vec![from, limit.to_string()]).await?;
        members.iter().map(|member| read(member)).collect()
    }
}

/// As a member of a sorted set.
fn written(place: SessionPlace) -> String {
    format!("{:016x}/{}", place.created_ms, place.session)
}

fn read(member: &str) -> Result<SessionPlace, StoreError> {
    let read = || {
        let (created, session) = member.split_once('/')?;
        Some(SessionPlace {
            created_ms: i64::from_str_radix(created, 16).ok()?,
            session: Uuid::try_parse(session).ok()?,
        })
    };
    read().ok_or_else(|| unexpected("a member of an index that is none"))
}

fn scheduled(game: Uuid, place: SessionPlace) -> String {
    format!("{game}/{}", written(place))
}

#[async_trait]
impl SessionIndex for RedisSessions {
    async fn reserve(&self, game: Uuid, place: SessionPlace, most: usize) -> Result<bool, StoreError> {
        let most = [most.to_string(), String::new()];
        Ok(self.change("reserve", self.running(game), written(place), most).await? == 1)
    }

    async fn note_saved(&self, game: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        self.change("saved", self.running(game), written(place), NOTHING).await.map(drop)
    }

    async fn was_saved(&self, game: Uuid, place: SessionPlace) -> Result<bool, StoreError> {
        let client = self.redis.client()?;
        let score: Option<f64> = client.zscore(self.running(game), written(place)).await.map_err(RedisError::from)?;
        Ok(score.is_some_and(|score| score > 0.0))
    }

    async fn release(&self, game: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        self.change("remove", self.running(game), written(place), NOTHING).await.map(drop)
    }

    async fn list(&self, game: Uuid, place: SessionPlace, open: bool) -> Result<(), StoreError> {
        let what = if open { "add" } else { "remove" };
        self.change(what, self.open(game), written(place), NOTHING).await.map(drop)
    }

    async fn open_sessions(
        &self,
        game: Uuid,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError> {
        self.newest(self.open(game), after, limit).await
    }

    async fn note_player(&self, player: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        let limits = [SESSIONS_OF_PLAYER.to_string(), PLAYER_MEMORY.as_millis().to_string()];
        self.change("note", self.player(player), written(place), limits).await.map(drop)
    }

    async fn forget_player(&self, player: Uuid, place: SessionPlace) -> Result<(), StoreError> {
        self.change("remove", self.player(player), written(place), NOTHING).await.map(drop)
    }

    async fn sessions_of(
        &self,
        player: Uuid,
        after: Option<SessionPlace>,
        limit: usize,
    ) -> Result<Vec<SessionPlace>, StoreError> {
        self.newest(self.player(player), after, limit).await
    }

    async fn claim_code(
        &self,
        game: Uuid,
        code: &JoinCode,
        session: Uuid,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let until = [to_millis(until).to_string(), String::new()];
        Ok(self.change("claim", self.code(game, code), session.to_string(), until).await? == 1)
    }

    async fn release_code(&self, game: Uuid, code: &JoinCode, session: Uuid) -> Result<(), StoreError> {
        self.change("give_back", self.code(game, code), session.to_string(), NOTHING).await.map(drop)
    }

    async fn session_by_code(&self, game: Uuid, code: &JoinCode) -> Result<Option<Uuid>, StoreError> {
        let found: Option<String> = self.redis.client()?.get(self.code(game, code)).await.map_err(RedisError::from)?;
        let read = |text: String| Uuid::try_parse(&text).map_err(|_| unexpected("a join code of no session"));
        found.map(read).transpose()
    }

    async fn schedule(&self, game: Uuid, place: SessionPlace, at: OffsetDateTime) -> Result<(), StoreError> {
        let at = [to_millis(at).to_string(), String::new()];
        self.change("schedule", self.schedule_of(place.session), scheduled(game, place), at).await.map(drop)
    }

    async fn claim_due(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let each = limit.div_ceil(usize::try_from(SCHEDULES).unwrap_or(1)).to_string();
        let claims = (0..SCHEDULES).map(async |shard| {
            let arguments = vec![to_millis(now).to_string(), to_millis(until).to_string(), each.clone()];
            CLAIM_DUE.run::<Vec<String>, _, _>(&self.redis, vec![self.schedule_key(shard)], arguments).await
        });
        let mut due = Vec::new();
        for members in join_all(claims).await {
            for member in members? {
                let (game, place) = member.split_once('/').ok_or_else(|| unexpected("a schedule of nothing"))?;
                let game = Uuid::try_parse(game).map_err(|_| unexpected("a schedule of no game"))?;
                let place = read(place)?;
                let claimed_until = from_millis(to_millis(until));
                due.push(Due { session: place.session, place, game, claimed_until });
            }
        }
        Ok(due)
    }

    async fn reschedule(&self, due: &Due, at: Option<OffsetDateTime>) -> Result<(), StoreError> {
        let at = at.map_or(String::new(), |at| to_millis(at).to_string());
        let arguments = vec![scheduled(due.game, due.place), to_millis(due.claimed_until).to_string(), at];
        let _: i64 = RESCHEDULE.run(&self.redis, vec![self.schedule_of(due.session)], arguments).await?;
        Ok(())
    }
}

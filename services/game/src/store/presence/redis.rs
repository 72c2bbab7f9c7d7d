//! Presence in Redis: a hash per player. A device is a field `d:…` with its state and the end of its sign, a queue a
//! field `q:…` with the end of its report, and `seen` is the last sign. Times are milliseconds.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_trait::async_trait;
use fred::interfaces::HashesInterface;
use futures::future::try_join_all;
use pkg_db::{from_millis, to_millis};
use pkg_redis::{Redis, RedisError, Script};
use time::OffsetDateTime;
use uuid::Uuid;

use super::PresenceStore;
use crate::presence::{
    DEVICE_LIFETIME, DeviceSign, DeviceState, LAST_SEEN_LIFETIME, MAX_DEVICES, MAX_QUEUES, QueuedReport, Sign, Trace,
};
use crate::store::StoreError;

/// What both scripts do: `make_room` removes fields of a kind that are over, and if there are still too many the one that
/// is over first.
const LIBRARY: &str = "
local function make_room(key, kind, now, most)
    local fields, count, first, first_ends = redis.call('HGETALL', key), 0, nil, math.huge
    for i = 1, #fields, 2 do
        if string.sub(fields[i], 1, 2) == kind then
            local ends = tonumber(string.match(fields[i + 1], '%d+$'))
            if ends <= now then
                redis.call('HDEL', key, fields[i])
            else
                count = count + 1
                if ends < first_ends then first, first_ends = fields[i], ends end
            end
        end
    end
    if count >= most then redis.call('HDEL', key, first) end
end";

/// For each key, a device and its sign after what all share: now, the end of the signs, how long the key is kept, and how
/// many devices there may be.
static RECORD: LazyLock<Script> = LazyLock::new(|| {
    Script::with_library(
        LIBRARY,
        "local now, ends, kept, most = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
         for i, key in ipairs(KEYS) do
             local field, sign = ARGV[2 * i + 3], ARGV[2 * i + 4]
             local old = redis.call('HGET', key, field)
             if old and tonumber(string.match(old, '%d+$')) <= now then old = false end
             if not old then make_room(key, 'd:', now, most) end
             local state = sign
             if sign == 'alive' then state = old and string.match(old, '^%a+') or 'online' end
             redis.call('HSET', key, field, state .. ' ' .. ends)
             if state ~= 'hidden' then redis.call('HSET', key, 'seen', ARGV[1]) end
             redis.call('PEXPIRE', key, kept)
         end",
    )
});

/// For each key, a game and whether its queue is waited in (1 or 0), after what all share: now, the end of the reports, and
/// how many queues there may be.
static REPORT: LazyLock<Script> = LazyLock::new(|| {
    Script::with_library(
        LIBRARY,
        "local now, ends, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
         for i, key in ipairs(KEYS) do
             local field = ARGV[2 * i + 2]
             if ARGV[2 * i + 3] == '1' then
                 if redis.call('HEXISTS', key, field) == 0 then make_room(key, 'q:', now, most) end
                 redis.call('HSET', key, field, ends)
                 local left = redis.call('PTTL', key)
                 if left < ends - now then redis.call('PEXPIRE', key, ends - now) end
             else
                 redis.call('HDEL', key, field)
             end
         end",
    )
});

/// The real store of presence.
#[derive(Debug, Clone)]
pub struct RedisPresence {
    redis: Redis,
}

impl RedisPresence {
    /// The presences under the prefix of this connection.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, player: Uuid) -> String {
        self.redis.key(&["game", "presence", player.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())])
    }

    /// Runs a script for all items; on a cluster once for those of each slot.
    async fn run(
        &self,
        script: &Script,
        shared: &[String],
        items: impl Iterator<Item = (Uuid, [String; 2])>,
    ) -> Result<(), StoreError> {
        let mut slots: HashMap<u16, (Vec<String>, Vec<String>)> = HashMap::new();
        for (player, arguments) in items {
            let key = self.key(player);
            let (keys, all) = slots.entry(self.redis.slot_of(&key)).or_insert_with(|| (Vec::new(), shared.to_vec()));
            keys.push(key);
            all.extend(arguments);
        }
        let runs = slots.into_values().map(|(keys, arguments)| script.run::<(), _, _>(&self.redis, keys, arguments));
        try_join_all(runs).await?;
        Ok(())
    }

    async fn trace(&self, player: Uuid, now: i64) -> Result<Trace, RedisError> {
        let fields: HashMap<String, String> = self.redis.client()?.hgetall(self.key(player)).await?;
        let mut trace = Trace::default();
        let mut longest = now;
        for (field, value) in &fields {
            let ends = value.rsplit(' ').next().and_then(|ends| ends.parse().ok()).unwrap_or(i64::MIN);
            match field.split_once(':') {
                Some(("d", _)) if ends > now => trace.devices.extend(state(value)),
                Some(("q", game)) if ends > longest => {
                    (trace.queued_in, longest) = (Uuid::try_parse(game).ok(), ends);
                }
                _ => {}
            }
        }
        let seen = fields.get("seen").and_then(|seen| seen.parse().ok()).map(from_millis);
        trace.last_seen = seen.filter(|seen| to_millis(*seen + LAST_SEEN_LIFETIME) > now);
        Ok(trace)
    }
}

#[async_trait]
impl PresenceStore for RedisPresence {
    async fn record(&self, signs: &[DeviceSign], now: OffsetDateTime) -> Result<(), StoreError> {
        let shared = [
            to_millis(now).to_string(),
            to_millis(now + DEVICE_LIFETIME).to_string(),
            LAST_SEEN_LIFETIME.as_millis().to_string(),
            MAX_DEVICES.to_string(),
        ];
        let item = |sign: &DeviceSign| (sign.player, [format!("d:{}", sign.device), text(sign.sign).to_owned()]);
        self.run(&RECORD, &shared, signs.iter().map(item)).await
    }

    async fn report_queued(
        &self,
        reports: &[QueuedReport],
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let shared = [to_millis(now).to_string(), to_millis(until).to_string(), MAX_QUEUES.to_string()];
        let item = |report: &QueuedReport| {
            (report.player, [format!("q:{}", report.game), u8::from(report.queued).to_string()])
        };
        self.run(&REPORT, &shared, reports.iter().map(item)).await
    }

    async fn traces(&self, players: &[Uuid], now: OffsetDateTime) -> Result<Vec<Trace>, StoreError> {
        let now = to_millis(now);
        Ok(try_join_all(players.iter().map(|player| self.trace(*player, now))).await?)
    }
}

fn text(sign: Sign) -> &'static str {
    match sign {
        Sign::Alive => "alive",
        Sign::Says(DeviceState::Online) => "online",
        Sign::Says(DeviceState::Away) => "away",
        Sign::Says(DeviceState::Hidden) => "hidden",
    }
}

fn state(value: &str) -> Option<DeviceState> {
    match value.split(' ').next()? {
        "online" => Some(DeviceState::Online),
        "away" => Some(DeviceState::Away),
        "hidden" => Some(DeviceState::Hidden),
        _ => None,
    }
}

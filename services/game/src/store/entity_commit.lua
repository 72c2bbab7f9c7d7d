-- Writes entities and publishes it, if nothing speaks against it.
--
-- KEYS: the session, the entities, their ids, the batch, and the four of the publication. ARGV: how many there may be, the
-- entities that the batch answers with, how long to remember it (ms; nothing if it is no batch), how many are expected,
-- written and deleted, the place of the publication, then expected (id, version), written (id, value), deleted (id), and
-- the publication. An entity is its version and its body with a blank between. Answers with 1 if it is done, 0 for a
-- conflict, -1 if the session is over, -2 if there would be too many.
if redis.call('HGET', KEYS[1], 'goes_on') ~= '1' then return -1 end
if ARGV[3] ~= '' and redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
local expected, written, deleted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local place, new, gone = 8, 0, 0
for i = place, place + 2 * (expected - 1), 2 do
    local entity = redis.call('HGET', KEYS[2], ARGV[i])
    local version = entity and string.match(entity, '^%d+') or '0'
    if version ~= ARGV[i + 1] then return 0 end
end
place = place + 2 * expected
for i = place, place + 2 * (written - 1), 2 do
    if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then new = new + 1 end
end
for i = place + 2 * written, place + 2 * written + deleted - 1 do
    gone = gone + redis.call('HEXISTS', KEYS[2], ARGV[i])
end
if new > gone and redis.call('HLEN', KEYS[2]) + new - gone > tonumber(ARGV[1]) then return -2 end

local published = bus_publish(5, tonumber(ARGV[7]))
if not published then return -1 end
for i = place, place + 2 * (written - 1), 2 do
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[3], 0, ARGV[i])
end
for i = place + 2 * written, place + 2 * written + deleted - 1 do
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('ZREM', KEYS[3], ARGV[i])
end
local forgotten = redis.call('PEXPIRETIME', KEYS[1])
if forgotten > 0 then
    redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', forgotten))
    redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', forgotten))
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[3]) end
return 1

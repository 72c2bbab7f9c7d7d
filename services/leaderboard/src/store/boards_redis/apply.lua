-- Applies a step to a board.
--
-- KEYS: the state, then those of each period. ARGV: the offset and the erasures before (nothing if there is no board), the
-- offset afterwards, and of each period its name, when it may be forgotten (ms, or nothing), how many changes there are, and
-- each one as the player and the value: of an entry alone if it has not changed. Answers with 1 and for each period how many
-- players it has and the ranks (from 0; -1 without one), 0 if something is missing, or where the board is instead.
local state = redis.call('HMGET', KEYS[1], 'offset', 'erasures')
if (state[1] or '') ~= ARGV[1] or (state[2] or '') ~= ARGV[2] then return state[1] and state or 0 end
local periods, place, key = {}, 4, 2
while place <= #ARGV do
    local name, count = ARGV[place], tonumber(ARGV[place + 2])
    local found = redis.call('HMGET', KEYS[1], 'p:' .. name, 's:' .. name)
    local rebuilt = found[2]
    if rebuilt and redis.call('EXISTS', KEYS[key + 4]) == 0 then
        rebuilt = false
        redis.call('HDEL', KEYS[1], 's:' .. name)
        redis.call('UNLINK', KEYS[key + 2], KEYS[key + 3])
    end
    local there = not found[1] or redis.call('EXISTS', KEYS[key], KEYS[key + 1]) == 2
    if not there and not rebuilt then return 0 end
    periods[#periods + 1] = { place, key, count, found[1], there, rebuilt }
    place, key = place + 3 + 2 * count, key + 5
end

local answer = { 1 }
for _, period in ipairs(periods) do
    local place, key, count, listed, there, rebuilt = unpack(period)
    local changed, members = board_changes(place + 3, count)
    if #changed.players > 0 then
        if not listed then
            redis.call('HSET', KEYS[1], 'p:' .. ARGV[place], 1)
            redis.call('UNLINK', KEYS[key], KEYS[key + 1])
        end
        if there then board_put(KEYS[key], KEYS[key + 1], changed) end
        if rebuilt then board_put(KEYS[key + 2], KEYS[key + 3], changed) end
        if not listed and ARGV[place + 1] ~= '' then
            redis.call('PEXPIREAT', KEYS[key], ARGV[place + 1])
            redis.call('PEXPIREAT', KEYS[key + 1], ARGV[place + 1])
        end
    end
    local outcome = { there and redis.call('ZCARD', KEYS[key]) or 0 }
    for i, member in ipairs(members) do
        outcome[i + 1] = there and redis.call('ZRANK', KEYS[key], member) or -1
    end
    answer[#answer + 1] = outcome
end
redis.call('HSET', KEYS[1], 'offset', ARGV[3], 'erasures', ARGV[2] == '' and '0' or ARGV[2])
return answer

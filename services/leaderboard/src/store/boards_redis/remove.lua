-- Takes a player off a board. KEYS: the state, then those of each period of which anything is known. ARGV: the erasures
-- before and afterwards, the player, and the names of the periods. Answers with 1 if it is done, 0 if the board is not there,
-- -1 if there are other periods, or where the board is instead.
local state = redis.call('HMGET', KEYS[1], 'offset', 'erasures')
if not state[1] then return 0 end
if state[2] ~= ARGV[1] then return state end
local known = {}
for i = 4, #ARGV do known[ARGV[i]] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local period = string.match(field, '^[ps]:(.*)$')
    if period and not known[period] then return -1 end
end
for i = 4, #ARGV do
    local key = 2 + 5 * (i - 4)
    for ranks = key, key + 2, 2 do
        local value = redis.call('HGET', KEYS[ranks + 1], ARGV[3])
        if value then
            redis.call('ZREM', KEYS[ranks], string.sub(value, 1, ENTRY) .. ARGV[3])
            redis.call('HDEL', KEYS[ranks + 1], ARGV[3])
            -- An empty period has no keys, which is not to be taken for one that was lost.
            if ranks == key and redis.call('EXISTS', KEYS[ranks]) == 0 then
                redis.call('HDEL', KEYS[1], 'p:' .. ARGV[i])
            end
        end
    end
end
redis.call('HSET', KEYS[1], 'erasures', ARGV[2])
return 1

-- Puts entries into a rebuild. KEYS: the state, and those of the period. ARGV: its name, the attempt before and afterwards,
-- the lease (ms), how long to keep what nobody finishes (ms), how many entries there are, and each one as the player and the
-- value, each player once. Answers with whether it is done.
if redis.call('HGET', KEYS[1], 's:' .. ARGV[1]) ~= ARGV[2] or redis.call('EXISTS', KEYS[6]) == 0 then return 0 end
local changed = board_changes(7, tonumber(ARGV[6]))
local later = { players = {}, fields = {}, members = {} }
for first = 1, #changed.players, CHUNK do
    local last = math.min(first + CHUNK - 1, #changed.players)
    local before = redis.call('HMGET', KEYS[5], unpack(changed.players, first, last))
    for i = first, last do
        local value = before[i - first + 1]
        if not value or board_reached(value) < board_reached(changed.fields[2 * i]) then
            local n = #later.players + 1
            later.players[n] = changed.players[i]
            later.fields[2 * n - 1], later.fields[2 * n] = changed.fields[2 * i - 1], changed.fields[2 * i]
            later.members[2 * n - 1], later.members[2 * n] = changed.members[2 * i - 1], changed.members[2 * i]
        end
    end
end
board_put(KEYS[4], KEYS[5], later)
redis.call('PEXPIRE', KEYS[4], ARGV[5])
redis.call('PEXPIRE', KEYS[5], ARGV[5])
redis.call('HSET', KEYS[1], 's:' .. ARGV[1], ARGV[3])
redis.call('SET', KEYS[6], '', 'PX', ARGV[4])
return 1

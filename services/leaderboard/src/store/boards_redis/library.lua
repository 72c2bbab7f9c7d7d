-- What scripts that change boards share. A value begins with the entry, of which six bytes, from the ninth, say when it was
-- reached. The member of an entry is its place: the entry and its player.
local CHUNK = 1000

-- Of `count` pairs of player and value from this place of ARGV: the changed ones, and the members of all.
local function board_changes(place, count)
    local changed, members = { players = {}, fields = {}, members = {} }, {}
    local n = 0
    for i = 1, count do
        local player, value = ARGV[place + 2 * i - 2], ARGV[place + 2 * i - 1]
        if #value == ENTRY then
            members[i] = value .. player
        else
            local member = string.sub(value, 1, ENTRY) .. player
            members[i] = member
            n = n + 1
            changed.players[n] = player
            changed.fields[2 * n - 1], changed.fields[2 * n] = player, value
            changed.members[2 * n - 1], changed.members[2 * n] = place_score(member), member
        end
    end
    return changed, members
end

-- Replaces entries of players, each of them once.
local function board_put(ranks, values, changed)
    local players = changed.players
    for first = 1, #players, CHUNK do
        local last = math.min(first + CHUNK - 1, #players)
        local before, gone = redis.call('HMGET', values, unpack(players, first, last)), {}
        for i = 1, last - first + 1 do
            if before[i] then gone[#gone + 1] = string.sub(before[i], 1, ENTRY) .. players[first + i - 1] end
        end
        if #gone > 0 then redis.call('ZREM', ranks, unpack(gone)) end
        redis.call('HSET', values, unpack(changed.fields, 2 * first - 1, 2 * last))
        redis.call('ZADD', ranks, unpack(changed.members, 2 * first - 1, 2 * last))
    end
end

-- When the entry of a value was reached: below 2^48, which Lua's numbers hold exactly. (Its comparison of strings goes by
-- the server's language.)
local function board_reached(value)
    local a, b, c, d, e, f = string.byte(value, 9, ENTRY)
    return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

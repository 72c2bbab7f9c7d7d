-- ARGV: the place after which to begin, or nothing, and the most.
local function place_after(place)
    if place == '' then return 0 end
    local rank = redis.call('ZRANK', KEYS[2], place)
    if rank then return rank + 1 end
    -- Nobody is there any more: it is put in to see where it would be.
    redis.call('ZADD', KEYS[2], place_score(place), place)
    rank = redis.call('ZRANK', KEYS[2], place)
    redis.call('ZREM', KEYS[2], place)
    return rank
end

local first = place_after(ARGV[2])
-- A last one of -1 would be the last of all.
local last = first + ARGV[3] - 1
return board_view(first, last < first and {} or redis.call('ZRANGE', KEYS[2], first, last))

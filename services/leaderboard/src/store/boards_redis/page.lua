-- ARGV: the place after which to begin, or nothing, and the most.
local first = 0
if ARGV[2] ~= '' then
    local rank = redis.call('ZRANK', KEYS[2], ARGV[2])
    first = rank and rank + 1
    if not rank then
        -- Nobody is there any more: it is put in to see where it would be.
        redis.call('ZADD', KEYS[2], place_score(ARGV[2]), ARGV[2])
        first = redis.call('ZRANK', KEYS[2], ARGV[2])
        redis.call('ZREM', KEYS[2], ARGV[2])
    end
end
-- A last one of -1 would be the last of all.
local last = first + ARGV[3] - 1
return board_view(first, last < first and {} or redis.call('ZRANGE', KEYS[2], first, last))

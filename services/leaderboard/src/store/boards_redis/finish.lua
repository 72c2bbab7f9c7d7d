-- Puts a rebuild in the place of what was there. KEYS: the state, and those of the period. ARGV: its name, the attempt, the
-- erasures at its beginning, and when the period may be forgotten (ms, or nothing). Answers with whether it is done.
if redis.call('HGET', KEYS[1], 's:' .. ARGV[1]) ~= ARGV[2] or redis.call('EXISTS', KEYS[6]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], 's:' .. ARGV[1])
redis.call('DEL', KEYS[6])
if redis.call('HGET', KEYS[1], 'erasures') ~= ARGV[3] then
    redis.call('UNLINK', KEYS[4], KEYS[5])
    return 0
end
-- Not by the renaming itself, which would free a large board at once and hold up everyone.
redis.call('UNLINK', KEYS[2], KEYS[3])
if redis.call('EXISTS', KEYS[4]) == 1 then
    for i = 2, 3 do
        redis.call('RENAME', KEYS[i + 2], KEYS[i])
        if ARGV[4] == '' then redis.call('PERSIST', KEYS[i]) else redis.call('PEXPIREAT', KEYS[i], ARGV[4]) end
    end
    redis.call('HSET', KEYS[1], 'p:' .. ARGV[1], 1)
else
    redis.call('HDEL', KEYS[1], 'p:' .. ARGV[1])
end
return 1

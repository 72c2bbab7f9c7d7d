-- Holds or lets go a lease, so that who loaded the session before has to load it again.
--
-- KEYS: the session, its connections. ARGV: the lease, and until when it is held (ms) or nothing. Answers with whether the
-- session is there.
local is_there = redis.call('EXISTS', KEYS[1])
if ARGV[2] == '' then
    redis.call('ZREM', KEYS[2], ARGV[1])
elseif is_there == 1 then
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    redis.call('PEXPIREAT', KEYS[2], ARGV[2])
end
if is_there == 1 then redis.call('HINCRBY', KEYS[1], 'revision', 1) end
return is_there

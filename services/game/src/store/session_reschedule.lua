-- Says when a claimed member is due again, if the claim still stands. KEYS: the schedule. ARGV: the member, the end of its
-- claim, when it is due again (ms) or nothing.
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then redis.call('ZREM', KEYS[1], ARGV[1]) else redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
return 1

-- Claims what is due: moves it to the end of the claim. KEYS: the schedule. ARGV: now, the end of the claim (both ms), the
-- most. Answers with the members.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return due

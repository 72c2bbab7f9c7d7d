-- Begins to rebuild a period. KEYS: the state, and those of the period. ARGV: its name, the attempt, and its lease (ms).
-- Answers with where the board is, 0 if it is not there, or 1 if somebody else rebuilds the period.
local state = redis.call('HMGET', KEYS[1], 'offset', 'erasures')
if not state[1] then return 0 end
if redis.call('EXISTS', KEYS[6]) == 1 then return 1 end
redis.call('UNLINK', KEYS[4], KEYS[5])
redis.call('HSET', KEYS[1], 's:' .. ARGV[1], ARGV[2])
redis.call('SET', KEYS[6], '', 'PX', ARGV[3])
return state

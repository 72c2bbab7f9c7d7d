-- Makes a board that is not there. KEYS: the state, then those of each period. ARGV: the offset, the erasures, and the names
-- of the periods. Answers with whether it was made.
if redis.call('HEXISTS', KEYS[1], 'offset') == 1 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'offset', ARGV[1], 'erasures', ARGV[2])
for i = 3, #ARGV do redis.call('HSET', KEYS[1], 'p:' .. ARGV[i], 1) end
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 1

-- Gives a join code back, if it is the session's. KEYS: the code. ARGV: the session.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1

-- Holds leases for longer. KEYS: the connections that each one is in. ARGV: until when (ms), then the leases. Answers with 1
-- for each that was held.
local held = {}
for i, key in ipairs(KEYS) do
    if redis.call('ZSCORE', key, ARGV[i + 1]) then
        redis.call('ZADD', key, ARGV[1], ARGV[i + 1])
        redis.call('PEXPIREAT', key, ARGV[1])
        held[i] = 1
    else
        held[i] = 0
    end
end
return held

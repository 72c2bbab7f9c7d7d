-- The queues with tickets or claims; the others are forgotten. KEYS: the queues of the game, the channel of its news. ARGV:
-- what the keys of the game begin with.
local queues = {}
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', ARGV[1] .. ':waiting:' .. queue, ARGV[1] .. ':claims:' .. queue) > 0 then
        queues[#queues + 1] = queue
    else
        redis.call('SREM', KEYS[1], queue)
    end
end
return queues

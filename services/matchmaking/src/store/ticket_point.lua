-- Notes the queue of tickets, each unless one is noted. KEYS: the notes. ARGV: for each the queue and when to forget it
-- (ms). Answers with the queue that is noted.
local queues = {}
for i, key in ipairs(KEYS) do
    local queue, forgotten = ARGV[2 * i - 1], ARGV[2 * i]
    local noted = redis.call('SET', key, queue, 'NX', 'GET', 'PXAT', forgotten)
    if noted == queue then redis.call('PEXPIREAT', key, forgotten, 'GT') end
    queues[i] = noted or queue
end
return queues

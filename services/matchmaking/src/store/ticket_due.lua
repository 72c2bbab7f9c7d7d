-- ARGV from 3 on: 2 for those that expire or 3 for signs of life, the highest score, and how many at most. Answers with
-- tickets that wait. Such as are forgotten leave the queue.
local due, forgotten = {}, {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[tonumber(ARGV[3])], '-inf', ARGV[4], 'LIMIT', 0, ARGV[5])) do
    if redis.call('EXISTS', ticket_key(id)) == 1 then
        due[#due + 1] = id
    else
        forgotten[#forgotten + 1] = id
    end
end
leave(forgotten)
return due

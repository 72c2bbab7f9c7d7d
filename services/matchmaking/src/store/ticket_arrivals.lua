-- ARGV from 3 on: the arrival number to begin after, and how many to look at. Answers with how many were looked at, the
-- number of the last one, and numbers and bodies by turns. Tickets that are forgotten leave the queue.
local found = redis.call('ZRANGEBYSCORE', WAITING, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local arrivals, forgotten = {}, {}
for i = 1, #found, 2 do
    local body = redis.call('HGET', ticket_key(found[i]), 'body')
    if body then
        arrivals[#arrivals + 1] = found[i + 1]
        arrivals[#arrivals + 1] = body
    else
        forgotten[#forgotten + 1] = found[i]
    end
end
leave(forgotten)
return { #found / 2, found[#found] or ARGV[3], arrivals }

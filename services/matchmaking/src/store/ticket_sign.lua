-- Notes signs of life. ARGV from 3 on: ids, each with 1 if somebody asks why it waits, else 0. Answers for each with status,
-- match, reason and why; all of them nothing if it is not there.
local answers = {}
for i = 3, #ARGV, 2 do
    local id = ARGV[i]
    local key = ticket_key(id)
    local found = redis.call('HMGET', key, 'status', 'match', 'reason', 'why', 'seen')
    if found[1] and tonumber(found[5]) < tonumber(NOW) then redis.call('HSET', key, 'seen', NOW) end
    if found[1] == 'queued' then
        redis.call('ZADD', SEEN, 'XX', 'GT', NOW, id)
        if ARGV[i + 1] == '1' then redis.call('ZADD', ASKED, 'GT', NOW, id) end
    end
    answers[#answers + 1] = { found[1], found[2], found[3], found[4] }
end
return answers

-- Puts tickets into their queue. ARGV from 3 on: the queue's name, and for each ticket its id, its body, when it expires,
-- when it is forgotten whatever happens (both ms), and its players. Answers for each with { 0 }; or { 1 } and what
-- ticket_load.lua answers, if it is there; or { 2, ticket, player } if a player is in another ticket.
local function held_by(player)
    local id = redis.call('GET', player_key(player))
    local status = id and redis.call('HGET', ticket_key(id), 'status')
    return (status == 'queued' or status == 'matching') and id
end

local queue, answers, expiring, seen = ARGV[3], {}, {}, {}
for i = 4, #ARGV, 5 do
    local id, body, expires, forgotten, players = unpack(ARGV, i, i + 4)
    local key = ticket_key(id)
    local answer
    if redis.call('EXISTS', key) == 1 then
        answer = { 1, redis.call('HMGET', key, 'status', 'match', 'reason', 'ended', 'why', 'body') }
    else
        for player in string.gmatch(players, '%S+') do
            local holder = held_by(player)
            if holder then answer = { 2, holder, player } end
        end
    end
    if not answer then
        redis.call('HSET', key, 'status', 'queued', 'body', body, 'players', players, 'expires', expires, 'seen', NOW)
        redis.call('PEXPIREAT', key, forgotten)
        for player in string.gmatch(players, '%S+') do
            redis.call('SET', player_key(player), id, 'PXAT', forgotten)
        end
        expiring[#expiring + 1], expiring[#expiring + 2] = expires, id
        seen[#seen + 1], seen[#seen + 2] = NOW, id
        answer = { 0 }
    end
    answers[#answers + 1] = answer
end
arrive(expiring, seen)
if #seen > 0 then
    redis.call('SADD', QUEUES, queue)
    tell_arrived(queue)
end
return answers

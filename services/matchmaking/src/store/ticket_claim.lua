-- Takes tickets out of the queue, for matches. ARGV from 3 on: the epoch, and for each claim the match, the deadline, how
-- many tickets, and their ids. Answers with { -1, epoch } if that is too old; or with a list for each claim: empty if it
-- is made (now or before), else of the tickets that do not wait.
local refusal = fenced(ARGV[3])
if refusal then return refusal end
local answers, changed, i = {}, {}, 4
while i <= #ARGV do
    local match, deadline, count = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
    local is_made, not_waiting = true, {}
    for place = i + 3, i + 2 + count do
        local status, of = unpack(redis.call('HMGET', ticket_key(ARGV[place]), 'status', 'match'))
        if status ~= 'queued' then not_waiting[#not_waiting + 1] = ARGV[place] end
        if of ~= match or (status ~= 'matching' and status ~= 'matched') then is_made = false end
    end
    if is_made then
        not_waiting = {}
    elseif #not_waiting == 0 then
        for place = i + 3, i + 2 + count do
            local id = ARGV[place]
            redis.call('HSET', ticket_key(id), 'status', 'matching', 'match', match)
            changed[#changed + 1] = id
        end
        redis.call('ZADD', CLAIMS, deadline, match)
        redis.call('HSET', CLAIMED, match, table.concat(ARGV, ' ', i + 3, i + 2 + count))
    end
    answers[#answers + 1] = not_waiting
    i = i + 3 + count
end
leave(changed)
tell_claimed(changed)
return answers

-- Ends claims without a match. ARGV from 3 on: the epoch, the queue's name, how long tickets that end are kept (ms), after
-- how many tickets to stop, and for each claim the match, how many tickets end, and their ids and reasons by turns. Answers
-- with { -1, epoch } if that is too old, or with how many claims it came to: one or more.
local refusal = fenced(ARGV[3])
if refusal then return refusal end
local queue, kept, most = ARGV[4], ARGV[5], tonumber(ARGV[6])
local changed, expiring, seen, done, i = {}, {}, {}, 0, 7
while i <= #ARGV and #changed < most do
    local match, count, reasons = ARGV[i], tonumber(ARGV[i + 1]), {}
    for place = i + 2, i + 2 * count, 2 do reasons[ARGV[place]] = ARGV[place + 1] end
    for id in string.gmatch(redis.call('HGET', CLAIMED, match) or '', '%S+') do
        local key = ticket_key(id)
        local status, of, players, expires, last_seen =
            unpack(redis.call('HMGET', key, 'status', 'match', 'players', 'expires', 'seen'))
        if status == 'matching' and of == match then
            redis.call('HDEL', key, 'match')
            if reasons[id] then
                finish(key, id, players, kept, 'status', 'ended', 'reason', reasons[id])
            else
                redis.call('HSET', key, 'status', 'queued')
                expiring[#expiring + 1], expiring[#expiring + 2] = expires, id
                seen[#seen + 1], seen[#seen + 2] = last_seen, id
            end
            changed[#changed + 1] = id
        end
    end
    redis.call('ZREM', CLAIMS, match)
    redis.call('HDEL', CLAIMED, match)
    done, i = done + 1, i + 2 + 2 * count
end
arrive(expiring, seen)
tell_changed(changed)
if #seen > 0 then tell_arrived(queue) end
return { done }

-- Ends claims with their matches. ARGV from 3 on: how long tickets are kept from now on (ms), and for each match its id,
-- how many tickets, and their ids. A ticket whose claim was lost is matched all the same.
local changed, waiting, i = {}, {}, 4
while i <= #ARGV do
    local match, count = ARGV[i], tonumber(ARGV[i + 1])
    for place = i + 2, i + 1 + count do
        local id = ARGV[place]
        local key = ticket_key(id)
        local status, players = unpack(redis.call('HMGET', key, 'status', 'players'))
        if status == 'queued' or status == 'matching' then
            if status == 'queued' then waiting[#waiting + 1] = id end
            finish(key, id, players, ARGV[3], 'status', 'matched', 'match', match)
            changed[#changed + 1] = id
        end
    end
    redis.call('ZREM', CLAIMS, match)
    redis.call('HDEL', CLAIMED, match)
    i = i + 2 + count
end
leave(waiting)
tell_changed(changed)
return #changed

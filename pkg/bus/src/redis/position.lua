-- Where a topic is. One that nobody knows begins here.
--
-- bus_position(k, new_epoch, memory): three keys from KEYS[k] on (topic, stream, ids), the epoch of the topic if there is
-- none yet, and how long it is remembered from now on at least (ms, as text or number). Returns its epoch, the offset of
-- its last event as text, and whether it has ended.
local function bus_position(k, new_epoch, memory)
    local topic = KEYS[k]
    local state = redis.call('HMGET', topic, 'epoch', 'last', 'ended')
    local epoch, last, ended = state[1], state[2], state[3]
    if not epoch then
        epoch, last = new_epoch, '0'
        redis.call('DEL', KEYS[k + 1], KEYS[k + 2])
        redis.call('HSET', topic, 'epoch', epoch, 'last', last)
    end
    -- Who reads often does not write each time.
    if not ended and redis.call('PTTL', topic) < memory - 10000 then redis.call('PEXPIRE', topic, memory) end
    return epoch, last, ended
end

-- Where a topic is. One that nobody knows begins here.

-- Finds the topic at KEYS[k], whose stream and ids follow. Returns its epoch, the offset of its last event as text, whether
-- it has ended, and whether nobody knew it: then it has the new epoch, and is still to be written.
local function bus_find(k, new_epoch)
    local state = redis.call('HMGET', KEYS[k], 'epoch', 'last', 'ended')
    if state[1] then return state[1], state[2], state[3], false end
    redis.call('DEL', KEYS[k + 1], KEYS[k + 2])
    return new_epoch, '0', false, true
end

-- Remembers the topic for `memory` from now on at least (ms, as text or number), as it was found.
local function bus_remember(topic, epoch, last, ended, is_new, memory)
    if is_new then redis.call('HSET', topic, 'epoch', epoch, 'last', last) end
    -- Who reads often does not write each time.
    if not ended and (is_new or redis.call('PTTL', topic) < memory - 10000) then redis.call('PEXPIRE', topic, memory) end
end

-- bus_position(k, new_epoch, memory): three keys from KEYS[k] on (topic, stream, ids), the epoch of the topic if there is
-- none yet, and how long it is remembered from now on at least (ms, as text or number). Returns its epoch, the offset of
-- its last event as text, and whether it has ended.
local function bus_position(k, new_epoch, memory)
    local epoch, last, ended, is_new = bus_find(k, new_epoch)
    bus_remember(KEYS[k], epoch, last, ended, is_new, memory)
    return epoch, last, ended
end

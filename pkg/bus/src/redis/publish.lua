-- Publishes on a topic, or ends it, in the same step as whatever else the script does. Comes after position.lua.
--
-- bus_publish(k, a): four keys from KEYS[k] on (topic, stream, ids, channel), what Publication::arguments gave from
-- ARGV[a] on. Returns what Publication::published reads, or false if the topic has ended and nothing was done.
--
-- An offset is the time in microseconds, or one more than the last: below 2^53, which a double holds exactly. Beside its
-- payload an entry keeps the offset before it, so that readers see whether some are missing between.
local function bus_publish(k, a)
    local topic, stream, ids, channel = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
    local max_length, lifetime, memory = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
    local after_end, id_lifetime, ids_kept, count = ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], tonumber(ARGV[a + 7])
    local first = a + 8

    local epoch, last, ended = bus_position(k, ARGV[a], memory)
    last = tonumber(last)
    if ended then
        for i = first, first + 2 * (count - 1), 2 do
            if ARGV[i] == '' or not redis.call('ZSCORE', ids, ARGV[i]) then return false end
        end
    end

    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local answer, message, oldest, has_ids = { epoch, '' }, { 'R', epoch }, nil, false
    for i = first, first + 2 * (count - 1), 2 do
        local id, payload = ARGV[i], ARGV[i + 1]
        local known = id ~= '' and redis.call('ZSCORE', ids, id)
        if known then
            if not oldest then
                local entry = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
                oldest = entry and tonumber(string.match(entry[1], '^%d+')) or math.huge
            end
            answer[#answer + 1] = { known, 1, tonumber(known) >= oldest and 1 or 0 }
        else
            local offset = math.max(now, last + 1)
            local text = string.format('%.0f', offset)
            redis.call('XADD', stream, 'MAXLEN', '~', max_length, text .. '-0',
                'p', string.format('%.0f', last), 'd', payload)
            if id ~= '' then
                redis.call('ZADD', ids, text, id)
                has_ids = true
            end
            message[#message + 1] = struct.pack('>I8I8I4', last, offset, #payload)
            message[#message + 1] = payload
            answer[#answer + 1] = { text, 0, 1 }
            last = offset
        end
    end

    answer[2] = string.format('%.0f', last)
    if #message > 2 then
        redis.call('HSET', topic, 'last', answer[2])
        redis.call('PEXPIRE', topic, memory)
        redis.call('PEXPIRE', stream, lifetime)
        redis.call('SPUBLISH', channel, table.concat(message))
    end
    if has_ids then
        redis.call('ZREMRANGEBYSCORE', ids, '-inf', string.format('%.0f', now - id_lifetime * 1000))
        redis.call('ZREMRANGEBYRANK', ids, 0, -ids_kept - 1)
        redis.call('PEXPIRE', ids, id_lifetime)
    end
    if after_end ~= '' and not ended then
        redis.call('HSET', topic, 'ended', '1')
        for _, key in ipairs({ topic, stream, ids }) do redis.call('PEXPIRE', key, after_end) end
        redis.call('SPUBLISH', channel, 'E' .. epoch .. struct.pack('>I8', last))
    end
    return answer
end

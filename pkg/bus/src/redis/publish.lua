-- Publishes on a topic, or ends it, in the same step as whatever else the script does. Comes after position.lua.
--
-- bus_publish(k, a): four keys from KEYS[k] on (topic, stream, ids, channel), what Publication::arguments gave from
-- ARGV[a] on. Returns what Publication::published reads, or false if the topic has ended and nothing was done; and
-- bus_after(a). May be called for several topics.
--
-- An offset is the time in microseconds, or one more than the last: below 2^53, which a double holds exactly. Beside its
-- payload an entry keeps the offset before it, so that readers see whether some are missing between.
local bus_now

-- Where in ARGV a publication ends that begins at `a`.
local function bus_after(a) return a + 8 + 2 * ARGV[a + 7] end

local function bus_publish(k, a)
    local topic, stream, ids, channel = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
    local max_length, lifetime, memory = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
    local after_end, id_lifetime, ids_kept = ARGV[a + 4], ARGV[a + 5], ARGV[a + 6]
    local first, after = a + 8, bus_after(a)

    local epoch, last_text, ended, is_new = bus_find(k, ARGV[a])
    local last = tonumber(last_text)
    if ended then
        for i = first, after - 2, 2 do
            if ARGV[i] == '' or not redis.call('ZSCORE', ids, ARGV[i]) then return false, after end
        end
    end

    if not bus_now then
        local time = redis.call('TIME')
        bus_now = time[1] * 1000000 + time[2]
    end
    local answer, message, oldest, has_ids = { epoch, '' }, { 'R', epoch }, nil, false
    for i = first, after - 2, 2 do
        local id, payload = ARGV[i], ARGV[i + 1]
        local known = id ~= '' and (has_ids or not is_new) and redis.call('ZSCORE', ids, id)
        if known then
            if not oldest then
                local entry = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
                oldest = entry and tonumber(string.match(entry[1], '^%d+')) or math.huge
            end
            answer[#answer + 1] = { known, 1, tonumber(known) >= oldest and 1 or 0 }
        else
            local offset = math.max(bus_now, last + 1)
            local text = string.format('%.0f', offset)
            redis.call('XADD', stream, 'MAXLEN', '~', max_length, text .. '-0', 'p', last_text, 'd', payload)
            if id ~= '' then
                redis.call('ZADD', ids, text, id)
                has_ids = true
            end
            message[#message + 1] = struct.pack('>I8I8I4', last, offset, #payload)
            message[#message + 1] = payload
            answer[#answer + 1] = { text, 0, 1 }
            last, last_text = offset, text
        end
    end

    answer[2] = last_text
    if #message > 2 then
        if is_new then
            redis.call('HSET', topic, 'epoch', epoch, 'last', last_text)
        else
            redis.call('HSET', topic, 'last', last_text)
        end
        redis.call('PEXPIRE', topic, memory)
        redis.call('PEXPIRE', stream, lifetime)
        redis.call('SPUBLISH', channel, table.concat(message))
    else
        bus_remember(topic, epoch, last_text, ended, is_new, memory)
    end
    if has_ids then
        -- A topic that begins has no old ones, and few.
        if not is_new then
            redis.call('ZREMRANGEBYSCORE', ids, '-inf', string.format('%.0f', bus_now - id_lifetime * 1000))
            redis.call('ZREMRANGEBYRANK', ids, 0, -ids_kept - 1)
        end
        redis.call('PEXPIRE', ids, id_lifetime)
    end
    if after_end ~= '' and not ended then
        redis.call('HSET', topic, 'ended', '1')
        for _, key in ipairs({ topic, stream, ids }) do redis.call('PEXPIRE', key, after_end) end
        redis.call('SPUBLISH', channel, 'E' .. epoch .. struct.pack('>I8', last))
    end
    return answer, after
end
